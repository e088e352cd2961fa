//! The storage account: its URL, its name and its key.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::Secret;
use url::{Host, Url};

/// The URL of a storage account, which may hold a shared access signature in its query.
#[derive(Clone)]
pub(crate) struct Account(Url);

impl Account {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // The parser's words and the text itself may hold the signature.
        let url = Url::parse(text)
            .map_err(|error| invalid("azure storage account url is not a valid url").with_source(error))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(invalid("azure storage account url has to start with https:// or http:// and name a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("azure storage account url takes no user and password"));
        }
        Ok(Self(url))
    }

    /// The account's name as BuildKit guesses it: the first label of the host. An address has none.
    pub(crate) fn name(&self) -> Option<&str> {
        match self.0.host()? {
            Host::Domain(domain) => domain.split('.').next().filter(|label| !label.is_empty()),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    pub(crate) fn has_signature(&self) -> bool {
        self.0.query_pairs().any(|(name, _)| name == "sig")
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// The URL of a container, with the signature.
    pub(crate) fn container(&self, name: &str) -> Result<Url> {
        let mut url = self.0.clone();
        match url.path_segments_mut() {
            Ok(mut path) => drop(path.pop_if_empty().push(name)),
            Err(()) => return Err(invalid("azure storage account url has no path")),
        }
        url.set_fragment(None);
        Ok(url)
    }
}

/// Without the query.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        url.set_query(None);
        url.set_fragment(None);
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key of an account, which signs every request.
#[derive(Clone)]
pub(crate) struct AccountKey(Vec<u8>);

impl AccountKey {
    pub(crate) fn parse(text: &Secret) -> Result<Self> {
        // The decoder's words quote a byte of the key.
        let decoded = STANDARD.decode(text.expose().trim()).ok().filter(|key| !key.is_empty());
        decoded.map(Self).ok_or_else(|| {
            Error::new(ErrorKind::InvalidSpec, "the account's key is not base64").with("attribute", "secret_access_key")
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidSpec, message).with("attribute", "account_url")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "https://acc.blob.core.windows.net/?sv=2024&sig=hush%2B";

    #[test]
    fn the_account_name_is_the_first_label_of_a_host_name() {
        let name = |url| Account::parse(url).unwrap().name().map(str::to_owned);
        assert_eq!(name(SIGNED), Some("acc".to_owned()));
        assert_eq!(name("http://127.0.0.1:10000/devstoreaccount1"), None);
        assert_eq!(name("http://[::1]/x"), None);
    }

    #[test]
    fn a_container_is_below_the_path_and_keeps_the_signature() {
        let url = |url| Account::parse(url).unwrap().container("c").unwrap().to_string();
        assert_eq!(url(SIGNED), "https://acc.blob.core.windows.net/c?sv=2024&sig=hush%2B");
        assert_eq!(url("http://127.0.0.1:1/dev"), "http://127.0.0.1:1/dev/c");
        assert_eq!(url("http://127.0.0.1:1/dev/"), "http://127.0.0.1:1/dev/c");
    }

    #[test]
    fn a_signature_is_never_shown() {
        let account = Account::parse(SIGNED).unwrap();
        assert!(account.has_signature());
        assert_eq!(
            format!("{account} {account:?}"),
            "https://acc.blob.core.windows.net/ https://acc.blob.core.windows.net/"
        );
        for bad in ["https://?sig=hush", "ftp://a/?sig=hush", "a?sig=hush", "https://u:hush@a/"] {
            assert!(!format!("{:?}", Account::parse(bad).unwrap_err()).contains("hush"), "{bad}");
        }
    }

    #[test]
    fn a_key_is_base64_and_never_shown() {
        let key = AccountKey::parse(&Secret::new("aHVzaA==\n")).unwrap();
        assert_eq!((key.bytes(), format!("{key:?}")), (&b"hush"[..], "REDACTED".to_owned()));
        for bad in ["", "hush!", "aHVzaA"] {
            assert_eq!(
                AccountKey::parse(&Secret::new(bad)).unwrap_err().context("attribute"),
                Some("secret_access_key")
            );
        }
    }
}
