//! The tokens of jobs.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::routes::Refusal;

/// One scope of a token, and what it permits: 1 to read, 2 to write.
pub(super) type Scope = (String, u64);

/// Makes a token for these scopes. Its signature is not checked, but has to be kept secret.
#[must_use]
pub fn mint(scopes: &[(&str, u64)], lives: Duration) -> String {
    let now = now();
    let ac: Vec<Value> = scopes.iter().map(|(name, mask)| json!({ "Scope": name, "Permission": mask })).collect();
    let claims = json!({ "ac": Value::from(ac).to_string(), "nbf": now - 60, "exp": now + lives.as_secs() });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string().as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(format!("signature of {claims}").as_bytes());
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
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scopes_of_a_token_can_be_read() {
        let token = mint(&[("refs/heads/a", 3), ("refs/heads/main", 1)], Duration::from_secs(60));
        let read = scopes(Some(&format!("Bearer {token}"))).ok().unwrap();
        assert_eq!(read, [("refs/heads/a".to_owned(), 3), ("refs/heads/main".to_owned(), 1)]);
        assert!(scopes(Some("Bearer a.b.c")).is_err() && scopes(None).is_err());
    }
}
