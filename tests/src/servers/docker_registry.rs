//! Debian's `docker-registry`, a real registry, on a free port and in a temporary folder. Distribution 3 can take its
//! place.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::programs::is_installed;

/// The name and password of the account of [`Setup::Password`].
pub const ACCOUNT: (&str, &str) = ("tester", "correct-horse-41");
/// The bcrypt hash of its password.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuf0P/dj.tUjCYoAR3DG7wolW1FuMfYE.";

/// The variable with the path of distribution 3, for which there is no package.
pub const DISTRIBUTION_3: &str = "BUILDCACHE_REGISTRY3";

/// How a registry is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// Open to everyone, over plain HTTP.
    Plain,
    /// Open to the account, over plain HTTP.
    Password,
    /// Open to everyone, over TLS with a self-signed certificate.
    Tls,
    /// Open to everyone, without deletion.
    NoDelete,
}

/// The certificates of a registry with TLS: files in PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The CA of client certificates; without one, no client certificate is required.
    pub client_ca: Option<PathBuf>,
}

/// A running `docker-registry`; it ends when it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    process: Child,
    folder: TempDir,
    host: String,
}

impl DockerRegistry {
    /// Whether the program is installed; `cargo xtask setup` installs it.
    #[must_use]
    pub fn is_installed() -> bool {
        is_installed("docker-registry", "--version")
    }

    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(setup: Setup) -> Self {
        Self::start_with(|folder, host| write_config(folder, host, setup))
    }

    /// Starts distribution 3 and waits until it answers; `None` if [`DISTRIBUTION_3`] is not set.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_distribution_3() -> Option<Self> {
        let program = env::var_os(DISTRIBUTION_3).filter(|program| !program.is_empty())?;
        Some(Self::start_program(&program, |folder, host| write_config(folder, host, Setup::Plain)))
    }

    /// Starts one with certificates, open to everyone, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_tls(tls: &Tls) -> Self {
        Self::start_with(|folder, host| {
            let path = write_config(folder, host, Setup::Plain)?;
            let mut config = fs::read_to_string(&path)?;
            config +=
                &format!("  tls:\n    certificate: {}\n    key: {}\n", tls.certificate.display(), tls.key.display());
            if let Some(ca) = &tls.client_ca {
                config += &format!("    clientcas: [{}]\n", ca.display());
            }
            fs::write(&path, config)?;
            Ok(path)
        })
    }

    fn start_with(write: impl Fn(&Path, &str) -> io::Result<PathBuf>) -> Self {
        Self::start_program(OsStr::new("docker-registry"), write)
    }

    fn start_program(program: &OsStr, write: impl Fn(&Path, &str) -> io::Result<PathBuf>) -> Self {
        let folder = TempDir::with_prefix("cache-tests-").expect("the folder for temporary files can be written");
        // Another process may take the port first. The registry then exits, and another port is tried.
        for _ in 0..5 {
            let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
            let host = free.expect("a free port").to_string();
            let config = write(folder.path(), &host).expect("the folder can be written");
            let log = fs::File::create(folder.path().join("log")).expect("the folder can be written");
            let mut command = Command::new(program);
            command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            let mut process = command.env("OTEL_TRACES_EXPORTER", "none").spawn().expect("docker-registry runs");
            if is_up(&mut process, &host) {
                return Self { process, folder, host };
            }
            // It has exited, or does not answer.
            let _ = process.kill();
            let _ = process.wait();
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("docker-registry does not start: {log}")
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The folder of its content.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The certificate of [`Setup::Tls`].
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_config(folder: &Path, host: &str, setup: Setup) -> io::Result<PathBuf> {
    let show = |name: &str| folder.join(name).display().to_string();
    let deletes = setup != Setup::NoDelete;
    let mut config = format!(
        "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
         rootdirectory: {}\n  delete:\n    enabled: {deletes}\nhttp:\n  addr: {host}\n",
        show("store")
    );
    match setup {
        Setup::Plain | Setup::NoDelete => {}
        Setup::Password => {
            fs::write(folder.join("htpasswd"), format!("{}:{HASH}\n", ACCOUNT.0))?;
            config += &format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", show("htpasswd"));
        }
        Setup::Tls => {
            make_certificate(folder)?;
            config += &format!("  tls:\n    certificate: {}\n    key: {}\n", show("ca.crt"), show("ca.key"));
        }
    }
    let path = folder.join("config.yml");
    fs::write(&path, config)?;
    Ok(path)
}

fn make_certificate(folder: &Path) -> io::Result<()> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    command.arg("-keyout").arg(folder.join("ca.key")).arg("-out").arg(folder.join("ca.crt"));
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("openssl makes no certificate")) }
}

fn is_up(process: &mut Child, host: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline && matches!(process.try_wait(), Ok(None)) {
        if TcpStream::connect(host).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
