//! The token of a job: its scopes and its validity.

use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cache_core::{Error, ErrorKind, Result, Timestamp};
use cache_kit::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error;
use crate::fields::Fields;

/// The algorithms that BuildKit's reader of tokens knows; it verifies none.
const ALGORITHMS: [&str; 14] = [
    "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
    "EdDSA",
];
const WRITE: u64 = 2;

/// A JSON Web Token. Its signature is not verified: that is up to the service.
#[derive(Clone)]
pub(crate) struct Token {
    raw: Secret,
    scopes: Vec<Scope>,
    not_before: f64,
    expires: f64,
}

/// A Git ref whose caches the token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scope {
    name: String,
    permission: u64,
}

#[derive(Deserialize)]
struct Claims {
    ac: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

impl Token {
    /// Reads the claims.
    pub(crate) fn parse(raw: Secret) -> Result<Self> {
        let mut segments = raw.expose().split('.');
        let [Some(header), Some(claims), Some(signature), None] = std::array::from_fn(|_| segments.next()) else {
            return Err(malformed("it has not three parts"));
        };
        // It is sent in a header unchanged.
        let is_text = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=' | '+' | '/');
        if !signature.chars().all(is_text) {
            return Err(malformed("its signature is not base64"));
        }
        let header: Map<String, Value> = decode(header, "header")?;
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        if !ALGORITHMS.contains(&algorithm) {
            return Err(malformed("its algorithm is unknown"));
        }
        let claims: Claims = decode(claims, "claims")?;
        let (Some(ac), Some(expires), Some(not_before)) = (claims.ac, claims.exp, claims.nbf) else {
            return Err(malformed("one of the claims ac, exp and nbf is missing"));
        };
        Ok(Self { scopes: parse_scopes(&ac)?, raw, not_before, expires })
    }

    /// Whether the token is valid now.
    pub(crate) fn check_time(&self) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let (message, at) = if self.expires < now {
            ("cache token has expired", self.expires)
        } else if self.not_before > now {
            ("cache token is not valid yet", self.not_before)
        } else {
            return Ok(());
        };
        let error = error::new(ErrorKind::Unauthenticated, message).with("at", time(at));
        Err(error.with_hint("a token is valid for as long as its job runs; use the token of a running job"))
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.raw
    }

    /// The scopes whose caches are read, in the order of the token: all of them, as in BuildKit. A scope that can be
    /// written can be read, and the tokens of Gitea, Forgejo and act have no other bit.
    pub(crate) fn readable(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for scope in &self.scopes {
            if !names.contains(&scope.name.as_str()) {
                names.push(scope.name.as_str());
            }
        }
        names
    }

    /// The scope that a new entry is in: the last one that can be written, as BuildKit chooses it.
    pub(crate) fn written(&self) -> Option<&str> {
        self.scopes.iter().rev().find(|scope| scope.permission & WRITE != 0).map(|scope| scope.name.as_str())
    }
}

fn decode<T: DeserializeOwned>(segment: &str, part: &str) -> Result<T> {
    // The errors of parsers could quote the token.
    let bytes = URL_SAFE_NO_PAD.decode(segment.trim_end_matches('='));
    let bytes = bytes.map_err(|_| malformed(&format!("its {part} is not base64")))?;
    serde_json::from_slice(&bytes).map_err(|_| malformed(&format!("its {part} cannot be read")))
}

/// `[{"Scope":"refs/heads/main","Permission":3}]`, the names in any case; what is `null` is empty, as in Go.
fn parse_scopes(text: &str) -> Result<Vec<Scope>> {
    let list: Option<Vec<Option<Fields>>> =
        serde_json::from_str(text).map_err(|_| malformed("its claim ac is not a list of scopes"))?;
    let scope = |fields: Option<Fields>| {
        let fields = fields.unwrap_or_default();
        Scope { name: fields.text("Scope").to_owned(), permission: fields.number("Permission").unwrap_or_default() }
    };
    Ok(list.unwrap_or_default().into_iter().map(scope).collect())
}

fn malformed(why: &str) -> Error {
    let error = error::new(ErrorKind::InvalidSpec, "cache token is malformed").with("attribute", "token");
    error.with("cause", why).with_hint("use the value of ACTIONS_RUNTIME_TOKEN; a GITHUB_TOKEN is something else")
}

fn time(seconds: f64) -> Timestamp {
    let since = std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(since).map_or(Timestamp::ZERO, Timestamp::from)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: &Value) -> Result<Token> {
        signed_with("HS256", claims)
    }

    fn signed_with(algorithm: &str, claims: &Value) -> Result<Token> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        Token::parse(Secret::new(format!("{}.{}.c2ln", part(&json!({ "alg": algorithm })), part(claims))))
    }

    fn scoped(ac: &str) -> Token {
        token(&json!({ "ac": ac, "exp": 4e9, "nbf": 0 })).unwrap()
    }

    #[test]
    fn the_last_writable_scope_is_written_and_every_scope_read() {
        let token = scoped(
            r#"[{"Scope":"refs/pull/7/merge","Permission":3},{"scope":"refs/heads/a","permission":2},
                {"Scope":"refs/heads/main","Permission":1},{"Scope":"refs/heads/main","Permission":1}]"#,
        );
        assert_eq!(token.readable(), ["refs/pull/7/merge", "refs/heads/a", "refs/heads/main"]);
        assert_eq!(token.written(), Some("refs/heads/a"));
        assert_eq!(scoped(r#"[{"Scope":"x","Permission":1}]"#).written(), None);
    }

    #[test]
    fn the_token_of_gitea_reads_and_writes_the_scope_without_a_name() {
        for ac in [r#"[{"Scope":"","Permission":2}]"#, r#"[{"Scope":null,"Permission":2}]"#, r#"[{"Permission":2}]"#] {
            let token = scoped(ac);
            assert_eq!((token.readable(), token.written()), (vec![""], Some("")), "{ac}");
        }
        for ac in ["null", "[]"] {
            let token = scoped(ac);
            assert!(token.readable().is_empty() && token.written().is_none(), "{ac}");
        }
    }

    #[test]
    fn a_token_counts_from_nbf_to_exp() {
        let times = |nbf: f64, exp: f64| token(&json!({ "ac": "[]", "exp": exp, "nbf": nbf })).unwrap().check_time();
        times(1e9, 4e9).unwrap();
        let error = times(1e9, 1.1e9).unwrap_err();
        assert_eq!((error.kind(), error.context("at")), (ErrorKind::Unauthenticated, Some("2004-11-09T11:33:20Z")));
        assert_eq!(times(4e9, 5e9).unwrap_err().kind(), ErrorKind::Unauthenticated);
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_shown() {
        for raw in ["", "hush", "hush.hush.hush", "a.b", "a.b.c.d", "aHVzaA.aHVzaA.hush\n"] {
            let error = Token::parse(Secret::new(raw)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
        assert!(signed_with("rot13", &json!({ "ac": "[]", "exp": 1, "nbf": 1 })).is_err());
        for missing in ["ac", "exp", "nbf"] {
            let mut claims = json!({ "ac": "[]", "exp": 4e9, "nbf": 0 });
            claims.as_object_mut().unwrap().remove(missing);
            assert!(token(&claims).is_err(), "{missing}");
        }
        assert!(token(&json!({ "ac": "{}", "exp": 4e9, "nbf": 0 })).is_err());
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = scoped(r#"[{"Scope":"x","Permission":1}]"#);
        assert!(!format!("{token:?}").contains(token.secret().expose()));
    }
}
