//! Access control: basic logins, and a token server.

use std::collections::{BTreeSet, HashMap};

use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method};

use super::http::{Answer, json};
use super::routes::denied;
use super::{Shared, State};
use crate::base64::base64;

/// Who may use a registry.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everyone.
    Open,
    /// Clients that send this name and password with each request.
    Basic(Account),
    /// Clients with a token; this account gets tokens for everything.
    Token(Account),
}

/// The one account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// A refresh token in place of both.
    pub identity: String,
    /// Whether everyone may read.
    pub is_public: bool,
    /// Whether the token server accepts forms.
    pub takes_forms: bool,
    /// `expires_in` of a token, in seconds.
    pub expires_in: u64,
    /// A template for the answer of the token server, with `TOKEN` in place of the token; `None` for the usual answer.
    pub answer: Option<&'static str>,
    /// The URL of the token server in challenges; `None` for the real one.
    pub realm: Option<&'static str>,
}

impl Account {
    /// An account with this name and password.
    #[must_use]
    pub fn new(name: &str, password: &str) -> Self {
        let identity = format!("identity-of-{name}-{password}");
        let (name, password) = (name.to_owned(), password.to_owned());
        Self {
            name,
            password,
            identity,
            is_public: false,
            takes_forms: true,
            expires_in: 300,
            answer: None,
            realm: None,
        }
    }

    fn basic(&self) -> String {
        format!("Basic {}", base64(format!("{}:{}", self.name, self.password).as_bytes()))
    }
}

/// The valid tokens, each with its scopes.
#[derive(Debug, Default)]
pub(super) struct Granted {
    good: HashMap<String, BTreeSet<String>>,
    ever: Vec<String>,
}

impl Granted {
    pub(super) fn expire(&mut self) {
        self.good.clear();
    }

    pub(super) fn ever(&self) -> Vec<String> {
        self.ever.clone()
    }

    fn grant(&mut self, scopes: BTreeSet<String>) -> String {
        let token = format!("token-{}-{}", self.ever.len(), "k9".repeat(10));
        self.good.insert(token.clone(), scopes);
        self.ever.push(token.clone());
        token
    }
}

/// The access that a request needs: an action on a repository.
pub(super) struct Need<'a> {
    /// `None` if any login is enough.
    pub(super) repository: Option<&'a str>,
    pub(super) action: &'static str,
    /// The repository that a blob is mounted from.
    pub(super) source: Option<&'a str>,
}

impl Need<'_> {
    fn scopes(&self) -> Vec<(String, &'static str)> {
        let own = self.repository.map(|repository| (format!("repository:{repository}:"), self.action));
        let source = self.source.map(|source| (format!("repository:{source}:"), "pull"));
        [own, source].into_iter().flatten().collect()
    }
}

/// The answer to a request that is not allowed.
pub(super) fn refuse(shared: &Shared, headers: &HeaderMap, need: &Need<'_>) -> Option<Answer> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match &shared.access {
        Access::Open => None,
        Access::Basic(account) if given == Some(&account.basic()) => None,
        Access::Basic(_) => Some(denied("Basic realm=\"tests\"")),
        Access::Token(account) => {
            let state = shared.state();
            let scopes = given.and_then(|given| state.granted.good.get(given.strip_prefix("Bearer ")?));
            let is_granted = |(repository, action): &(String, &str)| {
                scopes.into_iter().flatten().any(|scope| {
                    scope
                        .strip_prefix(repository.as_str())
                        .is_some_and(|actions| actions.split(',').any(|a| a == *action))
                })
            };
            let needed = need.scopes();
            if scopes.is_some() && needed.iter().all(is_granted) {
                return None;
            }
            let scope = needed.iter().map(|(repository, action)| format!("{repository}{action}")).collect::<Vec<_>>();
            let realm = account.realm.map_or_else(|| format!("http://{}/token", shared.address), str::to_owned);
            let scope = if scope.is_empty() { String::new() } else { format!(",scope=\"{}\"", scope.join(" ")) };
            Some(denied(&format!("Bearer realm=\"{realm}\",service=\"tests\"{scope}")))
        }
    }
}

/// The token server, for GET and POST.
pub(super) fn token(shared: &Shared, method: &Method, headers: &HeaderMap, fields: &[(String, String)]) -> Answer {
    let Access::Token(account) = &shared.access else { return json(404, "{}") };
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let is_form = *method == Method::POST;
    if is_form && !account.takes_forms {
        return json(405, "{}");
    }
    let is_known = if is_form {
        match field("grant_type") {
            "password" => field("username") == account.name && field("password") == account.password,
            "refresh_token" => field("refresh_token") == account.identity,
            _ => false,
        }
    } else {
        headers.get(AUTHORIZATION).is_some_and(|given| *given == account.basic())
    };
    let is_anonymous = !is_form && !headers.contains_key(AUTHORIZATION);
    if field("service") != "tests" || !(is_known || is_anonymous) {
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}"#;
        return json(401, body);
    }
    let asked = fields.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
    let granted = asked.filter_map(|scope| {
        let (repository, actions) = scope.rsplit_once(':')?;
        let actions = if is_known { actions } else { "pull" };
        (is_known || account.is_public).then(|| format!("{repository}:{actions}"))
    });
    let State { granted: tokens, .. } = &mut *shared.state();
    let token = tokens.grant(granted.collect());
    match account.answer {
        Some(answer) => json(200, &answer.replace("TOKEN", &token)),
        None => json(200, &format!(r#"{{"token":"{token}","expires_in":{}}}"#, account.expires_in)),
    }
}

/// The name of the header in answers.
pub(super) const CHALLENGE: hyper::header::HeaderName = WWW_AUTHENTICATE;
