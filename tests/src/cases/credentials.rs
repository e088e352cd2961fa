//! Which host gets which credential: none for the target of a redirect, and none for a foreign token server.
//!
//! `docs/security.md` has the rule.

use super::hostile::{Known, everything};
use crate::harness::{Harness, Hostility};
use crate::servers::thief::{Asks, Thief};

/// Bytes of a blob that is sent in several small parts.
const LARGE: usize = 200_000;
/// The most requests of a run.
const MOST_REQUESTS: usize = 500;

/// Each request of the backend is redirected to a foreign host, with the status that keeps method and body.
pub async fn the_target_of_a_redirect_gets_no_secret(place: &dyn Harness) {
    tokio::time::resume();
    let thief = Thief::start(Asks::Bearer);
    let to = format!("http://{}/stolen", thief.host());
    at_every_request(place, &thief, |after| Hostility::Redirect { after, status: 307, to: to.clone() }).await;
}

/// Each request of the backend is answered with the challenge of a foreign token server.
pub async fn a_foreign_token_server_gets_no_secret(place: &dyn Harness) {
    tokio::time::resume();
    let thief = Thief::start(Asks::Bearer);
    at_every_request(place, &thief, |after| Hostility::Challenge { after, challenge: thief.challenge() }).await;
}

async fn at_every_request(place: &dyn Harness, thief: &Thief, how: impl Fn(usize) -> Hostility) {
    for after in 0..MOST_REQUESTS {
        let known = Known::write(place).await;
        let Some(backend) = place.hostile(&how(after)) else { return };
        everything(&*backend, place, &known, after as u64, LARGE).await;
        for told in thief.take() {
            check(place, &told);
        }
        if !place.calm() {
            return;
        }
    }
    panic!("there are more than {MOST_REQUESTS} requests");
}

fn check(place: &dyn Harness, told: &str) {
    let leaked = place.secrets().into_iter().find(|secret| told.contains(secret.as_str()));
    assert_eq!(leaked, None, "{told}");
    let head = told.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
    for header in ["authorization:", "referer:", "cookie:"] {
        assert!(!head.contains(header), "{told}");
    }
}
