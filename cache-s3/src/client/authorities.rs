//! The connections of the SDK, with the CAs of `$AWS_CA_BUNDLE` or of the AWS profile if one is set.

use std::path::Path;

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cache_core::{Error, ErrorKind, Result};
use cache_kit::read_file;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_native_certs::load_native_certs;

use crate::error;

/// How much of a bundle is read.
const LARGEST: u64 = 16 << 20;

/// The SDK's own client with other CAs: with a bundle, only its CAs are trusted, as in other programs of AWS.
pub(super) fn client(bundle: Option<&Path>) -> Result<SharedHttpClient> {
    let trusted = match bundle {
        Some(path) => TrustStore::empty().with_pem_certificate(read(path)?),
        // The SDK's debug builds panic on a machine without CAs, which may still use plain HTTP.
        None => TrustStore::empty().with_native_roots(!load_native_certs().certs.is_empty()),
    };
    let context = TlsContext::builder().with_trust_store(trusted).build();
    let context = context
        .map_err(|error| error::new(ErrorKind::InvalidSpec, "cannot set up the connection").with_source(error))?;
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let provider = Provider::Rustls(CryptoMode::AwsLc);
        let mut connector = ConnectorBuilder::default().tls_provider(provider).tls_context(context.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.build()
    }))
}

/// The readable certificates of the file, as PEM: the SDK panics on one that it cannot read.
fn read(path: &Path) -> Result<String> {
    let text = read_file(path, LARGEST).map_err(|error| unusable(path).with("cause", error))?;
    let (mut trusted, mut pem) = (RootCertStore::empty(), String::new());
    for certificate in CertificateDer::pem_slice_iter(&text).flatten() {
        if trusted.add(certificate.clone()).is_ok() {
            let encoded = BASE64.encode(&certificate);
            pem += &format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
        }
    }
    if pem.is_empty() { Err(unusable(path).with("cause", "it holds no certificate in PEM")) } else { Ok(pem) }
}

fn unusable(path: &Path) -> Error {
    let error = error::new(ErrorKind::InvalidSpec, "cannot use the CA bundle").with("path", path.display());
    error.with_hint(
        "AWS_CA_BUNDLE, or ca_bundle in the AWS profile, has to name a file of certificates in PEM; without it the \
         system's CAs are trusted",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";

    #[test]
    fn a_file_without_a_certificate_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let key = "-----BEGIN PRIVATE KEY-----\naHVzaA==\n-----END PRIVATE KEY-----\n";
        let no_certificate = format!("{BEGIN}\naHVzaA==\n{END}\n");
        for text in ["", "hush", key, &no_certificate, &format!("{BEGIN}\n!!\n{END}"), &format!("{BEGIN}\naHVzaA==")] {
            fs::write(&path, text).unwrap();
            let error = client(Some(&path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{text}");
            let shown = format!("{error} {error:?} {}", error.hint().unwrap_or_default());
            assert!(
                shown.contains("ca.pem") && shown.contains("AWS_CA_BUNDLE") && !shown.contains("aHVzaA"),
                "{shown}"
            );
        }
        for path in [folder.path().join("nowhere"), folder.path().to_owned()] {
            assert_eq!(client(Some(&path)).unwrap_err().kind(), ErrorKind::InvalidSpec);
        }
    }
}
