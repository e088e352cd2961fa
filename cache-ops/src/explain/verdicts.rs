//! Goes from the roots of a build to its last step, and finds for each miss the first thing that differs.

use std::collections::HashMap;

use cache_core::{CacheKey, CacheManifest, Error, ErrorKind, Result};

use super::build::Build;
use super::cache::{ConsultedCache, Holding, Side};
use super::cause::{AskedFor, Cause, NotImported};
use super::join::{join, linked};
use super::log::{BuildLog, StepOutcome};
use super::steps::{self, Kind, Source};
use super::walk::{Export, Imports, Verdict, Walk};
use super::{Explanation, Note, cost, edit, records};
use crate::diff::matching::matches;
use crate::index::Index;

/// See [`explain`](super::explain).
pub(super) fn explain(
    caches: &[ConsultedCache<'_>],
    exported: Option<&CacheManifest>,
    log: Option<&BuildLog>,
) -> Result<Explanation> {
    let sides: Vec<Side<'_>> = caches.iter().map(Side::new).collect();
    let index = exported.map(Index::new).transpose()?;
    let found: Vec<Vec<Vec<usize>>> = match &index {
        Some(index) => sides.iter().map(|side| found_in(index, side)).collect(),
        None => Vec::new(),
    };
    let made = match (log, &index) {
        (Some(_), _) => None,
        (None, Some(index)) => Some(records::as_log(index, &sides, &found)),
        (None, None) => {
            let error = Error::new(ErrorKind::Unsupported, "there is neither a log nor an exported cache to explain");
            return Err(error.with_hint("name the cache that the build wrote, or its log with --log"));
        }
    };
    let build = Build::new(log.or(made.as_ref().map(|made| &made.log)).expect("one of the two is there"));
    let export = index.map(|index| {
        let joined = match &made {
            Some(made) => made.joined.clone(),
            None => join(&build, &index, true),
        };
        Export::new(index, joined, found)
    });
    let guessed = match &export {
        Some(_) => Vec::new(),
        None => sides
            .iter()
            .map(|side| side.index.as_ref().map_or(Vec::new(), |index| join(&build, index, false)))
            .collect(),
    };
    let imports = log.map(|_| Imports::of(&build));
    let mut walk = Walk { build, used: Vec::new(), sides, export, guessed, imports };
    walk.used = (0..walk.sides.len()).map(|side| walk.used_there(side)).collect();
    let verdicts = walk.verdicts();
    let mut explanation = cost::explanation(&walk, verdicts, made.is_some());
    explanation.notes = walk.notes(log, &explanation);
    Ok(explanation)
}

fn found_in(index: &Index, side: &Side<'_>) -> Vec<Vec<usize>> {
    side.index.as_ref().map_or_else(|| vec![Vec::new(); index.records().len()], |there| matches(index, there))
}

impl Walk<'_> {
    fn verdicts(&self) -> Vec<Option<Verdict>> {
        let asked = self.asked_for();
        let mut verdicts: Vec<Option<Verdict>> = vec![None; self.build.log.vertices.len()];
        for &v in self.build.order.iter().filter(|&&v| self.missed(v)) {
            let mut verdict = self.verdict(v, &verdicts, &asked);
            verdict.elsewhere = self.holders(v);
            verdicts[v] = Some(verdict);
        }
        verdicts
    }

    /// The caches that have a result for a step.
    fn holders(&self, v: usize) -> Vec<String> {
        if self.export.is_none() {
            return Vec::new();
        }
        let holders =
            (0..self.sides.len()).filter(|&side| self.sides[side].holding(self.known(side, v)) == Holding::Stored);
        holders.map(|side| self.sides[side].cache.name.clone()).collect()
    }

    fn verdict(&self, v: usize, before: &[Option<Verdict>], asked: &Asked) -> Verdict {
        if self.build.log.vertices[v].inputs.is_empty() {
            return Verdict::sure(Cause::NotStored(super::NotStored::Root));
        }
        if self.export.is_none() {
            return self.guess(v, before);
        }
        let best =
            self.imported().max_by_key(|&side| (self.sides[side].holding(self.known(side, v)), usize::MAX - side));
        let holding = best.map_or(Holding::None, |side| self.sides[side].holding(self.known(side, v)));
        let verdict = match (best, holding) {
            (Some(side), Holding::Stored) => self.unused(v, side, asked, before),
            (Some(side), Holding::Lost) => {
                Verdict::sure(Cause::Lost { blobs: self.sides[side].lost_blobs(self.known(side, v)) })
            }
            (Some(side), Holding::Known) => Verdict::sure(Cause::NotStored(self.sides[side].not_stored)),
            _ => self.parted(v, before),
        };
        let verdict = self.or_elsewhere(v, verdict, holding);
        Verdict { is_certain: verdict.is_certain && self.is_joined_for_sure(v), ..verdict }
    }

    /// If a cache that the build did not import has the result, that is the first cause.
    fn or_elsewhere(&self, v: usize, verdict: Verdict, holding: Holding) -> Verdict {
        if holding == Holding::Stored {
            return verdict;
        }
        let mut others = (0..self.sides.len()).filter(|&side| !self.sides[side].cache.is_imported);
        match others.find(|&side| self.sides[side].holding(self.known(side, v)) == Holding::Stored) {
            Some(side) => {
                let cache = self.sides[side].cache.name.clone();
                let also = std::iter::once(verdict.cause).filter(|cause| *cause != Cause::Follows).chain(verdict.also);
                Verdict { also: also.collect(), ..Verdict::sure(Cause::Elsewhere { cache }) }
            }
            None => verdict,
        }
    }

    /// The cause for a step that ran although an imported cache has its result.
    fn unused(&self, v: usize, side: usize, asked: &Asked, before: &[Option<Verdict>]) -> Verdict {
        let cache = self.sides[side].cache.name.clone();
        let not_imported = |why| Cause::NotImported { cache: cache.clone(), why };
        if let Some(imports) = &self.imports {
            match (&imports.failed, imports.done) {
                (Some(error), 0) => return Verdict::sure(not_imported(NotImported::Failed(error.clone()))),
                (None, 0) => return Verdict::sure(not_imported(self.not_asked())),
                // Of several caches the log does not say which ones they were: the first ones, most likely.
                (_, done) if done <= self.imported().position(|other| other == side).unwrap_or(0) => {
                    return Verdict::likely(Cause::Elsewhere { cache });
                }
                _ => {}
            }
        }
        if let Some(why @ (NotImported::TooLarge(_) | NotImported::Unreadable(_))) = &self.sides[side].problem {
            return Verdict::sure(not_imported(why.clone()));
        }
        if asked.shared_imports > 1 {
            return Verdict::likely(not_imported(NotImported::SideBySide(asked.shared_imports)));
        }
        // Stages based on a stage of the filter are not taken from the cache either.
        let inherited = self.build.log.vertices[v].inputs.iter().flatten().find_map(|&input| {
            let cause = before[input].as_ref().map(|verdict| &verdict.cause);
            cause.filter(|cause| matches!(cause, Cause::AskedFor(AskedFor::NoCacheFilter(_)))).cloned()
        });
        if let Some(cause) = inherited.or_else(|| asked.of(&self.build, v).map(Cause::AskedFor)) {
            return Verdict::likely(cause);
        }
        if let Some(why @ NotImported::SeveralLeaves(_)) = &self.sides[side].problem {
            return Verdict::likely(not_imported(why.clone()));
        }
        let records = self.known(side, v).iter().map(|&n| self.sides[side].key(n)).collect();
        Verdict::sure(Cause::ShouldHaveHit { records })
    }

    /// The log shows no import; a warning of the client may say why.
    fn not_asked(&self) -> NotImported {
        let warning = self.build.log.import_warnings.first();
        warning.map_or(NotImported::NotAsked, |warning| NotImported::Failed(warning.clone()))
    }

    /// The cause for a step whose key no imported cache has: the step or its inputs have changed.
    fn parted(&self, v: usize, before: &[Option<Verdict>]) -> Verdict {
        let Some(record) = self.record(v) else { return self.without_record(v, before) };
        let Some(side) = self.nearest_side(record) else { return self.no_cache_at_all() };
        let export = self.export.as_ref().expect("a record is of an export");
        let vertex = &self.build.log.vertices[v];
        let (mut follows, mut own) = (Vec::new(), Vec::new());
        for (at, input) in vertex.inputs.iter().enumerate() {
            if linked(&export.index.records()[record], at).any(|n| !export.found[side][n].is_empty()) {
                continue;
            }
            match input.map(|input| (input, self.build.kinds[input])) {
                Some((input, Kind::Step)) if before[input].is_some() => follows.push(input),
                Some((input, kind)) => own.push(self.source_changed(side, v, record, at, input, kind)),
                None => own.push(Cause::Unknown),
            }
        }
        let is_new_step = self.sides[side].with_key(&export.index.records()[record].key).is_empty();
        if !follows.is_empty() {
            let parts =
                is_new_step.then(|| Cause::StepChanged { parts: edit::parts(self, v, side), instead: Vec::new() });
            own.extend(parts);
            return Verdict { follows, also: own, ..Verdict::sure(Cause::Follows) };
        }
        let is_base = own.iter().any(|cause| matches!(cause, Cause::BaseChanged { .. }));
        if own.is_empty() || (is_new_step && !is_base) {
            let (cause, is_certain) = edit::edited(self, v, record, side);
            return Verdict { also: own, is_certain, ..Verdict::sure(cause) };
        }
        let cause = own.remove(0);
        Verdict { also: own, ..Verdict::sure(cause) }
    }

    /// The imported cache that knows most of a record's inputs.
    fn nearest_side(&self, record: usize) -> Option<usize> {
        let export = self.export.as_ref()?;
        let inputs = export.index.records()[record].inputs.len();
        let known = |side: usize| {
            let record = &export.index.records()[record];
            (0..inputs).filter(|&at| linked(record, at).any(|n| !export.found[side][n].is_empty())).count()
        };
        let with_index = self.imported().filter(|&side| self.sides[side].index.is_some());
        with_index.max_by_key(|&side| (known(side), usize::MAX - side))
    }

    fn no_cache_at_all(&self) -> Verdict {
        let side = self.imported().find_map(|side| Some((side, self.sides[side].problem.clone()?)));
        match side {
            Some((side, why)) => {
                let cache = self.sides[side].cache.name.clone();
                Verdict::sure(Cause::NotImported { cache, why })
            }
            None => Verdict::likely(Cause::Unknown),
        }
    }

    /// The cause for a step whose source has changed.
    fn source_changed(&self, side: usize, v: usize, record: usize, at: usize, input: usize, kind: Kind) -> Cause {
        let export = self.export.as_ref().expect("a record is of an export");
        let here = &export.index.records()[record];
        let roots = |index: &Index, n: usize| -> Vec<CacheKey> {
            let records = index.records();
            linked(&records[n], at)
                .filter_map(|n| records.get(n))
                .filter(|r| r.inputs.is_empty())
                .map(|r| r.key.clone())
                .collect()
        };
        let content = roots(&export.index, record);
        let there = self.sides[side].index.as_ref();
        let mut instead: Vec<CacheKey> = Vec::new();
        for &other in self.sides[side].with_key(&here.key).iter().take(100) {
            let Some(there) = there.filter(|_| self.shares_other_inputs(side, record, other, at)) else { continue };
            instead.extend(roots(there, other).into_iter().filter(|key| !content.contains(key)));
        }
        instead.sort_unstable();
        instead.dedup();
        let name = &self.build.log.vertices[v].name;
        match kind {
            Kind::Source(Source::Image) => {
                Cause::BaseChanged { name: self.build.log.vertices[input].name.clone(), keys: content, instead }
            }
            Kind::Source(Source::Remote) => {
                let source = &self.build.log.vertices[input].name;
                let named = steps::paths(source);
                let paths = if named.is_empty() { vec![steps::command(source)] } else { named };
                Cause::FilesChanged { paths: paths.into_iter().map(str::to_owned).collect(), content, instead }
            }
            _ => Cause::FilesChanged {
                paths: steps::paths(name).into_iter().map(str::to_owned).collect(),
                content,
                instead,
            },
        }
    }

    /// Whether a record of a cache has all inputs of one here but the one at `at`.
    fn shares_other_inputs(&self, side: usize, record: usize, other: usize, at: usize) -> bool {
        let (Some(export), Some(there)) = (&self.export, &self.sides[side].index) else { return false };
        let (here, other) = (&export.index.records()[record], &there.records()[other]);
        here.inputs.len() == other.inputs.len()
            && (0..here.inputs.len()).filter(|input| *input != at).all(|input| {
                linked(here, input)
                    .flat_map(|n| &export.found[side][n])
                    .any(|&n| linked(other, input).any(|linked| linked == n))
            })
    }

    /// The cause for a step that ran and has no record in the export.
    fn without_record(&self, v: usize, before: &[Option<Verdict>]) -> Verdict {
        let vertex = &self.build.log.vertices[v];
        let missed: Vec<usize> =
            vertex.inputs.iter().flatten().copied().filter(|&input| before[input].is_some()).collect();
        if !missed.is_empty() {
            return Verdict { follows: missed, ..Verdict::likely(Cause::Follows) };
        }
        if vertex.outcome == StepOutcome::Ran && reads_secrets(&vertex.name) {
            return Verdict::likely(Cause::AskedFor(AskedFor::NeverTheSame));
        }
        Verdict::likely(Cause::Unknown)
    }

    /// Causes without an export, from only the log and the imported cache.
    fn guess(&self, v: usize, before: &[Option<Verdict>]) -> Verdict {
        let vertex = &self.build.log.vertices[v];
        let Some(side) = self.imported().find(|&side| self.sides[side].index.is_some()) else {
            return self.no_cache_at_all();
        };
        let known = self.known(side, v);
        let holding = self.sides[side].holding(known);
        let lost = self.sides[side].lost_blobs(known);
        if vertex.is_load_failed && !lost.is_empty() {
            return Verdict::sure(Cause::Lost { blobs: lost });
        }
        let has_another_key = |&input: &usize| before[input].as_ref().is_some_and(|v| !v.cause.keeps_the_key());
        let missed: Vec<usize> = vertex.inputs.iter().flatten().copied().filter(has_another_key).collect();
        if !missed.is_empty() {
            return Verdict { follows: missed, ..Verdict::likely(Cause::Follows) };
        }
        if let Some(Imports { done: 0, failed }) = &self.imports {
            let cache = self.sides[side].cache.name.clone();
            let why = failed.clone().map_or_else(|| self.not_asked(), NotImported::Failed);
            return Verdict::sure(Cause::NotImported { cache, why });
        }
        let files = vertex
            .inputs
            .iter()
            .flatten()
            .any(|&input| matches!(self.build.kinds[input], Kind::Source(Source::Files | Source::Remote)));
        let image =
            vertex.inputs.iter().flatten().find(|&&input| self.build.kinds[input] == Kind::Source(Source::Image));
        let keys = || known.iter().take(10).map(|&n| self.sides[side].key(n)).collect::<Vec<_>>();
        // What ran because its result is lost has its old key, and may have come out otherwise.
        let is_lost = |input: &usize| matches!(&before[*input], Some(Verdict { cause: Cause::Lost { .. }, .. }));
        let ran: Vec<usize> = vertex.inputs.iter().flatten().copied().filter(is_lost).collect();
        if holding == Holding::Stored && !files && image.is_none() && !ran.is_empty() {
            return Verdict { follows: ran, ..Verdict::likely(Cause::Follows) };
        }
        Verdict::likely(match holding {
            Holding::None if vertex.inputs.len() == 1 && image.is_some() => self.guessed_base(image),
            Holding::None => Cause::StepAdded { before: None },
            Holding::Known => Cause::NotStored(self.sides[side].not_stored),
            Holding::Lost => Cause::Lost { blobs: lost },
            Holding::Stored if files => {
                let paths = steps::paths(&vertex.name).into_iter().map(str::to_owned).collect();
                Cause::FilesChanged { paths, content: Vec::new(), instead: Vec::new() }
            }
            Holding::Stored if image.is_some() => self.guessed_base(image),
            Holding::Stored => Cause::StepChanged { parts: edit::parts(self, v, side), instead: keys() },
        })
    }

    fn guessed_base(&self, image: Option<&usize>) -> Cause {
        let name = image.map(|&image| self.build.log.vertices[image].name.clone()).unwrap_or_default();
        Cause::BaseChanged { name, keys: Vec::new(), instead: Vec::new() }
    }

    /// Detects `--no-cache` and `--no-cache-filter`: in the build or in a stage no step with a stored result hit.
    fn asked_for(&self) -> Asked {
        let mut asked = Asked::default();
        if self.export.is_none() {
            return asked;
        }
        let mut all = StageCounts::default();
        for v in (0..self.build.log.vertices.len()).filter(|&v| self.build.kinds[v] == Kind::Step) {
            let vertex = &self.build.log.vertices[v];
            let is_hit = vertex.outcome == StepOutcome::Hit;
            let stored = self.imported().any(|side| self.sides[side].holding(self.known(side, v)) == Holding::Stored);
            let stage = asked.stages.entry(stage_of(&vertex.name)).or_default();
            all.hits += usize::from(is_hit);
            all.unused += usize::from(stored && self.missed(v));
            // The directory of a WORKDIR is made with the cache, whatever the filter.
            stage.hits += usize::from(is_hit && steps::instruction(&vertex.name) != "WORKDIR");
            stage.unused += usize::from(stored && self.missed(v));
        }
        asked.is_all = all.hits == 0 && all.unused > 0;
        asked.shared_imports = self.shared_imports();
        asked
    }

    /// How many caches were imported that share steps with another one of them.
    fn shared_imports(&self) -> usize {
        let (Some(export), Some(imports)) = (&self.export, &self.imports) else { return 0 };
        let records = export.index.records();
        let has = |side: usize, n: usize| !export.found[side][n].is_empty();
        let is_shared = |side: usize, n: usize| {
            !records[n].inputs.is_empty() && has(side, n) && self.imported().any(|other| other != side && has(other, n))
        };
        let sharing = self.imported().take(imports.done).filter(|&side| (0..records.len()).any(|n| is_shared(side, n)));
        sharing.count()
    }

    fn notes(&self, log: Option<&BuildLog>, explanation: &Explanation) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut first = |is: bool, note: Note| notes.extend(is.then_some(note));
        first(log.is_none(), Note::NoLog);
        first(self.export.is_none(), Note::NoExport);
        let vertices = &self.build.log.vertices;
        // A build continues without a cache that cannot be imported.
        let failed = vertices.iter().zip(&self.build.kinds).find(|(vertex, kind)| {
            let is_cause = vertex.error.as_deref() != Some("context canceled") && **kind != Kind::Import;
            vertex.outcome == StepOutcome::Failed && is_cause
        });
        let error = failed.and_then(|(vertex, _)| vertex.error.clone());
        first(error.is_some(), Note::BuildFailed(error.unwrap_or_default()));
        if let Some(log) = log {
            first(log.is_cut, Note::LogCut);
            notes.extend(log.import_warnings.iter().cloned().map(Note::Client));
        }
        for side in &self.sides {
            let own = log.zip(side.index.as_ref()).is_some_and(|(log, index)| log.made(&index.manifest));
            if own && side.cache.is_imported {
                notes.push(Note::ImportedIsExported(side.cache.name.clone()));
            }
            let cache = side.cache.name.clone();
            notes.extend(
                side.problem.clone().filter(|_| side.cache.is_imported).map(|why| Note::CacheProblem { cache, why }),
            );
        }
        let unjoined = explanation.steps.iter().filter(|step| step.miss.is_some() && step.record.is_none()).count();
        if self.export.is_some() && unjoined > 0 {
            notes.push(Note::NotJoined(unjoined));
        }
        notes
    }
}

/// Which flags the build was run with, as far as can be detected.
#[derive(Debug, Default)]
struct Asked {
    is_all: bool,
    /// How many imported caches share steps, which alone can make a step miss.
    shared_imports: usize,
    stages: HashMap<String, StageCounts>,
}

#[derive(Debug, Default)]
struct StageCounts {
    hits: usize,
    /// Steps that ran although a result was there.
    unused: usize,
}

impl Asked {
    fn of(&self, build: &Build<'_>, v: usize) -> Option<AskedFor> {
        let stage = stage_of(&build.log.vertices[v].name);
        match self.stages.get(&stage) {
            _ if self.is_all => Some(AskedFor::NoCache),
            Some(StageCounts { hits: 0, unused }) if *unused > 0 && !stage.is_empty() => {
                Some(AskedFor::NoCacheFilter(stage))
            }
            _ => None,
        }
    }
}

fn stage_of(name: &str) -> String {
    steps::stage(name).map(|stage| stage.name.to_owned()).unwrap_or_default()
}

fn reads_secrets(name: &str) -> bool {
    ["type=secret", "type=ssh"].iter().any(|mount| name.contains(mount))
}
