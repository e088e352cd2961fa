//! Files of one crate that import from each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::Violation;
use super::paths::{NamedPath, paths};
use super::source::Source;

/// Re-exports that an import is followed through at most.
const MOST_STEPS: usize = 8;

/// A module by its path below the root of its crate.
type Name = Vec<String>;

/// The production files of every crate, and what each imports from its own crate.
#[derive(Default)]
pub(super) struct Circles(BTreeMap<PathBuf, Crate>);

#[derive(Default)]
struct Crate(BTreeMap<Name, Module>);

struct Module {
    path: PathBuf,
    paths: Vec<NamedPath>,
}

impl Circles {
    pub(super) fn add(&mut self, source: &Source) {
        let Some((root, name)) = name(&source.path).filter(|_| !source.is_test()) else { return };
        let module = Module { path: source.path.clone(), paths: paths(&source.code) };
        self.0.entry(root).or_default().0.insert(name, module);
    }

    /// Reports one circle for all files that are in it. A folder's `mod.rs` and the files below it count as one.
    pub(super) fn check(&self) -> Vec<Violation> {
        self.0.values().flat_map(Crate::circles).collect()
    }
}

impl Crate {
    fn circles(&self) -> Vec<Violation> {
        let edges: BTreeMap<_, _> = self.0.keys().map(|name| (name, self.imports(name))).collect();
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for (name, module) in &self.0 {
            let Some(circle) = circle(name, &edges).filter(|circle| circle.iter().all(|name| !seen.contains(name)))
            else {
                continue;
            };
            let line = edges[name].get(circle[1]).copied().unwrap_or(1);
            let names: Vec<_> = circle.iter().map(|name| name.join("/")).collect();
            let message = format!("these files import in a circle: {}", names.join(" → "));
            found.push(Violation { path: module.path.clone(), line, message });
            seen.extend(circle);
        }
        found
    }

    /// The other modules that one imports from, each with the line of its first import.
    fn imports(&self, from: &Name) -> BTreeMap<&Name, usize> {
        let mut imports = BTreeMap::new();
        for path in &self.0[from].paths {
            if let Some(to) = self.resolve(from, &path.segments).filter(|to| !is_family(from, to)) {
                imports.entry(to).or_insert(path.line);
            }
        }
        imports
    }

    /// The module in which the item of a path is defined; re-exports are followed.
    fn resolve(&self, from: &Name, segments: &[String]) -> Option<&Name> {
        let (mut from, mut segments) = (from, segments);
        for _ in 0..MOST_STEPS {
            let (at, rest) = self.module_of(from, segments)?;
            let passed_on = |item| self.0[at].paths.iter().find(|path| path.name.as_ref() == Some(item));
            match rest.first().filter(|_| at != from).and_then(passed_on) {
                Some(path) => (from, segments) = (at, &path.segments),
                None => return Some(at),
            }
        }
        None
    }

    /// The deepest module in a path, and the rest of the path.
    fn module_of<'a>(&self, from: &Name, segments: &'a [String]) -> Option<(&Name, &'a [String])> {
        let above = segments.iter().take_while(|segment| *segment == "super").count();
        let (mut at, mut rest) = match segments.first()?.as_str() {
            "crate" => (Vec::new(), &segments[1..]),
            "self" => (from.clone(), &segments[1..]),
            _ => (from.get(..from.len().checked_sub(above)?)?.to_vec(), &segments[above..]),
        };
        while let [first, after @ ..] = rest {
            at.push(first.clone());
            if !self.0.contains_key(&at) {
                at.pop();
                break;
            }
            rest = after;
        }
        self.0.get_key_value(&at).map(|(name, _)| (name, rest))
    }
}

/// The shortest circle through a module.
fn circle<'a>(start: &'a Name, edges: &BTreeMap<&'a Name, BTreeMap<&'a Name, usize>>) -> Option<Vec<&'a Name>> {
    let mut before = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(at) = next.pop_front() {
        for &to in edges[at].keys() {
            if before.contains_key(to) {
                continue;
            }
            before.insert(to, at);
            next.push_back(to);
        }
    }
    let mut way = vec![start, *before.get(start)?];
    while way.last() != Some(&start) {
        way.push(before[way[way.len() - 1]]);
    }
    way.reverse();
    Some(way)
}

/// Whether one module is the folder of the other.
fn is_family(one: &Name, other: &Name) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The crate of a file, and the name of its module.
fn name(path: &Path) -> Option<(PathBuf, Name)> {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let source = parts.iter().position(|part| part == "src")?;
    let mut name = parts[source + 1..].to_vec();
    let file = name.pop()?.strip_suffix(".rs")?.to_owned();
    let is_root = name.is_empty() && ["lib", "main"].contains(&&*file);
    if file != "mod" && !is_root {
        name.push(file);
    }
    let is_program = name.first().is_some_and(|first| first == "bin");
    (!is_program).then(|| (parts[..source].iter().collect(), name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Circles;
    use crate::tidy::source::Source;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let mut circles = Circles::default();
        for (path, text) in files {
            circles.add(&Source::new(Path::new(path), format!("//! A.\n{text}")));
        }
        circles.check().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_circle_is_refused_once() {
        let files = [
            ("c/src/exporter.rs", "use crate::refresh::refresh;\n"),
            ("c/src/refresh.rs", "fn f() { super::parts::complete() }\n"),
            ("c/src/parts.rs", "\nuse crate::{Client, exporter::{age, other}};\n"),
        ];
        let message = "c/src/exporter.rs:2: these files import in a circle: exporter → refresh → parts → exporter";
        assert_eq!(messages(&files), [message]);
    }

    #[test]
    fn re_exports_are_followed_to_their_file() {
        let files = [
            ("c/src/lib.rs", "pub use self::backend::KIND;\npub use self::store::Store;\n"),
            ("c/src/backend.rs", "use crate::Store;\n"),
            ("c/src/store.rs", "use crate::KIND;\n"),
        ];
        assert_eq!(messages(&files), ["c/src/backend.rs:2: these files import in a circle: backend → store → backend"]);
    }

    #[test]
    fn folders_and_their_files_tests_and_other_crates_pass() {
        let files = [
            ("c/src/a/mod.rs", "use self::b::B;\npub use self::d::D;\n"),
            ("c/src/a/b.rs", "use super::A;\nuse super::D;\n#[cfg(test)]\nmod tests {\n    use crate::a::d;\n}\n"),
            ("c/src/a/d.rs", "/// [`crate::a::b`]\nstruct D;\n#[cfg(test)]\nmod tests {\n    use crate::a::b;\n}\n"),
            ("d/src/d.rs", "use super::b;\n"),
            ("d/src/b.rs", "use c::d;\n"),
        ];
        assert!(messages(&files).is_empty());
    }
}
