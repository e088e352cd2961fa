//! `cargo xtask tidy`: the house rules that neither rustfmt nor clippy checks.

mod circles;
mod layout;
mod lexer;
mod lib_rs;
mod markdown;
mod messages;
mod paths;
mod rooms;
mod rust;
mod sizes;
mod source;
mod text;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use self::circles::Circles;
use self::sizes::Sizes;
use self::source::Source;
use crate::args::Args;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Directories without files that are written by hand.
const SKIPPED: [&str; 5] = [".git", "target", "fixtures", "snapshots", "node_modules"];

/// A broken rule and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// Relative to the root of the workspace.
    path: PathBuf,
    /// Counted from 1.
    line: usize,
    message: String,
}

/// What is collected from all files.
#[derive(Default)]
struct Whole {
    sizes: Sizes,
    circles: Circles,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.finish()?;
    check(&Workspace::load()?)
}

/// Prints every violation in the tree and fails if there is one.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let mut files = Vec::new();
    collect(&workspace.root, &mut files)?;
    let mut violations = layout::check(workspace);
    violations.extend(messages::check(&workspace.root, &files)?);
    let mut whole = Whole::default();
    for file in &files {
        violations.extend(check_file(workspace, file, &mut whole)?);
    }
    let document = workspace.root.join(sizes::DOCUMENT);
    let text = fs::read_to_string(&document).map_err(|error| Failure::io("read", &document, &error))?;
    violations.extend(whole.sizes.check(&text));
    violations.extend(whole.circles.check());
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => println!("tidy: {} files, nothing to say", files.len()),
        count => return Err(Failure::new(format!("house rules broken: {count}"))),
    }
    Ok(())
}

fn check_file(workspace: &Workspace, file: &Path, whole: &mut Whole) -> Result<Vec<Violation>, Failure> {
    let bytes = fs::read(file).map_err(|error| Failure::io("read", file, &error))?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(Vec::new()) };
    let path = file.strip_prefix(&workspace.root).unwrap_or(file);
    let mut violations = text::check(path, &text);
    violations.extend(markdown::check(&workspace.root, path, &text));
    if path.extension().is_some_and(|extension| extension == "rs") {
        let source = Source::new(path, text);
        whole.sizes.add(&source);
        whole.circles.add(&source);
        violations.extend(rust::check(&source, workspace));
    }
    Ok(violations)
}

/// Adds every file below the directory, without the skipped directories and without following links.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::io("read", directory, &error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_file() {
            files.push(entry.path());
        } else if kind.is_dir() && !SKIPPED.iter().any(|name| entry.file_name() == *name) {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}
