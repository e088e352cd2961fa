//! The `WWW-Authenticate` header: how a registry wants to be authenticated.

use std::collections::HashMap;

use http_auth::parse_challenges;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// The challenge that is answered: bearer before basic, as Docker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Bearer(Bearer),
    Basic,
}

/// A token server, as the [token specification](https://distribution.github.io/distribution/spec/auth/token/) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    pub(super) scopes: Vec<String>,
}

/// One challenge of a header: its scheme, and its parameters by lower-case name.
struct Read {
    scheme: String,
    params: HashMap<String, String>,
}

impl Challenge {
    /// The best of all challenges; unreadable ones are ignored.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut best = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = String::from_utf8_lossy(value.as_bytes());
            for challenge in by_the_grammar(&text).unwrap_or_else(|| leniently(&text)).iter().filter_map(Self::of) {
                if best.is_none() || matches!(challenge, Self::Bearer(_)) {
                    best = Some(challenge);
                }
            }
        }
        best
    }

    fn of(read: &Read) -> Option<Self> {
        let parameter = |name: &str| read.params.get(name).filter(|value| !value.is_empty()).cloned();
        if read.scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let is_bearer = read.scheme.eq_ignore_ascii_case("bearer");
        let realm = parameter("realm").filter(|_| is_bearer)?;
        let scopes = parameter("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Some(Self::Bearer(Bearer { realm, service: parameter("service"), scopes }))
    }
}

/// Challenges as [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1) has them; several may be in one header.
fn by_the_grammar(text: &str) -> Option<Vec<Read>> {
    let challenges = parse_challenges(text).ok()?;
    let read = challenges.iter().map(|challenge| {
        let params = challenge.params.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_unescaped()));
        Read { scheme: challenge.scheme.to_owned(), params: params.collect() }
    });
    Some(read.collect())
}

/// One challenge whose values are not quoted although they have blanks or slashes; Docker accepts that too.
fn leniently(text: &str) -> Vec<Read> {
    let Some((scheme, rest)) = text.trim().split_once(char::is_whitespace) else { return Vec::new() };
    let mut is_quoted = false;
    let params = rest.split(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    let params = params.filter_map(|param| {
        let (name, value) = param.split_once('=')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
    });
    vec![Read { scheme: scheme.to_owned(), params: params.collect() }]
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn read(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        Challenge::from_headers(&headers)
    }

    #[test]
    fn bearer_takes_precedence_over_basic() {
        let bearer = Challenge::Bearer(Bearer {
            realm: "https://auth.example.com/token".to_owned(),
            service: Some("registry, of \"sorts\"".to_owned()),
            scopes: vec!["repository:a:pull".to_owned(), "b".to_owned()],
        });
        let header = r#"bearer realm="https://auth.example.com/token",service="registry, of \"sorts\"",scope="repository:a:pull b""#;
        assert_eq!(read(&["Basic realm=\"x\"", header]), Some(bearer.clone()));
        assert_eq!(read(&[header, "Basic realm=\"x\""]), Some(bearer));
        assert_eq!(read(&["Basic realm=\"x\""]), Some(Challenge::Basic));
    }

    #[test]
    fn values_without_quotes_are_read_as_docker_reads_them() {
        assert_eq!(read(&["Basic realm=Without Quotes"]), Some(Challenge::Basic));
        let bearer = |service: &str| {
            let (realm, service) = ("https://auth.example.com/token".to_owned(), Some(service.to_owned()));
            Some(Challenge::Bearer(Bearer { realm, service, scopes: vec!["repository:a:pull,push".to_owned()] }))
        };
        let header =
            "Bearer realm=https://auth.example.com/token, SERVICE=harbor registry, Scope=\"repository:a:pull,push\"";
        assert_eq!(read(&[header]), bearer("harbor registry"));
    }

    #[test]
    fn unsupported_challenges_are_none() {
        for header in ["Negotiate", "Bearer service=\"x\"", "Bearer realm=\"\"", "\"", ""] {
            assert_eq!(read(&[header]), None, "{header}");
        }
        assert_eq!(read(&[]), None);
    }
}
