//! The exchange of a credential for a token, by the rules of the
//! [token](https://distribution.github.io/distribution/spec/auth/token/) and
//! [OAuth2](https://distribution.github.io/distribution/spec/auth/oauth/) specifications.

use std::time::{Duration, Instant};

use cache_core::json::JsonObject;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::{MAX_REDIRECTS, Tuning, answered, is_downgrade};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use super::challenge::Bearer;
use super::credential::secret_header;
use super::{Credential, Scopes};
use crate::answer::Reading;
use crate::{error, redirect, refusal};

const CLIENT_ID: &str = "buildcache";
const FORM: &str = "application/x-www-form-urlencoded";
const FAILED: &str = "cannot get a token";
/// The default and the longest lifetime of a token, in seconds.
const DEFAULT_LIFE: f64 = 60.0;
const LONGEST_LIFE: f64 = 86_400.0;
/// A token is a few KiB; no document of a token server is larger than this.
const MOST_READ: u64 = 1 << 20;

/// A bearer token, until it is about to expire.
pub(super) struct Token {
    header: HeaderValue,
    fresh_until: Instant,
}

impl Token {
    pub(super) fn header(&self) -> &HeaderValue {
        &self.header
    }

    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }
}

/// The secret that is exchanged for a token.
pub(super) struct Exchange<'a> {
    pub(super) http: &'a Client,
    /// The registry that has named the token server.
    pub(super) base: &'a Url,
    pub(super) bearer: &'a Bearer,
    pub(super) credential: &'a Credential,
    pub(super) scopes: &'a Scopes,
    pub(super) tuning: &'a Tuning,
}

impl Exchange<'_> {
    /// Gets a token for the scopes: the secret is sent in a form, or in a header if the server accepts no form.
    pub(super) async fn run(&self) -> Result<Token> {
        let realm = self.realm()?;
        let by_form = match form(self.bearer, self.credential, self.scopes) {
            Some(form) => {
                let request = |url| self.http.post(url).header(CONTENT_TYPE, FORM).body(form.clone());
                Some(self.send(&Method::POST, realm.clone(), request).await?)
            }
            None => None,
        };
        let response = match by_form {
            Some(response) if !may_know_the_header_only(response.status(), self.credential) => response,
            _ => self.send(&Method::GET, self.query(realm), |url| self.with_header(self.http.get(url))).await?,
        };
        if !response.status().is_success() {
            return Err(refusal::refused(response, FAILED, self.tuning).await);
        }
        token(&Reading { tuning: self.tuning, message: FAILED }.read(response, MOST_READ).await?)
    }

    /// The token server. A registry that uses HTTPS cannot make us send a credential by plain HTTP.
    fn realm(&self) -> Result<Url> {
        let url = Url::parse(&self.bearer.realm).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let unusable = |why: &str| error::new(ErrorKind::Unauthenticated, why);
        let url = url.ok_or_else(|| unusable("the registry names no token server that can be asked"))?;
        if is_downgrade(self.base.scheme(), url.scheme()) {
            let error = unusable("the registry speaks HTTPS and names a token server that speaks plain HTTP");
            let error = error.with("host", url.host_str().unwrap_or_default());
            return Err(error.with_hint("no credential is sent there: the registry has to name its realm with https"));
        }
        Ok(url)
    }

    /// Sends a request and follows redirects within the same origin; no other server is sent a credential.
    async fn send(&self, method: &Method, realm: Url, request: impl Fn(Url) -> RequestBuilder) -> Result<Response> {
        let mut url = realm.clone();
        for _ in 0..=MAX_REDIRECTS {
            let sent = answered(self.tuning.timeouts().answer, FAILED, request(url).send()).await?;
            let response = sent.map_err(|error| error::transport(error, FAILED))?;
            match redirect::target(&response, method) {
                Some(target) if target.origin() == realm.origin() => url = target,
                Some(target) => return Err(leads_away(&realm, &target)),
                None => return Ok(response),
            }
        }
        Err(redirect::endless(FAILED))
    }

    fn query(&self, mut realm: Url) -> Url {
        {
            let mut query = realm.query_pairs_mut();
            if let Some(service) = &self.bearer.service {
                query.append_pair("service", service);
            }
            for scope in &self.scopes.0 {
                query.append_pair("scope", scope);
            }
        }
        realm
    }

    fn with_header(&self, request: RequestBuilder) -> RequestBuilder {
        match self.credential.basic_header() {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        }
    }
}

fn leads_away(realm: &Url, target: &Url) -> Error {
    let error = error::new(ErrorKind::Unauthenticated, "the token server redirects to another one");
    let error = error.with("host", realm.host_str().unwrap_or_default());
    let error = error.with("target", target.origin().ascii_serialization());
    error.with_hint("no credential is sent there: the registry has to name that server itself")
}

/// The form of an OAuth2 grant; anonymous tokens have none.
fn form(bearer: &Bearer, credential: &Credential, scopes: &Scopes) -> Option<String> {
    let mut form = Serializer::new(String::new());
    match credential {
        Credential::Password { username, password } => {
            form.append_pair("grant_type", "password")
                .append_pair("username", username)
                .append_pair("password", password);
        }
        Credential::IdentityToken(token) => {
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
        }
        Credential::Anonymous | Credential::RegistryToken(_) => return None,
    }
    form.append_pair("client_id", CLIENT_ID);
    // A login asks for no right.
    if !scopes.0.is_empty() {
        form.append_pair("scope", &scopes.0.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
    }
    if let Some(service) = &bearer.service {
        form.append_pair("service", service);
    }
    Some(form.finish())
}

/// Servers without OAuth2 refuse a form with various statuses; the older way then reports a wrong password itself.
fn may_know_the_header_only(status: StatusCode, credential: &Credential) -> bool {
    let is_password = matches!(credential, Credential::Password { .. });
    let is_refusal = status.is_client_error() || status.is_redirection() || status == StatusCode::NOT_IMPLEMENTED;
    is_password && is_refusal && status != StatusCode::TOO_MANY_REQUESTS
}

/// The token in an answer. As in Go, names match in any case, and an empty or `null` value counts as absent.
fn token(body: &[u8]) -> Result<Token> {
    // The parser's message could quote the token.
    let unreadable = || error::new(ErrorKind::Unauthenticated, "the token server's answer holds no token");
    let granted = JsonObject::decode(body).map_err(|_| unreadable())?;
    let field = |name: &str| granted.field::<Value>(name).ok().flatten();
    let given = |name: &str| field(name).and_then(|value| value.as_str().map(str::to_owned));
    let text = ["access_token", "token"].into_iter().filter_map(given).find(|token| !token.is_empty());
    let header = secret_header(&format!("Bearer {}", text.ok_or_else(unreadable)?)).ok_or_else(unreadable)?;
    let life = lifetime(field("expires_in").as_ref());
    let fresh_until = Instant::now().checked_add(life.mul_f64(0.9)).unwrap_or_else(Instant::now);
    Ok(Token { header, fresh_until })
}

/// Seconds, as a number or as text; anything else is ignored.
fn lifetime(given: Option<&Value>) -> Duration {
    let seconds = given.and_then(|value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()));
    let seconds = seconds.filter(|&seconds| seconds > 0.0).unwrap_or(DEFAULT_LIFE).min(LONGEST_LIFE);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn an_empty_field_is_missing_and_names_have_any_case() {
        for answer in [
            r#"{"token":"t","access_token":"","expires_in":1800,"issued_at":"2026-03-01T10:00:00Z"}"#,
            r#"{"token":"t","access_token":null}"#,
            r#"{"token":"","access_token":"t"}"#,
            r#"{"Token":"t","Access_Token":""}"#,
            r#"{"token":"t","access_token":7}"#,
        ] {
            assert_eq!(token(answer.as_bytes()).unwrap().header(), "Bearer t", "{answer}");
        }
        for answer in ["{}", "", "null", "[]", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, "<html>"] {
            assert_eq!(token(answer.as_bytes()).err().unwrap().kind(), ErrorKind::Unauthenticated, "{answer}");
        }
    }

    #[test]
    fn a_credential_is_not_sent_in_the_clear_for_a_registry_with_https() {
        let realm = |base: &str, realm: &str| {
            let bearer = Bearer { realm: realm.to_owned(), service: None, scopes: Vec::new() };
            let (http, base, scopes) = (Client::new(), Url::parse(base).unwrap(), Scopes::pull("a"));
            let credential = Credential::password("a", "hush");
            let exchange = Exchange {
                http: &http,
                base: &base,
                bearer: &bearer,
                credential: &credential,
                scopes: &scopes,
                tuning: &Tuning::default(),
            };
            exchange.realm().map(String::from)
        };
        assert_eq!(realm("https://h.io/v2/", "https://auth.io/token").unwrap(), "https://auth.io/token");
        assert_eq!(realm("http://localhost/v2/", "http://localhost/token").unwrap(), "http://localhost/token");
        for (base, refused) in [("https://h.io/v2/", "http://h.io/token"), ("http://h.io/v2/", "ftp://h.io/token")] {
            assert_eq!(realm(base, refused).unwrap_err().kind(), ErrorKind::Unauthenticated, "{refused}");
        }
    }

    #[test]
    fn a_lifetime_is_parsed_leniently() {
        let life = |text: &str| {
            let answer = format!(r#"{{"token":"t","expires_in":{text}}}"#);
            let granted = JsonObject::decode(answer.as_bytes()).unwrap();
            assert!(token(answer.as_bytes()).is_ok(), "{text}");
            lifetime(granted.field::<Value>("expires_in").ok().flatten().as_ref()).as_secs()
        };
        for (text, seconds) in [
            ("300", 300),
            ("\"300\"", 300),
            ("12.5", 12),
            ("0", 60),
            ("-1", 60),
            ("null", 60),
            ("\"soon\"", 60),
            ("[]", 60),
            ("18446744073709551615", 86_400),
            ("1e300", 86_400),
            ("1e999", 60),
        ] {
            assert_eq!(life(text), seconds, "{text}");
        }
    }
}
