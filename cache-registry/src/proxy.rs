//! [`Proxies`]: which requests go through which proxy.

use cache_core::{ErrorKind, Result};
use cache_kit::Secret;
use reqwest::{ClientBuilder, NoProxy, Proxy};

use crate::error;

/// The proxies for requests. Their addresses may contain passwords, and are not shown.
///
/// ```
/// use cache_registry::Proxies;
///
/// let proxies = Proxies::none().with_https("http://me:hush@proxy.example.com:3128").with_exceptions("example.com");
/// assert!(!format!("{proxies:?}").contains("hush"));
/// ```
#[derive(Debug, Clone)]
pub struct Proxies {
    http: Option<Secret>,
    https: Option<Secret>,
    exceptions: String,
}

impl Proxies {
    /// No proxies.
    #[must_use]
    pub fn none() -> Self {
        Self { http: None, https: None, exceptions: String::new() }
    }

    /// The proxies in the variables, which `get` looks up; each may also be in lower case.
    pub(crate) fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| get(name).or_else(|| get(&name.to_lowercase())).filter(|value| !value.is_empty());
        let all = || value("ALL_PROXY");
        // To a CGI program `HTTP_PROXY` is the request header `Proxy`, which the client sets.
        let is_cgi = get("REQUEST_METHOD").is_some();
        let http = if is_cgi { get("http_proxy").filter(|value| !value.is_empty()) } else { value("HTTP_PROXY") };
        Self {
            http: http.or_else(all).map(Secret::new),
            https: value("HTTPS_PROXY").or_else(all).map(Secret::new),
            exceptions: value("NO_PROXY").unwrap_or_default(),
        }
    }

    /// Sets the proxy for requests over plain HTTP.
    #[must_use]
    pub fn with_http(self, address: impl Into<String>) -> Self {
        Self { http: Some(Secret::new(address)), ..self }
    }

    /// Sets the proxy for requests over HTTPS, through a tunnel.
    #[must_use]
    pub fn with_https(self, address: impl Into<String>) -> Self {
        Self { https: Some(Secret::new(address)), ..self }
    }

    /// Sets the hosts without a proxy, as in `NO_PROXY`: names with their subdomains, addresses and networks, separated
    /// by commas; `*` means all hosts.
    #[must_use]
    pub fn with_exceptions(self, hosts: impl Into<String>) -> Self {
        Self { exceptions: hosts.into(), ..self }
    }

    /// Uses these proxies and no others.
    pub(crate) fn add_to(&self, builder: ClientBuilder) -> Result<ClientBuilder> {
        let exceptions = NoProxy::from_string(&self.exceptions);
        let mut builder = builder.no_proxy();
        if let Some(address) = &self.http {
            builder = builder.proxy(parsed(Proxy::http(address.expose()))?.no_proxy(exceptions.clone()));
        }
        if let Some(address) = &self.https {
            builder = builder.proxy(parsed(Proxy::https(address.expose()))?.no_proxy(exceptions));
        }
        Ok(builder)
    }
}

/// The parser's message could quote a password.
fn parsed(proxy: reqwest::Result<Proxy>) -> Result<Proxy> {
    proxy.map_err(|_| {
        let error = error::new(ErrorKind::InvalidSpec, "the proxy's address is not a URL");
        error.with_hint("HTTPS_PROXY and HTTP_PROXY look like http://proxy.example.com:3128")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> [Option<String>; 3] {
        let get = |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        let Proxies { http, https, exceptions } = Proxies::from_variables(get);
        let text = |secret: Option<Secret>| secret.map(|secret| secret.expose().to_owned());
        [text(http), text(https), Some(exceptions).filter(|hosts| !hosts.is_empty())]
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn each_variable_may_be_in_lower_case_and_all_proxy_is_the_fallback() {
        assert_eq!(found(&[]), [None, None, None]);
        assert_eq!(
            found(&[("HTTP_PROXY", "a"), ("https_proxy", "b"), ("no_proxy", "c")]),
            [some("a"), some("b"), some("c")]
        );
        assert_eq!(
            found(&[("all_proxy", "a"), ("HTTPS_PROXY", "b"), ("HTTP_PROXY", "")]),
            [some("a"), some("b"), None]
        );
    }

    #[test]
    fn http_proxy_is_ignored_in_a_cgi_program() {
        assert_eq!(found(&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil")]), [None, None, None]);
        assert_eq!(found(&[("REQUEST_METHOD", "GET"), ("http_proxy", "a")]), [some("a"), None, None]);
    }

    #[test]
    fn an_invalid_address_is_not_quoted() {
        let proxies = Proxies::none().with_https("http://me:hush-hush@[");
        let error = proxies.add_to(ClientBuilder::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSpec);
        assert!(!format!("{error:?}{proxies:?}").contains("hush-hush"));
    }
}
