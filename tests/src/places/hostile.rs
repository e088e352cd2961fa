//! Makes a server of the suite hostile, whatever its protocol.

use crate::harness::Hostility;
use crate::servers::http::{Answer, Fault, Logged, Plan, Server, Service};

/// The page that follows the requested one; `None` is the first page.
pub(super) type Next = fn(Option<u64>) -> u64;

/// Bytes of a part, so that a small blob has several.
#[cfg(any(feature = "azblob", feature = "gha", feature = "s3"))]
pub(super) const PART: u64 = 64 << 10;

/// Makes the server hostile. `page` answers requests for lists with a page that has one entry and leads to the next
/// one.
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
