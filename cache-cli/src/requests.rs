//! `-vv` and `RUST_LOG`: a line on stderr for each request.
//!
//! Only events of this project are shown, whatever `RUST_LOG` selects: the libraries below may log secrets.

use std::env;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The prefix of this project's targets.
const OURS: &str = "buildcache";

/// Shows requests if they are asked for, by the flag or by the variable.
pub(crate) fn show(is_asked: bool) {
    let Some(chosen) = chosen(env::var("RUST_LOG").ok().as_deref(), is_asked) else { return };
    let ours = filter_fn(|event| event.target().starts_with(OURS));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // A subscriber that is installed already stays.
    let _ = tracing_subscriber::registry().with(lines.with_filter(chosen.and(ours))).try_init();
}

/// What to show. The variable takes precedence over the flag, unless it is empty.
fn chosen(variable: Option<&str>, is_asked: bool) -> Option<Targets> {
    let by_flag = is_asked.then(|| Targets::new().with_target(OURS, LevelFilter::DEBUG));
    let by_variable = variable.filter(|text| !text.is_empty()).and_then(|text| text.parse::<Targets>().ok());
    by_variable.or(by_flag)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_variable_takes_precedence_over_the_flag() {
        assert!(chosen(None, false).is_none() && chosen(Some(""), false).is_none());
        let shows = |chosen: Option<Targets>| chosen.unwrap().would_enable("buildcache::request", &Level::DEBUG);
        assert!(shows(chosen(None, true)));
        assert!(shows(chosen(Some("buildcache=debug"), false)) && shows(chosen(Some("debug"), false)));
        assert!(!shows(chosen(Some("buildcache=warn"), true)));
    }
}
