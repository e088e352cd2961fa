//! Base64 (RFC 4648, section 4), for keys, logins and documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The bytes in base64, with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
