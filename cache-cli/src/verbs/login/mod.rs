//! `login`, `logout`: credentials of registries, in Docker's places for them.

mod password;
pub(super) mod report;

use self::report::{LoggedIn, LoggedOut};
use crate::args::{LoginArgs, LogoutArgs};
use crate::backends;
use crate::exit::{Exit, Failure};
use crate::logins::Logins;
use crate::output;
use crate::session::Session;

pub(super) async fn log_in(session: &Session, args: &LoginArgs) -> Result<Exit, Failure> {
    let logins = logins(session, args.insecure)?;
    let password = password::read().await?;
    let kept = logins.keep(&args.registry, &args.username, &password).await?;
    if !kept.is_checked {
        session.warn(format!("{} did not ask for the password: it lets everybody in", kept.registry));
    }
    if let Some(place) = &kept.hidden_by {
        session.warn(format!("another login to {} takes precedence, in {place}", kept.registry));
    }
    if kept.helper.is_none() {
        let file = kept.file.display();
        session.warn(format!("the password is in {file}, unencrypted; a credential helper (credsStore) would hide it"));
    }
    output::print(session, &LoggedIn::new(kept, &args.username))?;
    Ok(Exit::Done)
}

pub(super) async fn log_out(session: &Session, args: &LogoutArgs) -> Result<Exit, Failure> {
    let forgotten = logins(session, false)?.forget(&args.registry).await?;
    if let Some(place) = &forgotten.left {
        session.warn(format!("another login to {} is used now, in {place}", forgotten.registry));
    }
    output::print(session, &LoggedOut::from(forgotten))?;
    Ok(Exit::Done)
}

fn logins(session: &Session, is_insecure: bool) -> Result<Box<dyn Logins>, Failure> {
    let logins = backends::logins(session.globals.authfile.as_deref(), is_insecure);
    logins.ok_or_else(|| Failure::usage("type=registry is not built in: nothing here needs a login"))
}
