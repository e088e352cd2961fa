//! `prune`: deletes caches by policy, and the blobs that no cache reaches.

pub(super) mod file;
pub(super) mod report;

use std::sync::Arc;

use cache_core::seams::BackendFacts;
use cache_core::{Error, Timestamp};
use cache_ops::{NameGlob, PruneEvent, PrunePlan, PrunePolicy, PruneReport, PruneSettings, plan_prune, prune};

use self::file::PlanFile;
use self::report::Pruned;
use crate::args::PruneArgs;
use crate::confirm;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::progress::Looking;
use crate::session::Session;
use crate::spec::Place;
use crate::{messages, text};

/// Caches that the question names.
const ASKED: usize = 5;

/// Plans, asks, and deletes.
pub(super) async fn run(session: &Session, args: &PruneArgs) -> Result<Exit, Failure> {
    let is_asked = !args.force && !args.dry_run;
    if is_asked && !confirm::is_possible() {
        let failure = Failure::usage("prune asks before it deletes, and there is no terminal to ask on");
        return Err(failure.with_hint("-f deletes without asking, --dry-run says what would be deleted"));
    }
    let mut place = Place::parse(session, &args.spec)?;
    let store = place.required_store(session).await?;
    let name = place.store_spec().to_string();
    let settings = settings(session, args);
    let plan = match &args.apply {
        Some(path) => PlanFile::read(path, &name)?,
        None => plan_prune(&*store, &policy(place.facts(session)?, args), Timestamp::now(), &settings)
            .await
            .map_err(|error| place.explain(error))?,
    };
    if plan.is_of_nothing() && !place.is_there() {
        return Err(place.no_cache().with_hint("the store is empty: check the spec"));
    }
    say(session, &plan);
    if args.dry_run {
        output::print(session, &PlanFile::new(name, plan))?;
        return Ok(Exit::Done);
    }
    if is_asked {
        name_all(&plan, session.globals.is_verbose());
    }
    if is_asked && !plan.is_empty() && !confirm::ask(&question(&name, &plan)).await {
        return Err(Failure::new(Exit::Failed, "nothing is deleted: the answer was not yes"));
    }
    let report = prune(&*store, &plan, &settings).await.map_err(|error| unfinished(&place, error))?;
    warn(session, &report);
    output::print(session, &Pruned::new(name, &plan, report))?;
    Ok(Exit::Done)
}

fn policy(facts: BackendFacts, args: &PruneArgs) -> PrunePolicy {
    let policy = PrunePolicy::new(args.grace.unwrap_or(facts.grace))
        .with_older_than(args.older_than)
        .with_max_used_space(args.max_used_space)
        .with_keep_latest(args.keep_latest);
    args.keep.iter().map(|names| NameGlob::new(names)).fold(policy, PrunePolicy::with_keep)
}

fn settings(session: &Session, args: &PruneArgs) -> PruneSettings {
    let (progress, looking) = (Arc::clone(&session.reporter), Looking::new(&session.reporter));
    let settings = PruneSettings::default().with_progress(Arc::new(move |event| match event {
        PruneEvent::Look(event) => looking.tell(*event),
        // A warning says so at the end, with the reason.
        PruneEvent::Cache { is_gone: false, .. } => {}
        event => progress.note(&words(event)),
    }));
    args.rate.into_iter().fold(settings, PruneSettings::with_rate)
}

/// Prints notes and warnings about the plan.
fn say(session: &Session, plan: &PrunePlan) {
    if plan.bytes_over > 0 {
        let over = text::size(plan.bytes_over);
        session.warn(format!("the caches that have to stay take {over} more than --max-used-space"));
    }
    if plan.blobs.is_some() && plan.grace().is_zero() {
        session.warn("--grace 0: a running export loses the blobs that it has pushed");
    }
    for names in &plan.unmatched_keep {
        session.warn(format!("--keep {names} matches no cache"));
    }
    for unreadable in &plan.unreadable {
        session.warn(format!("{} stays: it cannot be read: {}", unreadable.name, unreadable.why));
    }
    if let Some(note) = &plan.note {
        session.warn(format!("no blobs are deleted: {note}"));
    }
}

/// Lists what would be deleted, before the question.
fn name_all(plan: &PrunePlan, all: bool) {
    for cache in &plan.caches {
        let (name, size) = (file::name(cache), text::size(cache.bytes));
        messages::line(&format!("  cache {name}  {size}  ({})", file::why(cache)));
    }
    confirm::list(plan.blobs.iter().flatten().map(|blob| (blob.digest, blob.size)), all);
}

fn question(store: &str, plan: &PrunePlan) -> String {
    let caches = match plan.caches.as_slice() {
        [] => "no cache".to_owned(),
        [one] => format!("cache {}", file::name(one)),
        many => {
            let names: Vec<String> = many.iter().take(ASKED).map(file::name).collect();
            let more = many.len().checked_sub(ASKED).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
            format!("{} caches ({}{})", many.len(), names.join(", "), more.unwrap_or_default())
        }
    };
    let blobs = plan.blobs.as_ref().map(|blobs| {
        let size = text::size(plan.bytes());
        format!(" and {} ({size})", text::count(blobs.len(), "blob"))
    });
    format!("Delete {caches}{} from {store}? [y/N]", blobs.unwrap_or_default())
}

fn words(event: &PruneEvent) -> String {
    match event {
        PruneEvent::Cache { name, .. } => format!("cache {} is gone", name.as_deref().unwrap_or("(no name)")),
        PruneEvent::Blobs { done, total, bytes } => {
            format!("{done} of {}, {} deleted", text::count(*total, "blob"), text::size(*bytes))
        }
        _ => String::new(),
    }
}

fn unfinished(place: &Place, error: Error) -> Failure {
    let mut failure = Failure::from(place.explain(error));
    failure.message = format!("not everything is deleted, but every cache is whole: {}", failure.message);
    failure
}

fn warn(session: &Session, report: &PruneReport) {
    if let Some(note) = &report.note {
        session.warn(note.clone());
    }
    for kept in &report.kept_caches {
        let name = kept.cache.name.as_deref().unwrap_or("(no name)");
        session.warn(format!("cache {name} stays: {}", kept.why));
    }
}

#[cfg(test)]
mod tests;
