//! Signs requests with the account's key, by the
//! [published rules](https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::Headers;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Body, Context, Request, Url};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::account::AccountKey;

/// Signs each try of a request, since the date is part of the signature.
#[derive(Debug)]
pub(crate) struct SharedKey {
    account: String,
    key: AccountKey,
}

impl SharedKey {
    pub(crate) fn new(account: String, key: AccountKey) -> Self {
        Self { account, key }
    }

    fn sign(&self, text: &str) -> azure_core::Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.bytes()).map_err(|error| {
            azure_core::Error::with_error(azure_core::error::ErrorKind::Credential, error, "cannot sign the request")
        })?;
        mac.update(text.as_bytes());
        Ok(STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[async_trait]
impl Policy for SharedKey {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if let Body::Bytes(bytes) = request.body() {
            let length = bytes.len();
            if length > 0 {
                request.insert_header("content-length", length.to_string());
            }
        }
        request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
        let text = string_to_sign(&self.account, request.method().as_ref(), request.url(), request.headers());
        let header = format!("SharedKey {}:{}", self.account, self.sign(&text)?);
        request.insert_header("authorization", header);
        let Some((first, rest)) = next.split_first() else {
            let kind = azure_core::error::ErrorKind::Other;
            return Err(azure_core::Error::with_message(kind, "nothing sends the request"));
        };
        first.send(ctx, request, rest).await
    }
}

/// The headers that have a line of their own; the date is in `x-ms-date` instead.
const LINES: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

fn string_to_sign(account: &str, method: &str, url: &Url, headers: &Headers) -> String {
    let given: BTreeMap<String, &str> =
        headers.iter().map(|(name, value)| (name.as_str().to_ascii_lowercase(), value.as_str())).collect();
    let mut text = format!("{method}\n");
    for name in LINES {
        let value = given.get(name).copied().unwrap_or_default().trim();
        // A length of zero is left out, since 2015.
        let is_empty_body = name == "content-length" && value == "0";
        text += if is_empty_body { "" } else { value };
        text.push('\n');
    }
    for (name, value) in given.iter().filter(|(name, _)| name.starts_with("x-ms-")) {
        text += &format!("{name}:{}\n", value.trim());
    }
    text += &resource(account, url);
    text
}

/// The account, the path as it is sent, and the query with its names in order.
fn resource(account: &str, url: &Url) -> String {
    let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        query.entry(name.to_lowercase()).or_default().push(value.into_owned());
    }
    let mut text = format!("/{account}{}", url.path());
    for (name, mut values) in query {
        values.sort();
        text += &format!("\n{name}:{}", values.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use cache_kit::Secret;

    use super::*;

    /// The key that Azurite publishes.
    const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    fn signer() -> SharedKey {
        SharedKey::new("devstoreaccount1".to_owned(), AccountKey::parse(&Secret::new(KEY)).unwrap())
    }

    fn signature(method: &str, url: &str, headers: &[(&'static str, &'static str)]) -> String {
        let mut given = Headers::new();
        for (name, value) in headers {
            given.insert(*name, *value);
        }
        let text = string_to_sign("devstoreaccount1", method, &Url::parse(url).unwrap(), &given);
        signer().sign(&text).unwrap()
    }

    const BASE: &str = "http://127.0.0.1:10010/devstoreaccount1/buildkit-cache";
    const BLOB: &str = "sha256:542bf4266fdbe8a24c17646f31762fb2083fe64673b1ea39f99d2564e8f48f79";
    const VERSION: (&str, &str) = ("x-ms-version", "2024-11-04");
    const DATE: (&str, &str) = ("x-ms-date", "Mon, 23 Nov 2026 06:58:51 GMT");

    /// What a real BuildKit sent to a server that checks signatures.
    #[test]
    fn requests_are_signed_as_buildkit_signs_them() {
        let create = [("content-length", "0"), ("x-ms-date", "Mon, 23 Nov 2026 06:58:43 GMT"), VERSION];
        let signed = signature("PUT", &format!("{BASE}?restype=container"), &create);
        assert_eq!(signed, "c5zri/oWg9fd/eLNjD0iNGK0+iQGA/jdjrE3ZKGHJcc=");
        let octets = ("content-type", "application/octet-stream");
        let put = [
            ("content-length", "1064333"),
            octets,
            ("if-none-match", "*"),
            DATE,
            ("x-ms-blob-type", "BlockBlob"),
            VERSION,
        ];
        let name = "blobs%2Fsha256:044538d660729c7881e848b3e328a27471e714567761c44fde361da5895d114a";
        assert_eq!(signature("PUT", &format!("{BASE}/{name}"), &put), "A5uuSSZ8EgBbMSPMp+Qpj0mVWp55cFSeqEI8Swo0/u4=");
        let block = [("content-length", "6314064"), octets, DATE, VERSION];
        let id = "GqywWL2qTKhevmKU3EmKpgAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D%3D";
        let url = format!("{BASE}/blobs%2F{BLOB}?blockid={id}&comp=block");
        assert_eq!(signature("PUT", &url, &block), "lmgi0KF6ZArweI8PZJOn3MAGbfBrax8j6l7XF51D1wQ=");
        let url = format!("{BASE}/blobs%2F{BLOB}?comp=blocklist");
        let date = ("x-ms-date", "Mon, 23 Nov 2026 06:58:52 GMT");
        let list =
            [("content-length", "377"), ("content-type", "application/xml"), ("if-none-match", "*"), date, VERSION];
        assert_eq!(signature("PUT", &url, &list), "A5jpZ28okct06bLMDxs3aGs6mGd79Myx6ZWhfziNy6Q=");
    }

    #[test]
    fn a_query_is_signed_in_order_and_decoded() {
        let url = Url::parse("https://a.example/c?b=2&A=x%20y&b=1").unwrap();
        assert_eq!(resource("a", &url), "/a/c\na:x y\nb:1,2");
    }
}
