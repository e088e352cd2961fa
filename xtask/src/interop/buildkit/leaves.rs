//! Caches with several leaves. BuildKit v0.25.0 and later find only a part of such a cache, unless one record joins the
//! leaves.
//!
//! Which part is found is random, so one import proves nothing: each cache is imported ten times, by empty daemons.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::trip::{exported, imported, layer_with};
use crate::failure::Failure;
use crate::hits::{self, Hits};
use crate::process;
use crate::servers::buildkit::{Daemon, Snapshots, Tools};

const IMPORTS: usize = 10;

/// A build for two platforms, whose steps differ although they copy the same files.
const PLATFORMS: Build = Build { file: "Dockerfile.platforms", platforms: Some("linux/amd64,linux/arm64") };

const PLATFORMS_FILE: &str = "FROM scratch AS assets
ARG TARGETARCH
COPY src /src
COPY conf /etc/$TARGETARCH/conf
FROM assets AS docs
COPY src /docs
FROM scratch
COPY --from=assets / /a/
COPY --from=docs / /d/
COPY src /all
";

/// Builds that share their first steps.
const SIBLINGS: [Build; 3] = [
    Build { file: "Dockerfile.one", platforms: None },
    Build { file: "Dockerfile.two", platforms: None },
    Build { file: "Dockerfile.three", platforms: None },
];

/// A build whose two stages are joined only by the last step.
const FORK: Build = Build { file: "Dockerfile.fork", platforms: None };

const FORK_FILE: &str = "FROM scratch AS left
COPY src /src
COPY src /left
FROM scratch AS right
COPY src /src
COPY conf /conf
COPY src /right
FROM left
COPY --from=right / /joined/
";

#[derive(Clone, Copy)]
struct Build {
    file: &'static str,
    platforms: Option<&'static str>,
}

/// Imports every kind of cache that may have several leaves.
pub(super) fn imports(tools: &Tools, buildcache: &Path, directory: &Path) -> Result<(), Failure> {
    let imports = Imports { tools, buildcache, directory, context: context(directory)? };
    imports.of_platforms()?;
    imports.of_siblings()?;
    imports.of_fork()
}

fn context(directory: &Path) -> Result<PathBuf, Failure> {
    let context = directory.join("leaves");
    let write = |name: &str, text: &str| {
        let path = context.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| Failure::io("create", &path, &error))?;
        fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))
    };
    for (name, text) in [("src/a.txt", "a"), ("src/b.txt", "b"), ("conf/c.txt", "c")] {
        write(name, text)?;
    }
    write(PLATFORMS.file, PLATFORMS_FILE)?;
    write(FORK.file, FORK_FILE)?;
    for (sibling, own) in SIBLINGS.iter().zip(["one", "two", "three"]) {
        let shared = "FROM scratch AS assets\nCOPY src /src\nCOPY conf /conf\nFROM scratch\nCOPY --from=assets / /a/\n";
        write(sibling.file, &format!("{shared}COPY src /{own}\nCOPY src /{own}/more\nCOPY src /{own}/most\n"))?;
    }
    Ok(context)
}

struct Imports<'a> {
    tools: &'a Tools,
    buildcache: &'a Path,
    directory: &'a Path,
    context: PathBuf,
}

impl Imports<'_> {
    /// BuildKit's cache for two platforms, after `optimize` and with `mode=min`.
    fn of_platforms(&self) -> Result<(), Failure> {
        let written = self.written(PLATFORMS)?;
        let hits = self.count(PLATFORMS, &written, Hits::Every)?.0;
        println!("interop: {hits} of {IMPORTS} imports of what BuildKit wrote for two platforms hit every step");
        let (optimized, min) = (self.directory.join("platforms-optimized"), self.directory.join("platforms-min"));
        self.run(&["optimize", &imported(&written), "--to", &exported(&optimized)])?;
        self.expect("the cache of two platforms, optimized", &[PLATFORMS], &optimized, Hits::Every)?;
        self.export_again(&written, &optimized)?;
        let least = format!("type=local,dest={},mode=min", min.display());
        self.run(&["copy", &imported(&written), &least])?;
        self.expect("the least of the cache of two platforms", &[PLATFORMS], &min, Hits::Every)
    }

    /// BuildKit exports an imported cache without the record that joined its leaves. The cache is otherwise the same.
    fn export_again(&self, written: &Path, optimized: &Path) -> Result<(), Failure> {
        let again = self.directory.join("platforms-again");
        let (from, to) = (imported(optimized), exported(&again));
        let (_, log) = self.afresh(PLATFORMS, &["--import-cache", &from, "--export-cache", &to], Hits::Every)?;
        self.run(&["diff", &imported(written), &imported(&again)])
            .map_err(|failure| Failure::new(format!("{failure}; the build said:\n{log}")))
    }

    /// Three builds in one cache, merged, and then optimized. Importing the three caches side by side is not tested:
    /// the newest BuildKit then loses steps, even of caches that it wrote with one leaf each.
    fn of_siblings(&self) -> Result<(), Failure> {
        let [one, two, three] = SIBLINGS.map(|sibling| self.written(sibling));
        let (one, two, three) = (one?, two?, three?);
        let merged = self.merged("siblings-merged", &[&one, &two, &three])?;
        self.expect("three builds merged", &SIBLINGS, &merged, Hits::Every)?;
        let optimized = self.directory.join("siblings-optimized");
        self.run(&["optimize", &imported(&merged), "--to", &exported(&optimized)])?;
        self.expect("three builds merged and optimized", &SIBLINGS, &optimized, Hits::Every)
    }

    fn merged(&self, name: &str, parts: &[&Path]) -> Result<PathBuf, Failure> {
        let merged = self.directory.join(name);
        let (parts, to): (Vec<String>, String) = (parts.iter().map(|part| imported(part)).collect(), exported(&merged));
        let words = ["merge"].into_iter().chain(parts.iter().map(String::as_str)).chain(["--to", &to]);
        self.run(&words.collect::<Vec<_>>())?;
        Ok(merged)
    }

    /// A repaired cache that had lost the layer of its last step, so that two leaves remain.
    fn of_fork(&self) -> Result<(), Failure> {
        let (written, repaired) = (self.written(FORK)?, self.directory.join("fork-repaired"));
        let layer = layer_with(&written, "joined/right/a.txt")?;
        fs::remove_file(&layer).map_err(|error| Failure::io("remove", &layer, &error))?;
        self.run(&["repair", &imported(&written), "--to", &exported(&repaired)])?;
        self.expect("the repaired cache of two stages", &[FORK], &repaired, Hits::But(&["/joined/"]))
    }

    /// Builds without a cache and exports one.
    fn written(&self, build: Build) -> Result<PathBuf, Failure> {
        let written = self.directory.join(format!("{}-written", build.file));
        let (is_built, log) = self.afresh(build, &["--export-cache", &exported(&written)], Hits::None)?;
        if !is_built {
            return Err(Failure::new(format!("expected no step to hit; the build said:\n{log}")));
        }
        Ok(written)
    }

    /// Fails unless every import has the expected hits.
    fn expect(&self, what: &str, builds: &[Build], cache: &Path, hits: Hits) -> Result<(), Failure> {
        self.run(&["verify", &imported(cache)])?;
        for &build in builds {
            let (count, other) = self.count(build, cache, hits)?;
            println!("interop: {count} of {IMPORTS} imports of {what} had the hits expected ({})", build.file);
            if let Some(log) = other {
                return Err(Failure::new(format!("expected {hits}; a build said:\n{log}")));
            }
        }
        Ok(())
    }

    /// How many imports have the expected hits, and the progress of a build that did not.
    fn count(&self, build: Build, cache: &Path, hits: Hits) -> Result<(usize, Option<String>), Failure> {
        let (mut count, mut other) = (0, None);
        for _ in 0..IMPORTS {
            match self.afresh(build, &["--import-cache", &imported(cache)], hits)? {
                (true, _) => count += 1,
                (false, log) => other = Some(log),
            }
        }
        Ok((count, other))
    }

    /// Builds with a new daemon.
    fn afresh(&self, build: Build, args: &[&str], hits: Hits) -> Result<(bool, String), Failure> {
        let home = self.directory.join("fresh");
        fs::create_dir(&home).map_err(|error| Failure::io("create", &home, &error))?;
        let daemon = Daemon::start(self.tools, &home, Snapshots::Copied)?;
        let mut command = daemon.build(&self.context, build.file);
        if let Some(platforms) = build.platforms {
            command.args(["--opt", &format!("platform={platforms}")]);
        }
        let told = hits::try_to(hits, command.args(args));
        drop(daemon);
        fs::remove_dir_all(&home).map_err(|error| Failure::io("remove", &home, &error))?;
        told
    }

    fn run(&self, words: &[&str]) -> Result<(), Failure> {
        process::run(Command::new(self.buildcache).args(words))
    }
}
