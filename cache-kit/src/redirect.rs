//! The rules for redirects that all backends share.

/// How many redirects in a row are followed.
pub const MAX_REDIRECTS: usize = 10;

/// Whether a request would leave HTTPS for plain HTTP, where anybody on the way can read it. `from` and `to` are the
/// schemes of two URLs.
///
/// No backend sends a credential that way.
#[must_use]
pub fn is_downgrade(from: &str, to: &str) -> bool {
    from == "https" && to == "http"
}

#[cfg(test)]
mod tests {
    use super::is_downgrade;

    #[test]
    fn only_https_to_http_is_a_downgrade() {
        assert!(is_downgrade("https", "http"));
        assert!(!is_downgrade("http", "http") && !is_downgrade("http", "https") && !is_downgrade("https", "https"));
    }
}
