//! The verbs, one file or folder each.

mod completions;
mod compression;
mod copy;
mod diff;
mod doctor;
mod du;
pub(crate) mod explain;
mod graph;
mod inspect;
mod login;
mod ls;
mod man;
mod merge;
mod optimize;
mod prune;
mod repair;
mod report;
mod rewrite;
mod rm;
#[cfg(test)]
pub(crate) mod schemas;
mod specs;
mod unnamed;
mod verify;

use crate::args::{OutputForm, Verb};
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Runs a verb.
pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match &session.globals.output {
        Some(OutputForm::Dot) if !matches!(verb, Verb::Graph(_)) => {
            return Err(Failure::usage("-o dot is for graph; expected table or json"));
        }
        Some(OutputForm::File(_)) if !matches!(verb, Verb::Report(_)) => {
            let failure = Failure::usage("unknown form for -o; expected table or json");
            return Err(failure.with_hint("-o takes a file for report only"));
        }
        _ => {}
    }
    match verb {
        Verb::Copy(args) => copy::run(session, &args).await,
        Verb::Inspect(args) => inspect::run(session, &args).await,
        Verb::Ls(args) => ls::run(session, &args).await,
        Verb::Du(args) => du::run(session, &args).await,
        Verb::Verify(args) => verify::run(session, &args).await,
        Verb::Repair(args) => repair::run(session, &args).await,
        Verb::Merge(args) => merge::run(session, &args).await,
        Verb::Optimize(args) => optimize::run(session, &args).await,
        Verb::Diff(args) => diff::run(session, &args).await,
        Verb::Explain(args) => explain::run(session, &args).await,
        Verb::Report(args) => report::run(session, &args).await,
        Verb::Graph(args) => graph::run(session, &args).await,
        Verb::Rm(args) => rm::run(session, &args).await,
        Verb::Prune(args) => prune::run(session, &args).await,
        Verb::Doctor(args) => doctor::run(session, &args).await,
        Verb::Login(args) => login::log_in(session, &args).await,
        Verb::Logout(args) => login::log_out(session, &args).await,
        Verb::Specs(args) => specs::run(session, &args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
        Verb::Complete(args) => completions::complete(session, &args).await,
    }
}
