//! Checks signatures by the published rules, independently of the client:
//! <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.

use cache_core::Digest;
use hyper::http::request::Parts;

use super::http::fields;
use super::{ACCOUNT, KEY};
use crate::base64::base64;

/// The error of a signature; `None` if it is valid.
pub(super) fn fault(parts: &Parts) -> Option<&'static str> {
    let Some(given) = header(parts, "authorization") else { return Some("NoAuthenticationInformation") };
    let expected = format!("SharedKey {ACCOUNT}:{}", base64(&hmac(KEY, string_to_sign(parts).as_bytes())));
    (given != expected || header(parts, "x-ms-date").is_none()).then_some("AuthenticationFailed")
}

/// Thirteen lines for the method and the standard headers, then the `x-ms-` headers, then the resource.
fn string_to_sign(parts: &Parts) -> String {
    let value = |name: &str| header(parts, name).unwrap_or_default();
    let length = if value("content-length") == "0" { "" } else { value("content-length") };
    let mut lines = vec![parts.method.as_str().to_owned()];
    lines.extend(["content-encoding", "content-language"].map(|name| value(name).to_owned()));
    lines.push(length.to_owned());
    lines.extend(["content-md5", "content-type"].map(|name| value(name).to_owned()));
    // `Date` is empty if `x-ms-date` is set.
    lines.push(String::new());
    let conditions = ["if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"];
    lines.extend(conditions.map(|name| value(name).to_owned()));
    let mut own: Vec<(&str, &str)> = parts
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-ms-"))
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default().trim()))
        .collect();
    own.sort_unstable();
    lines.extend(own.into_iter().map(|(name, value)| format!("{name}:{value}")));
    lines.push(format!("/{ACCOUNT}{}", parts.uri.path()));
    let mut query = fields(parts.uri.query().unwrap_or_default());
    query.sort_unstable();
    lines.extend(query.into_iter().map(|(name, value)| format!("{}:{value}", name.to_lowercase())));
    lines.join("\n")
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

/// HMAC-SHA-256 (RFC 2104) with a key of at most one block.
#[must_use]
pub fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let padded = |pad: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ pad).collect() };
    let inner = sha256(&[padded(0x36), message.to_vec()].concat());
    sha256(&[padded(0x5c), inner].concat())
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let hex = Digest::sha256(bytes).hex();
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_gives_the_results_of_the_rfcs() {
        let examples = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in examples {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let mac = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
    }
}
