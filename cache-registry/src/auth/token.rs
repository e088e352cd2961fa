//! The exchange of a credential for a token, by the rules of the
//! [token](https://distribution.github.io/distribution/spec/auth/token/) and
//! [OAuth2](https://distribution.github.io/distribution/spec/auth/oauth/) specifications.

use std::time::{Duration, Instant};

use cache_core::{ErrorKind, Result, within};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use super::challenge::Bearer;
use super::credential::secret_header;
use super::{Credential, Scopes};
use crate::error;

const CLIENT_ID: &str = "buildcache";
const FORM: &str = "application/x-www-form-urlencoded";
const FAILED: &str = "cannot get a token";
/// How long a token lasts that does not say.
const DEFAULT_LIFE: u64 = 60;
/// A token is a few KiB; no document of a token server is larger than this.
const MOST_READ: usize = 1 << 20;

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

#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Gets a token for the scopes: a secret goes into a form, and into a header where the server takes no form.
pub(super) async fn exchange(
    http: &Client,
    bearer: &Bearer,
    (credential, scopes): (&Credential, &Scopes),
    idle: Option<Duration>,
) -> Result<Token> {
    let realm = realm(bearer)?;
    let form = form(bearer, credential, scopes);
    let by_form = match form {
        Some(form) => {
            let request = http.post(realm.clone()).header(CONTENT_TYPE, FORM).body(form);
            Some(send(request, idle).await?)
        }
        None => None,
    };
    let response = match by_form {
        Some(response) if !may_know_the_header_only(response.status(), credential) => response,
        _ => send(query(http, realm, bearer, (credential, scopes)), idle).await?,
    };
    if !response.status().is_success() {
        return Err(error::refused(response, FAILED, idle).await);
    }
    read(response, idle).await
}

fn realm(bearer: &Bearer) -> Result<Url> {
    let url = Url::parse(&bearer.realm).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| error::new(ErrorKind::Unauthenticated, "the registry names no token server that can be asked"))
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
    form.append_pair("scope", &scopes.0.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
    if let Some(service) = &bearer.service {
        form.append_pair("service", service);
    }
    Some(form.finish())
}

/// Servers that know only the older way answer a form like this; a wrong password is found out again.
fn may_know_the_header_only(status: StatusCode, credential: &Credential) -> bool {
    let is_password = matches!(credential, Credential::Password { .. });
    is_password && matches!(status.as_u16(), 401 | 404 | 405)
}

fn query(
    http: &Client,
    mut realm: Url,
    bearer: &Bearer,
    (credential, scopes): (&Credential, &Scopes),
) -> RequestBuilder {
    {
        let mut query = realm.query_pairs_mut();
        if let Some(service) = &bearer.service {
            query.append_pair("service", service);
        }
        for scope in &scopes.0 {
            query.append_pair("scope", scope);
        }
    }
    let request = http.get(realm);
    match credential.basic_header() {
        Some(header) => request.header(AUTHORIZATION, header),
        None => request,
    }
}

async fn send(request: RequestBuilder, idle: Option<Duration>) -> Result<Response> {
    let Some(sent) = within(idle, request.send()).await else {
        return Err(error::stalled(FAILED, idle.unwrap_or_default()));
    };
    sent.map_err(|error| error::transport(error, FAILED))
}

async fn read(mut response: Response, idle: Option<Duration>) -> Result<Token> {
    let unreadable = || error::new(ErrorKind::Unauthenticated, "the token server's answer holds no token");
    let mut body = Vec::new();
    loop {
        let Some(piece) = within(idle, response.chunk()).await else {
            return Err(error::stalled(FAILED, idle.unwrap_or_default()));
        };
        let Some(piece) = piece.map_err(|error| error::transport(error, FAILED))? else { break };
        body.extend_from_slice(&piece);
        if body.len() > MOST_READ {
            return Err(unreadable());
        }
    }
    // The parser's own words may quote the token.
    let granted: Granted = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    let text = granted.access_token.or(granted.token).filter(|token| !token.is_empty()).ok_or_else(unreadable)?;
    let header = secret_header(&format!("Bearer {text}")).ok_or_else(unreadable)?;
    let life = Duration::from_secs(granted.expires_in.filter(|&life| life > 0).unwrap_or(DEFAULT_LIFE));
    Ok(Token { header, fresh_until: Instant::now() + life.mul_f64(0.9) })
}
