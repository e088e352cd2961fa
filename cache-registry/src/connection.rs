//! The connection to a registry: certificates, proxies, HTTPS or plain HTTP.

use std::fs;
use std::path::{Path, PathBuf};

use cache_core::{Error, ErrorKind, Result};
use cache_kit::{read_file, within};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, Identity};
use url::Url;

use crate::config::RegistryConfig;
use crate::error;

/// How much of a file of certificates is read.
const LARGEST_PEM: u64 = 16 << 20;
/// The headers of every request.
const USER_AGENT: &str = concat!("buildcache/", env!("CARGO_PKG_VERSION"));

/// An HTTP client for one registry, and its base URL.
pub(crate) struct Connection {
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
}

impl Connection {
    /// Reads the certificates, and finds out whether an insecure registry has HTTPS.
    pub(crate) async fn open(config: &RegistryConfig) -> Result<Self> {
        let http = client(config)?;
        let reference = config.parsed();
        let scheme = match (config.is_insecure(), reference.is_loopback()) {
            (true, _) => insecure_scheme(config, &http).await?,
            (false, true) => "http",
            (false, false) => "https",
        };
        Ok(Self { http, base: base(scheme, reference.host())? })
    }
}

fn base(scheme: &str, host: &str) -> Result<Url> {
    Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| {
        error::new(ErrorKind::InvalidSpec, "the registry's name is not a host name")
            .with("host", host)
            .with_source(error)
    })
}

/// The scheme of an insecure registry: HTTPS with any certificate, or else plain HTTP, as in BuildKit.
async fn insecure_scheme(config: &RegistryConfig, http: &reqwest::Client) -> Result<&'static str> {
    let probe = http.get(base("https", config.parsed().host())?).send();
    let answer = within(config.environment().tuning().timeouts().answer, probe).await;
    Ok(match answer {
        Some(Err(error)) if may_speak_http(&error, config.parsed().has_port()) => "http",
        None => "http",
        // Any other problem affects every request, and is reported by the first one.
        Some(_) => "https",
    })
}

/// A reply that is not TLS, no answer in time, or no listener at the default port.
fn may_speak_http(error: &reqwest::Error, has_port: bool) -> bool {
    let is_no_tls = error::is_no_tls(error) || error::is_cut_off(error);
    error.is_timeout() || is_no_tls || (error::is_refused(error) && !has_port)
}

fn client(config: &RegistryConfig) -> Result<reqwest::Client> {
    let certificates = Certificates::read(config)?;
    let builder = || -> Result<ClientBuilder> {
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .http1_only()
            // The sender decides which headers go along with a redirect.
            .redirect(Policy::none())
            .referer(false)
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            .tls_danger_accept_invalid_certs(config.is_insecure());
        if let Some(timeout) = config.environment().tuning().timeouts().connect {
            builder = builder.connect_timeout(timeout);
        }
        if config.environment().tuning().timeouts().idle.is_none() {
            builder = builder.pool_idle_timeout(None);
        }
        // A proxy on another machine cannot reach this one.
        let is_direct = config.parsed().is_loopback();
        if is_direct { Ok(builder.no_proxy()) } else { config.environment().proxies().add_to(builder) }
    };
    let built = certificates.add_to(builder()?)?.build();
    let built = match built {
        // A machine without any certificates can still talk to itself.
        Err(_) if config.parsed().is_loopback() && certificates.authorities.is_empty() => {
            builder()?.tls_certs_only([]).build()
        }
        built => built,
    };
    built.map_err(|error| error::transport(error, "cannot set up the connection"))
}

/// The certificates of a registry, in Docker's layout.
struct Certificates {
    authorities: Vec<Certificate>,
    identity: Option<Identity>,
}

impl Certificates {
    fn read(config: &RegistryConfig) -> Result<Self> {
        let (mut authorities, mut identity) = (Vec::new(), None);
        for dir in config.environment().certs_dirs() {
            for path in entries(&dir.join(config.parsed().registry())) {
                match path.extension().and_then(|extension| extension.to_str()) {
                    Some("crt") => authorities.extend(read_authorities(&path)?),
                    Some("cert") if identity.is_none() => identity = Some(read_identity(&path)?),
                    _ => {}
                }
            }
        }
        Ok(Self { authorities, identity })
    }

    fn add_to(&self, builder: ClientBuilder) -> Result<ClientBuilder> {
        let builder = builder.tls_certs_merge(self.authorities.iter().cloned());
        Ok(match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        })
    }
}

/// In order of name, as Docker takes them; a directory that does not exist has none.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn read_authorities(path: &Path) -> Result<Vec<Certificate>> {
    Certificate::from_pem_bundle(&read_pem(path)?).map_err(|error| bad_pem(path).with_source(error))
}

/// `x.cert` has its key beside it in `x.key`.
fn read_identity(path: &Path) -> Result<Identity> {
    let mut pem = read_pem(&path.with_extension("key"))?;
    pem.push(b'\n');
    pem.extend(read_pem(path)?);
    // The parser's message could quote the key.
    Identity::from_pem(&pem).map_err(|_| bad_pem(path))
}

fn read_pem(path: &Path) -> Result<Vec<u8>> {
    let read = read_file(path, LARGEST_PEM);
    read.map_err(|error| {
        Error::from_io(error, "cannot read the certificate").with("backend", crate::KIND).with("path", path.display())
    })
}

fn bad_pem(path: &Path) -> Error {
    error::new(ErrorKind::InvalidSpec, "the file holds no certificate in PEM").with("path", path.display())
}
