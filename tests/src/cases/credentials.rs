//! Which credential goes where: none to where a redirect leads, and none to a token server that a place has no use for.
//!
//! `docs/security.md` has the rule.

use super::hostile::{Known, everything};
use crate::harness::{Harness, Hostility};
use crate::servers::thief::{Asks, Thief};

/// Bytes of a blob that goes in parts where these are small.
const LARGE: usize = 200_000;
/// No run has more requests.
const MOST_REQUESTS: usize = 500;

/// Each request that the backend makes is redirected to a host that nobody named, by the status that keeps method and body.
pub async fn who_a_redirect_leads_to_is_told_no_secret(place: &dyn Harness) {
    tokio::time::resume();
    let thief = Thief::start(Asks::Bearer);
    let to = format!("http://{}/stolen", thief.host());
    at_every_request(place, &thief, |after| Hostility::Redirect { after, status: 307, to: to.clone() }).await;
}

/// Each request that the backend makes is answered with the challenge of a token server elsewhere.
pub async fn who_a_challenge_leads_to_is_told_no_secret(place: &dyn Harness) {
    tokio::time::resume();
    let thief = Thief::start(Asks::Bearer);
    at_every_request(place, &thief, |after| Hostility::Challenge { after, challenge: thief.challenge() }).await;
}

async fn at_every_request(place: &dyn Harness, thief: &Thief, how: impl Fn(usize) -> Hostility) {
    for after in 0..MOST_REQUESTS {
        let known = Known::write(place).await;
        let Some(backend) = place.hostile(&how(after)) else { return };
        everything(&*backend, place, &known, (after as u64, LARGE)).await;
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
