//! What a registry asks for: the `WWW-Authenticate` header.

use http_auth::{ChallengeRef, parse_challenges};
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

impl Challenge {
    /// The best of all challenges; what cannot be read is no challenge.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut best = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let challenges = value.to_str().ok().and_then(|text| parse_challenges(text).ok()).unwrap_or_default();
            for challenge in challenges.iter().filter_map(Self::read) {
                if best.is_none() || matches!(challenge, Self::Bearer(_)) {
                    best = Some(challenge);
                }
            }
        }
        best
    }

    fn read(challenge: &ChallengeRef<'_>) -> Option<Self> {
        let parameter = |name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped()).filter(|value| !value.is_empty())
        };
        if challenge.scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let is_bearer = challenge.scheme.eq_ignore_ascii_case("bearer");
        let realm = parameter("realm").filter(|_| is_bearer)?;
        let scopes = parameter("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Some(Self::Bearer(Bearer { realm, service: parameter("service"), scopes }))
    }
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
    fn bearer_is_taken_before_basic() {
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
    fn what_cannot_be_answered_is_no_challenge() {
        for header in ["Negotiate", "Bearer service=\"x\"", "Bearer realm=\"\"", "\"", ""] {
            assert_eq!(read(&[header]), None, "{header}");
        }
        assert_eq!(read(&[]), None);
    }
}
