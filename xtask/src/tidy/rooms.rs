//! The rooms of `cache-core`: which folder may import from which.

use std::path::Path;

use super::Violation;
use super::source::Source;

/// The rooms from the bottom up. Each imports from itself and from those before it, and names the room it imports from:
/// `use crate::model::…`.
const ROOMS: [&str; 7] = ["error", "json", "model", "spec", "manifest", "seams", "graph"];

/// The folder that the rooms are in.
const HOUSE: &str = "cache-core/src";

/// The room that a file is in.
pub(super) fn room(path: &Path) -> Option<String> {
    let path = path.strip_prefix(HOUSE).ok()?.with_extension("");
    let room = path.iter().next()?.to_str()?;
    (room != "lib").then(|| room.to_owned())
}

/// Reports every import that runs upwards, and every one that does not name a room.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let Some(room) = room(&source.path) else { return Vec::new() };
    let depth = source.path.iter().filter(|name| *name != "mod.rs").count() - Path::new(HOUSE).iter().count();
    let Some(floor) = floor(&room) else {
        return vec![source.violation(1, format!("`{room}` is not a room ({})", ROOMS.join(" < ")))];
    };
    let lines = source.code.lines().enumerate();
    let wrong = lines.flat_map(|(at, line)| upwards(line, floor, depth).map(move |what| (at, what)));
    wrong.map(|(at, what)| source.violation(at + 1, format!("{what} ({})", ROOMS.join(" < ")))).collect()
}

/// The position of a room, from the bottom.
fn floor(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

/// The imports in a line that are not allowed in a room on `floor`, in a module `depth` levels below the crate's root.
fn upwards(line: &str, floor: usize, depth: usize) -> impl Iterator<Item = String> {
    let climbs = line.contains(&"super::".repeat(depth));
    let climb = climbs.then(|| "`super` leads out of the room".to_owned());
    let named = line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    let wrong = named.filter_map(move |room| match self::floor(&room) {
        None => Some("the import does not name its room".to_owned()),
        Some(other) if other > floor => Some(format!("the import runs upwards, to `{room}`")),
        Some(_) => None,
    });
    let renames = line.contains("crate as ").then(|| "the crate is imported under another name".to_owned());
    climb.into_iter().chain(renames).chain(wrong.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;
    use crate::tidy::source::Source;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(Path::new(path), format!("//! A.\n{text}"));
        let order = " (error < json < model < spec < manifest < seams < graph)";
        check(&source).iter().map(|violation| violation.to_string().replace(order, "")).collect()
    }

    #[test]
    fn an_import_that_runs_upwards_is_refused() {
        let upwards = "use crate::error::Error;\nuse crate::graph::load;\n";
        let message = "cache-core/src/manifest/oci.rs:3: the import runs upwards, to `graph`";
        assert_eq!(messages("cache-core/src/manifest/oci.rs", upwards), [message]);
        let message = "cache-core/src/error.rs:2: the import runs upwards, to `model`";
        assert_eq!(messages("cache-core/src/error.rs", "fn f() -> crate::model::Digest {}\n"), [message]);
    }

    #[test]
    fn an_import_names_its_room() {
        for text in ["use crate::Digest;\n", "use crate::{Digest, Error};\n"] {
            let message = "cache-core/src/graph/walk.rs:2: the import does not name its room";
            assert_eq!(messages("cache-core/src/graph/walk.rs", text), [message]);
        }
        let message = "cache-core/src/graph/walk.rs:2: the crate is imported under another name";
        assert_eq!(messages("cache-core/src/graph/walk.rs", "use crate as root;\n"), [message]);
        let message = "cache-core/src/graph/chains/mod.rs:2: `super` leads out of the room";
        assert_eq!(messages("cache-core/src/graph/chains/mod.rs", "use super::super::Digest;\n"), [message]);
        let message = "cache-core/src/cellar/a.rs:1: `cellar` is not a room";
        assert_eq!(messages("cache-core/src/cellar/a.rs", ""), [message]);
    }

    #[test]
    fn imports_from_below_and_beside_pass() {
        let text =
            "use super::walk;\nuse crate::graph::check;\nuse crate::seams::BlobProvider;\n/// [`crate::upload`]\n";
        assert!(messages("cache-core/src/graph/load.rs", text).is_empty());
        assert!(messages("cache-core/src/lib.rs", "pub use self::model::Digest;\n").is_empty());
        assert!(messages("cache-ops/src/copy.rs", "use crate::export::export;\n").is_empty());
        let tests = "#[cfg(test)]\nmod tests {\n    use crate::graph::load;\n}\n";
        assert!(messages("cache-core/src/model/mode.rs", tests).is_empty());
    }
}
