//! Causes and notes in words, and what to do about them: for pages and for programs that print.

use cache_core::CacheKey;
use cache_ops::{AskedFor, Cause, NotImported, NotStored, Note, Part};

use crate::text;

/// A cause in words, without a full stop.
#[must_use]
pub fn cause(cause: &Cause) -> String {
    match cause {
        Cause::FilesChanged { paths, .. } if paths.is_empty() => "the files it takes changed".to_owned(),
        Cause::FilesChanged { paths, .. } => format!("files changed: {}", paths.join(" ")),
        Cause::StepChanged { parts, .. } => format!("the step changed: its {}", any_of(parts)),
        Cause::StepAdded { before: Some(_) } => {
            "the step is new: what the cache has here comes after it now".to_owned()
        }
        Cause::StepAdded { before: None } => {
            "the step is new: the cache ends before it, or is of another target".to_owned()
        }
        Cause::StepRemoved { removed } => format!("{} gone that came before it", are(removed.len(), "step")),
        Cause::StepMoved { .. } => "the step moved: other steps stand before it than did".to_owned(),
        Cause::BaseChanged { name, .. } => format!("its base changed, or its platform: {name}"),
        Cause::Follows => "what it works on ran".to_owned(),
        Cause::NotStored(why) => format!("the cache knows the step and holds no result: {}", not_stored(*why)),
        Cause::Lost { blobs } => format!("its result is in the cache, and {} lost", are(blobs.len(), "blob of it")),
        Cause::Elsewhere { cache } => format!("in another place: {cache} has it, and the build did not import that"),
        Cause::NotImported { cache, why } => format!("{cache} {}", not_imported(why)),
        Cause::AskedFor(AskedFor::NoCache) => "asked for: --no-cache".to_owned(),
        Cause::AskedFor(AskedFor::NoCacheFilter(stage)) => format!("asked for: --no-cache-filter {stage}"),
        Cause::AskedFor(_) => "it reads a secret or an agent and is never the same".to_owned(),
        Cause::ShouldHaveHit { .. } => "should have hit: its result is there, and BuildKit did not take it".to_owned(),
        _ => "cannot be told".to_owned(),
    }
}

/// The same, with how sure it is.
#[must_use]
pub fn cause_and_certainty(of: &Cause, is_certain: bool) -> String {
    let words = cause(of);
    if is_certain { words } else { format!("probably {words}") }
}

fn any_of(parts: &[Part]) -> String {
    let names: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
    match names.split_last() {
        None => "definition".to_owned(),
        Some((one, [])) => (*one).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

fn are(number: usize, noun: &str) -> String {
    if number == 1 { format!("a {noun} is") } else { format!("{} are", plural(number, noun)) }
}

fn plural(number: usize, noun: &str) -> String {
    match noun.split_once(' ') {
        Some((head, rest)) => format!("{} {rest}", text::count(number, head)),
        None => text::count(number, noun),
    }
}

fn not_stored(why: NotStored) -> &'static str {
    match why {
        NotStored::Min => "mode=min keeps those of the last stage only",
        NotStored::Inline => "an inline cache keeps those of the last stage only",
        NotStored::Root => "BuildKit stores none of a step that starts from nothing",
        _ => "it was dropped, or is of another target",
    }
}

fn not_imported(why: &NotImported) -> String {
    match why {
        NotImported::Absent => "does not exist".to_owned(),
        NotImported::Unreadable(error) => format!("cannot be read: {error}"),
        NotImported::Failed(error) => format!("could not be imported: {error}"),
        NotImported::TooLarge(bytes) => {
            format!("cannot be imported: its config is {}, and BuildKit refuses over 1 MiB", text::size(*bytes))
        }
        NotImported::NotAsked => "was not imported: the log tells of no import".to_owned(),
        NotImported::SeveralLeaves(leaves) => {
            format!("has {leaves} leaves: BuildKit v0.25 to v0.32 loses hits of such a cache at random")
        }
        NotImported::SideBySide(caches) => {
            format!("is one of {caches} that share steps: BuildKit v0.25 to v0.32 loses hits of caches side by side")
        }
        _ => "did not help".to_owned(),
    }
}

/// What to do about a cause.
#[must_use]
pub fn advice(cause: &Cause) -> &'static str {
    match cause {
        Cause::FilesChanged { .. } => {
            "copy what changes often as late as possible, copy less, and keep generated files out with .dockerignore"
        }
        Cause::StepChanged { .. } => {
            "put what changes with every build (versions, dates) after the steps that cost most"
        }
        Cause::StepAdded { .. } | Cause::StepRemoved { .. } | Cause::StepMoved { .. } => {
            "the next build hits again; new steps cost least at the end of a stage"
        }
        Cause::BaseChanged { .. } => "pin the image by its digest, so that it changes when you want it to",
        Cause::NotStored(NotStored::Root) => "nothing: such a step is quick",
        Cause::NotStored(_) => "export with mode=max (--cache-to type=…,mode=max), which keeps every step's result",
        Cause::Lost { .. } => {
            "buildcache repair makes a cache that is sound of it; look at what deletes from the store"
        }
        Cause::Elsewhere { .. } => "import it too (--cache-from), or buildcache merge both into one",
        Cause::NotImported { why: NotImported::TooLarge(_), .. } => "buildcache optimize makes it small enough",
        Cause::NotImported { why: NotImported::SeveralLeaves(_), .. } => "buildcache optimize writes it with one leaf",
        Cause::NotImported { why: NotImported::SideBySide(_), .. } => {
            "buildcache merge makes one cache of them; import that alone"
        }
        Cause::NotImported { why: NotImported::Unreadable(_), .. } => {
            "buildcache verify says what is wrong, repair mends it"
        }
        Cause::NotImported { .. } => "look at --cache-from, and at whether it may be read there",
        Cause::AskedFor(AskedFor::NeverTheSame) => "nothing: that is how it is meant",
        Cause::AskedFor(_) => "build without that flag",
        Cause::ShouldHaveHit { .. } => {
            "report it to BuildKit (github.com/moby/buildkit) with the log, both caches and buildkitd's version"
        }
        _ => "name the cache that the build wrote, and the log with --log",
    }
}

/// An object that proves a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// What kind of object it is.
    pub what: &'static str,
    /// The object: a key or a digest.
    pub object: String,
}

/// The objects that prove a cause.
#[must_use]
pub fn evidence(cause: &Cause) -> Vec<Evidence> {
    let keys = |what: &'static str, keys: &[CacheKey]| -> Vec<Evidence> {
        keys.iter().map(|key| Evidence { what, object: key.to_string() }).collect()
    };
    match cause {
        Cause::FilesChanged { content, instead, .. } => {
            [keys("content", content), keys("content before", instead)].concat()
        }
        Cause::StepChanged { instead, .. } => keys("step before", instead),
        Cause::StepAdded { before } => keys("comes before", before.as_slice()),
        Cause::StepRemoved { removed } => keys("step that is gone", removed),
        Cause::StepMoved { instead } => keys("step before", std::slice::from_ref(instead)),
        Cause::BaseChanged { keys: now, instead, .. } => [keys("base", now), keys("base before", instead)].concat(),
        Cause::Lost { blobs } => {
            blobs.iter().map(|blob| Evidence { what: "lost blob", object: blob.to_string() }).collect()
        }
        Cause::ShouldHaveHit { records } => keys("record with a result", records),
        _ => Vec::new(),
    }
}

/// A note in words.
#[must_use]
pub fn note(note: &Note) -> String {
    match note {
        Note::LogCut => "the log breaks off within a line: what comes after is not known".to_owned(),
        Note::BuildFailed(error) => format!("the build failed: {error}"),
        Note::NotJoined(steps) => {
            let steps = text::count(*steps, "step");
            format!(
                "{steps} that ran cannot be found in the cache that the build wrote: it is not a mode=max export of it"
            )
        }
        Note::ImportedIsExported(cache) => {
            format!(
                "{cache} holds results that this build made: name what the build imported, by its digest if need be"
            )
        }
        Note::NoExport => "without the cache that the build wrote, causes are guesses: name it after OLD".to_owned(),
        Note::NoLog => "without a log there are neither names nor times: build with --progress=rawjson".to_owned(),
        Note::ExportHasNoResults => {
            "the cache that the build wrote holds no result of it: export with mode=max".to_owned()
        }
        Note::CacheProblem { cache, why } => format!("{cache} {}", not_imported(why)),
        Note::Client(line) => format!("the client said: {line}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_alternatives_read_well() {
        assert_eq!(any_of(&[Part::Command]), "command");
        assert_eq!(any_of(&[Part::Command, Part::Mounts, Part::User]), "command, mounts or user");
        let removed = |n: usize| cause(&Cause::StepRemoved { removed: vec![CacheKey::default(); n] });
        assert_eq!(
            (removed(1).as_str(), removed(2).as_str()),
            ("a step is gone that came before it", "2 steps are gone that came before it")
        );
    }
}
