//! The tokens of jobs, which this service gives to whoever asks.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::routes::Refusal;

/// One scope of a token, and what it permits: 1 to read, 2 to write.
pub(super) type Scope = (String, u64);

/// Makes a token for these scopes; its signature is good for nothing but being kept secret.
#[must_use]
pub fn mint(scopes: &[(&str, u64)], lives: Duration) -> String {
    let now = now();
    let ac: Vec<Value> = scopes.iter().map(|(name, mask)| json!({ "Scope": name, "Permission": mask })).collect();
    let claims = json!({ "ac": Value::from(ac).to_string(), "nbf": now - 60, "exp": now + lives.as_secs() });
    let part = |value: &Value| encode(value.to_string().as_bytes());
    let signature = encode(format!("signature of {claims}").as_bytes());
    format!("{}.{}.{signature}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&claims))
}

/// The scopes of the token in `Authorization`.
pub(super) fn scopes(authorization: Option<&str>) -> Result<Vec<Scope>, Refusal> {
    let invalid = || Refusal::new(401, "unauthenticated", "invalid or missing runtime token");
    let claims = authorization.and_then(|text| text.strip_prefix("Bearer ")).and_then(claims).ok_or_else(invalid)?;
    if claims["exp"].as_u64().unwrap_or(0) < now() {
        return Err(Refusal::new(401, "unauthenticated", "token expired"));
    }
    let list: Vec<Value> = claims["ac"].as_str().and_then(|ac| serde_json::from_str(ac).ok()).ok_or_else(invalid)?;
    let scope = |value: &Value| Some((value["Scope"].as_str()?.to_owned(), value["Permission"].as_u64()?));
    list.iter().map(scope).collect::<Option<_>>().ok_or_else(invalid)
}

fn claims(token: &str) -> Option<Value> {
    serde_json::from_slice(&decode(token.split('.').nth(1)?)?).ok()
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 for URLs, without padding.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let digits = (0..=group.len()).map(|n| ALPHABET[(word >> (18 - 6 * n) & 63) as usize] as char);
        text.extend(digits);
    }
    text
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut word, mut bits) = (Vec::new(), 0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        word = word << 6 | u32::try_from(ALPHABET.iter().position(|digit| *digit == c)?).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_its_scopes_again() {
        let token = mint(&[("refs/heads/a", 3), ("refs/heads/main", 1)], Duration::from_secs(60));
        let read = scopes(Some(&format!("Bearer {token}"))).ok().unwrap();
        assert_eq!(read, [("refs/heads/a".to_owned(), 3), ("refs/heads/main".to_owned(), 1)]);
        assert!(scopes(Some("Bearer a.b.c")).is_err() && scopes(None).is_err());
    }

    #[test]
    fn base64_is_its_own_inverse() {
        for length in 0..20_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(97)).collect();
            assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }
        assert_eq!(encode(b"\xfb\xff"), "-_8");
    }
}
