//! Recognises untrusted certificates by the messages of rustls, which all backends use.

/// The hint for a certificate that is not trusted.
pub const UNTRUSTED: &str =
    "this machine has to trust the CA of the server's certificate; SSL_CERT_FILE or SSL_CERT_DIR can name it";

/// Whether a connection failed because of a certificate, by the cause that the client reports; a retry does not help.
#[must_use]
pub fn is_untrusted(cause: &str) -> bool {
    cause.contains("certificate") || cause.contains("fatal alert")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untrusted_certificate_differs_from_a_broken_connection() {
        for cause in [
            "invalid peer certificate: UnknownIssuer",
            "received fatal alert: CertificateRequired",
            "unexpected error: No CA certificates were loaded from the system",
        ] {
            assert!(is_untrusted(cause), "{cause}");
        }
        assert!(!is_untrusted("connection reset by peer") && !is_untrusted("received corrupt message"));
    }
}
