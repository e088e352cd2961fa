//! The service of the tests answers like the emulator, which was tested with real clients.

#![cfg(feature = "gha")]

use std::time::Duration;

use cache_core::Digest;
use cache_tests::places::gha::VERSION;
use cache_tests::servers::actions::{Options, Server, mint};
use cache_tests::servers::emulator::Emulator;
use cache_tests::servers::exchange::{Ask, Reply, exchange};
use serde_json::{Value, json};

cache_tests::conformance!(suite, cache_tests::places::GhaEmulator::new());

/// Both services, which get the same requests.
struct Both {
    ours: Server,
    proven: Emulator,
}

/// The answers of both, which are equal.
struct Answers {
    ours: Reply,
    proven: Reply,
}

impl Both {
    /// Starts both; `None` if Python is not installed.
    fn start(uploads_per_minute: usize, quota: u64) -> Option<Self> {
        if !Emulator::is_installed() {
            println!("skipped: python3 is not installed");
            return None;
        }
        let options = Options { uploads_per_minute, quota, rest_token: Some("rest".to_owned()), ..Options::default() };
        let (limit, quota) = (uploads_per_minute.to_string(), quota.to_string());
        let arguments = ["--rest-token", "rest", "--uploads-per-minute", &limit, "--quota", &quota];
        Some(Self { ours: Server::start(options), proven: Emulator::start(&arguments) })
    }

    fn ask(&self, ask: &Ask) -> Answers {
        let ours = exchange(&self.ours.host(), ask).expect("our service answers");
        let proven = exchange(self.proven.host(), ask).expect("the emulator answers");
        let shown = format!("{} {}\n ours: {ours:?}\n theirs: {proven:?}", ask.method, ask.path);
        assert_eq!(ours.status, proven.status, "{shown}");
        let is_same = |name: &str| ours.header(name).is_some() == proven.header(name).is_some();
        assert!(is_same("x-ms-request-id") && is_same("retry-after"), "{shown}");
        for name in ["content-range", "x-ms-error-code"] {
            assert_eq!(ours.header(name), proven.header(name), "{shown}");
        }
        match [&ours, &proven].map(|told| serde_json::from_slice::<Value>(&told.body)) {
            [Ok(a), Ok(b)] => assert_eq!(without_addresses(a), without_addresses(b), "{shown}"),
            _ => assert_eq!(ours.body, proven.body, "{shown}"),
        }
        Answers { ours, proven }
    }

    /// Sends a request to each service at the signed URL that it has returned.
    fn ask_signed(&self, given: &Answers, field: &str, ask: &Ask) -> Answers {
        let path = |told: &Reply| {
            let body: Value = serde_json::from_slice(&told.body).expect("an answer in JSON");
            let url = body[field].as_str().expect("an answer with a URL").to_owned();
            url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).expect("a URL with a path")
        };
        let with = |path: String| Ask { path: path + &ask.path, ..ask.clone() };
        let ours = exchange(&self.ours.host(), &with(path(&given.ours))).expect("our service answers");
        let proven = exchange(self.proven.host(), &with(path(&given.proven))).expect("the emulator answers");
        assert_eq!((ours.status, &ours.body), (proven.status, &proven.body), "{} {}", ask.method, ask.path);
        for name in ["content-range", "x-ms-error-code"] {
            assert_eq!(ours.header(name), proven.header(name));
        }
        // The emulator leaves it out of a 416; Azure does not.
        let has_id = |told: &Reply| told.status == 416 || told.header("x-ms-request-id").is_some();
        assert_eq!(has_id(&ours), has_id(&proven));
        Answers { ours, proven }
    }

    fn twirp(&self, method: &str, token: &str, body: &Value) -> Answers {
        self.ask(&twirp(method, token, body))
    }

    /// Reserves, uploads and finalises.
    fn save(&self, token: &str, key: &str, bytes: &[u8]) {
        let reserved = self.twirp("CreateCacheEntry", token, &json!({ "key": key, "version": VERSION }));
        self.ask_signed(&reserved, "signed_upload_url", &put("", bytes));
        let body = json!({ "key": key, "version": VERSION, "size_bytes": bytes.len() });
        self.twirp("FinalizeCacheEntryUpload", token, &body);
    }

    fn look(&self, token: &str, key: &str) -> Answers {
        let body = json!({ "key": key, "restore_keys": [key], "version": VERSION });
        self.twirp("GetCacheEntryDownloadURL", token, &body)
    }
}

/// Replaces addresses, signatures and times, which differ, but have to be present.
fn without_addresses(value: Value) -> Value {
    const DIFFERENT: [&str; 6] = [
        "signed_upload_url",
        "signed_download_url",
        "archiveLocation",
        "creationTime",
        "created_at",
        "last_accessed_at",
    ];
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| {
                let is_different = DIFFERENT.contains(&name.as_str()) && value != "";
                let value = if is_different { json!("different") } else { without_addresses(value) };
                (name, value)
            };
            Value::Object(fields.into_iter().map(field).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_addresses).collect()),
        other => other,
    }
}

fn twirp(method: &str, token: &str, body: &Value) -> Ask {
    let path = format!("/twirp/github.actions.results.api.v1.CacheService/{method}");
    Ask { method: "POST", path, headers: vec![json_type(), bearer(token)], body: body.to_string().into_bytes() }
}

fn v1(method: &'static str, path: &str, token: &str, body: &str) -> Ask {
    let path = format!("/_apis/artifactcache/{path}");
    Ask { method, path, headers: vec![json_type(), bearer(token)], body: body.as_bytes().to_vec() }
}

fn rest(method: &'static str, path: &str, token: &str) -> Ask {
    Ask { method, path: format!("/repos/o/r/actions/{path}"), headers: vec![bearer(token)], body: Vec::new() }
}

fn put(query: &str, bytes: &[u8]) -> Ask {
    let headers = vec![("x-ms-blob-type", "BlockBlob".to_owned())];
    Ask { method: "PUT", path: query.to_owned(), headers, body: bytes.to_vec() }
}

fn get(range: Option<(&'static str, &str)>) -> Ask {
    let headers = range.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    Ask { method: "GET", headers, ..Ask::default() }
}

fn json_type() -> (&'static str, String) {
    ("Content-Type", "application/json".to_owned())
}

fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {token}"))
}

fn token(scopes: &[(&str, u64)]) -> String {
    mint(scopes, Duration::from_secs(3_600))
}

#[test]
fn entries_are_saved_once_and_found_by_prefix_in_the_order_of_scopes() {
    let Some(both) = Both::start(0, 1 << 30) else { return };
    let (main, branch) = (token(&[("main", 3)]), token(&[("branch", 3), ("main", 1)]));
    both.look(&main, "a");
    for (key, bytes) in [("a#1", "1"), ("a#2", "22"), ("a#10", "333"), ("ab", "4444")] {
        both.save(&main, key, bytes.as_bytes());
    }
    both.save(&branch, "a#1", b"branch");
    for key in ["a", "a#", "a#1", "ab", "b", "a#2"] {
        let found = both.look(&branch, key);
        if String::from_utf8_lossy(&found.ours.body).contains("\"ok\":true") {
            both.ask_signed(&found, "signed_download_url", &get(None));
            both.ask_signed(&found, "signed_download_url", &get(Some(("x-ms-range", "bytes=1-2"))));
            both.ask_signed(&found, "signed_download_url", &get(Some(("Range", "bytes=0-"))));
            both.ask_signed(&found, "signed_download_url", &put("", b"no"));
        }
        both.look(&main, key);
    }
    both.twirp("CreateCacheEntry", &main, &json!({ "key": "a#1", "version": VERSION }));
    both.twirp("CreateCacheEntry", &main, &json!({ "key": "a#1", "version": "other" }));
    both.twirp("GetCacheEntryDownloadURL", &main, &json!({ "key": "a#1", "restoreKeys": ["ab"], "version": "none" }));
}

#[test]
fn reservations_lock_and_are_not_seen() {
    let Some(both) = Both::start(0, 1 << 30) else { return };
    let main = token(&[("main", 3)]);
    let body = json!({ "key": "k", "version": VERSION });
    let reserved = both.twirp("CreateCacheEntry", &main, &body);
    both.twirp("CreateCacheEntry", &main, &body);
    both.look(&main, "k");
    let finalize = |size: u64| {
        both.twirp(
            "FinalizeCacheEntryUpload",
            &main,
            &json!({ "key": "k", "version": VERSION, "sizeBytes": size.to_string() }),
        )
    };
    finalize(4);
    let blocks =
        |list: &str| Ask { body: format!("<BlockList>{list}</BlockList>").into_bytes(), ..put("&comp=blocklist", b"") };
    both.ask_signed(&reserved, "signed_upload_url", &put("&comp=block&blockid=YQ%3D%3D", b"ab"));
    both.ask_signed(&reserved, "signed_upload_url", &put("&comp=block&blockid=Yg%3D%3D", b"cd"));
    both.ask_signed(&reserved, "signed_upload_url", &blocks("<Latest>YQ==</Latest><Latest>eA==</Latest>"));
    both.ask_signed(&reserved, "signed_upload_url", &blocks("<Latest>Yg==</Latest><Latest>YQ==</Latest>"));
    finalize(5);
    finalize(4);
    finalize(4);
    let found = both.look(&main, "k");
    both.ask_signed(&found, "signed_download_url", &get(None));
    both.ask_signed(&found, "signed_download_url", &get(Some(("x-ms-range", "bytes=9-"))));
    both.ask(&Ask { path: "/devstoreaccount1/actions-cache/1?sp=r&se=9999999999&sig=no".to_owned(), ..get(None) });
}

#[test]
fn tokens_say_who_may_do_what() {
    let Some(both) = Both::start(0, 1 << 30) else { return };
    let body = json!({ "key": "k", "version": VERSION });
    let tokens = [
        token(&[("main", 1)]),
        token(&[("main", 2)]),
        token(&[]),
        token(&[("pull", 3), ("main", 1)]),
        "no.token.atall".to_owned(),
        String::new(),
    ];
    for token in &tokens {
        both.twirp("CreateCacheEntry", token, &body);
        both.look(token, "k");
        both.ask(&v1("GET", &format!("cache?keys=k&version={VERSION}"), token, ""));
        both.ask(&v1("POST", "caches", token, &body.to_string()));
    }
    for (key, version) in [("", VERSION), ("a,b", VERSION), (&"x".repeat(513), VERSION), ("k", "")] {
        both.twirp("CreateCacheEntry", &token(&[("main", 3)]), &json!({ "key": key, "version": version }));
        both.twirp("GetCacheEntryDownloadURL", &token(&[("main", 3)]), &json!({ "key": key, "version": version }));
    }
    both.twirp("NoSuchMethod", &tokens[3], &body);
    both.ask(&Ask { headers: vec![bearer(&tokens[3])], ..twirp("CreateCacheEntry", &tokens[3], &body) });
    both.ask(&Ask { body: b"{".to_vec(), ..twirp("CreateCacheEntry", &tokens[3], &body) });
    both.ask(&Ask { path: "/nowhere".to_owned(), ..get(None) });
}

#[test]
fn version_1_has_the_same_entries() {
    let Some(both) = Both::start(0, 1 << 30) else { return };
    let main = token(&[("main", 3)]);
    let look = |key: &str| both.ask(&v1("GET", &format!("cache?keys={key}&version={VERSION}"), &main, ""));
    look("k");
    let body = json!({ "key": "k#1", "version": VERSION }).to_string();
    both.ask(&v1("POST", "caches", &main, &body));
    both.ask(&v1("POST", "caches", &main, &body));
    let patch = |range: &str, bytes: &str| {
        let mut ask = v1("PATCH", "caches/1", &main, bytes);
        ask.headers.push(("Content-Range", format!("bytes {range}/*")));
        both.ask(&ask);
    };
    patch("2-3", "cd");
    patch("0-1", "ab");
    patch("0-9", "ab");
    both.ask(&v1("POST", "caches/1", &main, r#"{"size":3}"#));
    look("k");
    both.ask(&v1("POST", "caches/1", &main, r#"{"size":4}"#));
    both.ask(&v1("POST", "caches/1", &main, r#"{"size":4}"#));
    patch("0-1", "ab");
    both.ask(&v1("POST", "caches/99", &main, r#"{"size":4}"#));
    let found = look("k");
    both.ask_signed(&found, "archiveLocation", &get(None));
    both.ask_signed(&found, "archiveLocation", &get(Some(("Range", "bytes=1-"))));
    look("k%231");
    both.look(&main, "k#1");
    both.save(&main, "k#2", b"by version 2");
    look("x,k");
}

#[test]
fn the_rest_api_lists_and_deletes() {
    let Some(both) = Both::start(0, 1 << 30) else { return };
    let (main, branch) = (token(&[("main", 3)]), token(&[("branch", 3), ("main", 1)]));
    for n in 0..5_usize {
        both.save(&main, &format!("m{n}"), &vec![b'x'; 10 - n]);
    }
    both.save(&branch, "m1", b"branch");
    both.twirp("CreateCacheEntry", &main, &json!({ "key": "m-reserved", "version": VERSION }));
    for query in [
        "",
        "?sort=created_at&direction=asc",
        "?sort=created_at&direction=asc&per_page=2&page=2",
        "?key=m1",
        "?ref=branch",
        "?sort=size_in_bytes&direction=desc",
        "?key=nothing",
        "?sort=created_at&per_page=100&page=3",
    ] {
        both.ask(&rest("GET", &format!("caches{query}"), "rest"));
    }
    both.ask(&rest("GET", "cache/usage", "rest"));
    both.ask(&rest("GET", "caches", "wrong"));
    both.ask(&rest("DELETE", "caches?key=m&ref=main", "rest"));
    both.ask(&rest("DELETE", "caches?key=m-reserved", "rest"));
    both.ask(&rest("DELETE", "caches?key=m1&ref=main", "rest"));
    both.ask(&rest("DELETE", "caches?key=m1", "rest"));
    both.ask(&rest("DELETE", "caches/3", "rest"));
    both.ask(&rest("DELETE", "caches/3", "rest"));
    both.ask(&rest("GET", "caches?sort=created_at", "rest"));
    both.look(&main, "m");
}

#[test]
fn quotas_and_limits_are_kept() {
    let Some(both) = Both::start(4, 25) else { return };
    let main = token(&[("main", 3)]);
    for key in ["a", "b"] {
        both.save(&main, key, &[b'x'; 10]);
    }
    both.look(&main, "a");
    both.save(&main, "c", &[b'x'; 10]);
    for key in ["a", "b", "c"] {
        both.look(&main, key);
    }
    both.twirp("CreateCacheEntry", &main, &json!({ "key": "d", "version": VERSION }));
    let refused = both.twirp("CreateCacheEntry", &main, &json!({ "key": "e", "version": VERSION }));
    assert_eq!(refused.ours.status, 429);
}

#[test]
fn keys_of_blobs_are_digests() {
    assert_eq!(Digest::sha256(b"|go-actionscache-1.0").hex(), VERSION);
}
