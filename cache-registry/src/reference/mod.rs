//! Image references: the registry, the repository, and the tag or digest.

mod grammar;

use std::fmt;
use std::net::IpAddr;

use cache_core::spec::shown_place;
use cache_core::{Digest, Error, ErrorKind, Result};

pub(crate) use self::grammar::{is_repository, is_tag};
use crate::KIND;

/// The name that references have for Docker Hub, the name they had before, and where it answers.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_INDEX: &str = "index.docker.io";
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
/// Where Docker Hub keeps repositories without an owner.
const DOCKER_HUB_LIBRARY: &str = "library/";

/// A reference with everything filled in that Docker lets one leave out; it names a tag, a digest or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference as `docker` does: `alpine` is `docker.io/library/alpine:latest`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let shown = shown_place(text);
        let read = match shown == text {
            true => Self::read(text),
            false => Err("a user, a password or a query is not part of it".to_owned()),
        };
        read.map_err(|why| {
            Error::new(ErrorKind::InvalidSpec, format!("invalid reference format: {why}"))
                .with("backend", KIND)
                .with("ref", &shown)
                .with_hint("a reference looks like registry.example.com/team/cache:tag")
        })
    }

    /// Parses a reference; the error is the reason why it is invalid.
    fn read(text: &str) -> Result<Self, String> {
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => {
                (named, Some(digest.parse().map_err(|_| "the part after @ is not a digest".to_owned())?))
            }
            None => (text, None),
        };
        // A colon before the last slash is that of a port.
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (named, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if grammar::names_a_registry(first) => (first, path),
            _ => (DOCKER_HUB, name),
        };
        if !grammar::is_registry(registry) {
            return Err(format!("{registry} is not a host name"));
        }
        if !is_repository(path) {
            return Err(if is_repository(&path.to_lowercase()) {
                format!("repository name ({path}) must be lowercase")
            } else {
                "it holds characters that no repository has".to_owned()
            });
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("the tag is none: letters, digits, _, . and -, at most 128".to_owned());
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self::complete(registry, path, tag, digest))
    }

    /// Gives Docker Hub its one name, and its library.
    fn complete(registry: &str, path: &str, tag: Option<String>, digest: Option<Digest>) -> Self {
        let registry = if registry == DOCKER_HUB_INDEX { DOCKER_HUB } else { registry };
        let is_library = registry == DOCKER_HUB && !path.contains('/');
        let repository = format!("{}{path}", if is_library { DOCKER_HUB_LIBRARY } else { "" });
        Self { registry: registry.to_owned(), repository, tag, digest }
    }

    /// The registry that a person logs in to, as `docker login` takes it: a host, also as a URL. It has no repository.
    pub(crate) fn of_registry(text: &str) -> Result<Self> {
        let shown = shown_place(text);
        let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        // In a URL the path after the host is that of the API; otherwise it is a repository.
        let host = bare.map_or(text, |bare| bare.split('/').next().unwrap_or_default());
        let named = host.split('/').next().unwrap_or_default();
        let is_whole = host == named && grammar::names_a_registry(host) && grammar::is_registry(host);
        if is_whole && shown == text {
            let registry = if [DOCKER_HUB_INDEX, DOCKER_HUB_HOST].contains(&host) { DOCKER_HUB } else { host };
            return Ok(Self { registry: registry.to_owned(), repository: String::new(), tag: None, digest: None });
        }
        let error =
            Error::new(ErrorKind::InvalidSpec, "this is not a registry").with("backend", KIND).with("registry", &shown);
        let is_reference = host != named && grammar::names_a_registry(named) && shown == text;
        let meant = is_reference.then_some(named).filter(|named| grammar::is_registry(named));
        Err(error.with_hint(match meant {
            Some(named) => format!("a login is for a whole registry: did you mean {named}?"),
            None => "a registry is a host like ghcr.io, docker.io or localhost:5000".to_owned(),
        }))
    }

    /// The same repository at a digest.
    pub(crate) fn at_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository at a tag.
    pub(crate) fn at_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// The registry as references and credentials name it, with its port.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// The registry's name without its port and without brackets, as containerd's annotations have it.
    pub(crate) fn hostname(&self) -> &str {
        match self.registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => self.registry.split(':').next().unwrap_or(&self.registry),
        }
    }

    /// The host and port that answer for the registry.
    pub(crate) fn host(&self) -> &str {
        if self.is_docker_hub() { DOCKER_HUB_HOST } else { &self.registry }
    }

    pub(crate) fn is_docker_hub(&self) -> bool {
        self.registry == DOCKER_HUB
    }

    /// Whether the registry is this machine, where Docker and BuildKit speak plain HTTP.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.hostname();
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn has_port(&self) -> bool {
        self.registry.rsplit(']').next().is_some_and(|end| end.contains(':'))
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// The digest or tag to read; a digest takes precedence.
    pub(crate) fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| "latest".to_owned()),
        }
    }

    /// The reference under which a writer puts the manifest `ours`.
    ///
    /// As in BuildKit, a digest that is not that of the manifest is not obeyed: the manifest goes to its own digest,
    /// and a tag beside the digest is not touched.
    pub(crate) fn target(&self, ours: &Digest) -> String {
        match (&self.digest, &self.tag) {
            (None, Some(tag)) => tag.clone(),
            (Some(digest), Some(tag)) if digest == ours => tag.clone(),
            _ => ours.to_string(),
        }
    }

    pub(crate) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub(crate) fn digest(&self) -> Option<Digest> {
        self.digest
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        if !self.repository.is_empty() {
            write!(f, "/{}", self.repository)?;
        }
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

    fn parse(text: &str) -> Reference {
        Reference::parse(text).unwrap()
    }

    #[test]
    fn omitted_parts_get_dockers_defaults() {
        for (short, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("team/cache:x", "docker.io/team/cache:x"),
            ("index.docker.io/team/cache", "docker.io/team/cache:latest"),
            ("localhost/cache", "localhost/cache:latest"),
            ("localhost:5000/a/b/c:1", "localhost:5000/a/b/c:1"),
            ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
        ] {
            assert_eq!(parse(short).to_string(), full);
        }
        let pinned = format!("ghcr.io/a/b@{DIGEST}");
        assert_eq!(parse(&pinned).to_string(), pinned);
        let both = format!("ghcr.io/a/b:t@{DIGEST}");
        assert_eq!(parse(&both).to_string(), both);
    }

    #[test]
    fn an_ipv6_address_is_in_brackets() {
        for (text, host, name) in
            [("[::1]:5000/team/app:c", "[::1]:5000", "::1"), ("[2001:db8::7]/app", "[2001:db8::7]", "2001:db8::7")]
        {
            let parsed = parse(text);
            assert_eq!((parsed.host(), parsed.hostname(), parsed.has_port()), (host, name, text.contains("]:")));
        }
        assert!(parse("[::1]/a").is_loopback() && !parse("[2001:db8::7]/a").is_loopback());
        for text in ["[::1/a", "[::1]5000/a", "[::g]/a", "[]/a", "::1/a", "[::1]:/a", "[::1]:x/a"] {
            assert_eq!(Reference::parse(text).unwrap_err().kind(), ErrorKind::InvalidSpec, "{text}");
        }
    }

    #[test]
    fn a_reference_cannot_leave_the_repository() {
        for text in
            ["h.io/../x", "h.io/a/../b:t", "h.io/a//b", "h.io/a/:t", "h.io/a:../../b", "h.io/a:t?x", "h.io/a%2fb"]
        {
            assert_eq!(Reference::parse(text).unwrap_err().kind(), ErrorKind::InvalidSpec, "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_quoted() {
        for text in ["https://me:hush-hush@h.io/x", "me:hush-hush@h.io/x:t", "h.io/x:hush-hush@y"] {
            assert!(!format!("{:?}", Reference::parse(text).unwrap_err()).contains("hush"), "{text}");
        }
    }

    #[test]
    fn a_login_is_for_a_whole_registry() {
        let registry = |text: &str| Reference::of_registry(text).map(|reference| reference.registry().to_owned());
        for (text, name) in [
            ("ghcr.io", "ghcr.io"),
            ("https://ghcr.io/v2/", "ghcr.io"),
            ("localhost:5000", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
        ] {
            assert_eq!(registry(text).unwrap(), name, "{text}");
        }
        let hint = |text: &str| Reference::of_registry(text).unwrap_err().hint().map(str::to_owned).unwrap();
        assert!(hint("ghcr.io/me/app:cache").contains("did you mean ghcr.io?"));
        for text in
            ["", "ghcr", "me/app", "https://me:hush@ghcr.io", "ghcr.io?x=hush", "ghcr.io:x", "type=registry,ref=a.b/c"]
        {
            assert!(hint(text).contains("a host like"), "{text}");
            assert!(!format!("{:?}", Reference::of_registry(text).unwrap_err()).contains("hush"), "{text}");
        }
    }

    #[test]
    fn docker_hub_has_another_host() {
        assert_eq!(parse("alpine").host(), "registry-1.docker.io");
        assert_eq!(parse("ghcr.io/a/b").host(), "ghcr.io");
        assert_eq!((parse("h:5000/a").host(), parse("h:5000/a").hostname()), ("h:5000", "h"));
    }

    #[test]
    fn this_machine_is_known() {
        for here in ["localhost/a", "localhost:5000/a", "127.0.0.1:5000/a", "127.1.2.3:1/a"] {
            assert!(parse(here).is_loopback(), "{here}");
        }
        for elsewhere in ["alpine", "10.0.0.1:5000/a", "localhost.example.com/a"] {
            assert!(!parse(elsewhere).is_loopback(), "{elsewhere}");
        }
    }

    #[test]
    fn an_upper_case_repository_is_named_as_docker_names_it() {
        for (text, name) in [("Foo/bar", "Foo/bar"), ("ghcr.io/Team/cache:x", "Team/cache")] {
            let error = Reference::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec);
            let message = format!("invalid reference format: repository name ({name}) must be lowercase");
            assert!(error.to_string().starts_with(&message), "{error}");
        }
        for text in ["", ":x", "a b", "a:", "ghcr.io/a/b@sha256:12", "ghcr.io/a/b@", "http://ghcr.io/a", "ghcr.io/"] {
            assert_eq!(Reference::parse(text).unwrap_err().kind(), ErrorKind::InvalidSpec, "{text}");
        }
    }

    #[test]
    fn a_digest_is_read_and_a_tag_beside_it_is_written_only_with_that_digest() {
        let (named, other): (Digest, Digest) = (DIGEST.parse().unwrap(), Digest::sha256(b"other"));
        assert_eq!(parse("a:t").selector(), "t");
        assert_eq!(parse("a:t").target(&other), "t");
        let pinned = parse(&format!("a@{DIGEST}"));
        assert_eq!((pinned.selector().as_str(), pinned.target(&named).as_str()), (DIGEST, DIGEST));
        assert_eq!(pinned.target(&other), other.to_string());
        let both = parse(&format!("a:t@{DIGEST}"));
        assert_eq!((both.selector().as_str(), both.target(&named).as_str()), (DIGEST, "t"));
        assert_eq!(both.target(&other), other.to_string());
    }
}
