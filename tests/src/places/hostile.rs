//! What makes a server of the suite hostile, whatever it speaks.

use crate::harness::Hostility;
use crate::servers::http::{Answer, Fault, Logged, Plan, Server, Service};

/// Which page follows the one that was asked for; the first one is none.
pub(super) type Next = fn(Option<u64>) -> u64;

/// Bytes of a part, so that a blob has several and is still small.
#[cfg(any(feature = "azblob", feature = "gha", feature = "s3"))]
pub(super) const PART: u64 = 64 << 10;

/// Makes the server hostile. `page` answers who asks for a list with a page that has one thing on it, and leads to the next.
pub(super) fn plan<S: Service>(http: &Server<S>, how: &Hostility, page: fn(&Logged, Next) -> Option<Answer>) {
    match how {
        Hostility::EndlessErrors => http.plan(Plan::everywhere(Fault::EndlessError(500))),
        Hostility::EndlessBodies => http.plan(Plan::everywhere(Fault::Endless)),
        Hostility::Trickle => http.plan(Plan::everywhere(Fault::Trickle)),
        Hostility::RepeatingPages => http.script(move |asked| page(asked, |token| u64::from(token == Some(0)))),
        Hostility::EndlessPages => http.script(move |asked| page(asked, |token| token.map_or(0, |token| token + 1))),
        Hostility::Redirect { after, status, to } => {
            http.plan(Plan::everywhere(Fault::Redirect(*status, to.clone())).after(*after).times(1));
        }
        Hostility::Challenge { after, challenge } => {
            http.plan(Plan::everywhere(Fault::Challenge(challenge.clone())).after(*after).times(1));
        }
    }
}
