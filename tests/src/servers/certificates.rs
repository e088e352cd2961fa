//! A CA of the tests, which no system trusts, and certificates that it has signed.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// A folder with a CA in `ca.crt`, and for each name a certificate in `NAME.cert` and its key in `NAME.key`; all in
/// PEM.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// Makes a CA, and a certificate signed by it for each name.
    ///
    /// # Panics
    /// If the folder for temporary files cannot be written.
    #[must_use]
    pub fn make(names: &[&str]) -> Self {
        let folder = TempDir::with_prefix("cache-tests-").expect("a folder");
        let write = |name: &str, pem: String| fs::write(folder.path().join(name), pem).expect("it can be written");
        let key = || KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, key()).expect("a CA");
        write("ca.crt", ca.pem());
        for name in names {
            let (params, key) = (CertificateParams::new([(*name).to_owned()]).expect("a name of a host"), key());
            write(&format!("{name}.cert"), params.signed_by(&key, &ca).expect("it is signed").pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self(folder)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// One of the files.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }
}
