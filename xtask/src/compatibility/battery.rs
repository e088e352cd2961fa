//! The steps that are tried on every store, compared with what `doctor` says about it.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::Bench;
use super::servers::{Loss, Server, Started};

/// Caches that BuildKit wrote, each with results of its own.
const SOURCES: [&str; 6] =
    ["max-manifest", "max-zstd", "max-uncompressed", "max-estargz", "min-manifest", "max-docker"];

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    Well,
    /// It failed, with this message.
    Badly(String),
    /// The store has no such operation, or it cannot be tried.
    Untried,
}

/// The outcome for one store.
pub(crate) struct Row {
    pub(crate) store: &'static str,
    pub(crate) version: String,
    pub(crate) steps: Vec<(&'static str, Came)>,
    /// The checks of `doctor` that do not work.
    pub(crate) refused: Vec<String>,
    /// Where the outcome differs from what `doctor` says.
    pub(crate) lies: Vec<String>,
}

struct Battery<'a> {
    server: &'a Server,
    started: &'a Started,
    bench: &'a Bench,
}

pub(crate) fn run(server: &Server, version: &str, started: &Started, bench: &Bench) -> Row {
    let battery = Battery { server, started, bench };
    let checks = battery.doctor();
    let steps: Vec<(&'static str, Came)> = STEPS
        .iter()
        .map(|(name, step)| {
            let begun = Instant::now();
            let came = if battery.can_try(name, &checks) { step(&battery) } else { Came::Untried };
            println!("  {name:<8} {came:?} ({} ms)", begun.elapsed().as_millis());
            (*name, came)
        })
        .collect();
    let refused = checks.iter().filter(|(_, outcome)| *outcome == "refused").map(|(name, _)| name.clone()).collect();
    let lies = lies(&checks, &steps);
    Row { store: server.name, version: version.to_owned(), steps, refused, lies }
}

type Step = for<'a> fn(&Battery<'a>) -> Came;

const STEPS: [(&str, Step); 10] = [
    ("copy", |battery| battery.copy("max-manifest", "main", |_| true)),
    ("again", |battery| battery.copy("max-manifest", "main", |copied| copied["blobs"]["uploaded"] == 0)),
    ("large", |battery| battery.large()),
    ("ls", |battery| battery.ls()),
    ("du", |battery| battery.works(&["du", &battery.spec("main")])),
    ("verify", |battery| battery.works(&["verify", &battery.spec("main")])),
    ("publish", |battery| battery.publish()),
    ("repair", |battery| battery.repair()),
    ("prune", |battery| battery.prune()),
    ("rm", |battery| battery.rm()),
];

/// The checks of `doctor` that a step depends on. The step works if one of them does.
const DEPENDS: [(&str, &[&str]); 5] = [
    ("copy", &["write", "push", "upload", "save"]),
    ("large", &["multipart", "single-upload", "block-upload"]),
    ("ls", &["list", "list-tags"]),
    ("rm", &["delete", "delete-tag", "delete-manifest"]),
    ("publish", &["conditional-write"]),
];

fn lies(checks: &BTreeMap<String, String>, steps: &[(&'static str, Came)]) -> Vec<String> {
    let mut lies = Vec::new();
    for (step, names) in DEPENDS {
        let said: Vec<&String> = names.iter().filter_map(|name| checks.get(*name)).collect();
        let Some((_, came)) = steps.iter().find(|(name, _)| *name == step).filter(|_| !said.is_empty()) else {
            continue;
        };
        let is_promised = said.iter().any(|outcome| *outcome == "works");
        let is_refused = said.iter().all(|outcome| *outcome == "refused");
        match came {
            Came::Well if is_refused && step != "publish" => {
                lies.push(format!("{step} works, and doctor says that it cannot"));
            }
            Came::Badly(_) if is_promised => lies.push(format!("{step} does not work, and doctor says that it does")),
            _ => {}
        }
    }
    lies
}

impl Battery<'_> {
    fn spec(&self, name: &str) -> String {
        self.server.spec(&self.started.place, name)
    }

    fn source(&self, name: &str) -> String {
        format!("type=local,src={}", self.bench.root.join("tests/fixtures/local/v0.32").join(name).display())
    }

    /// Whether the step can be tried. Without GitHub's REST API a cache service cannot be listed, and `doctor` does not
    /// check that either.
    fn can_try(&self, step: &str, checks: &BTreeMap<String, String>) -> bool {
        let is_listed = checks.get("list").is_none_or(|outcome| outcome != "unknown");
        is_listed || !["ls", "prune", "rm"].contains(&step)
    }

    /// The outcome of each check.
    fn doctor(&self) -> BTreeMap<String, String> {
        let (_, out, _) = self.run(&["doctor", "-o", "json", &self.spec("main")]);
        let said: Value = serde_json::from_str(&out).unwrap_or_default();
        let checks = said["checks"].as_array().into_iter().flatten();
        let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
        checks.map(|check| (text(check, "name"), text(check, "outcome"))).collect()
    }

    fn copy(&self, source: &str, name: &str, is_good: impl Fn(&Value) -> bool) -> Came {
        let (status, out, said) = self.run(&["copy", "-o", "json", &self.source(source), &self.spec(name)]);
        let copied: Value = serde_json::from_str(&out).unwrap_or_default();
        match status {
            0 if is_good(&copied["copies"][0]) => Came::Well,
            0 => Came::Badly(format!("copied {}", copied["copies"][0]["blobs"])),
            _ => Came::Badly(said),
        }
    }

    fn large(&self) -> Came {
        let copied = self.works(&["copy", &self.large_source(), &self.spec("large")]);
        if copied == Came::Well { self.works(&["verify", &self.spec("large")]) } else { copied }
    }

    fn ls(&self) -> Came {
        self.lists("large", true)
    }

    /// Checks that `ls` lists this cache, or no longer does.
    fn lists(&self, name: &str, is_there: bool) -> Came {
        let (status, out, said) = self.run(&["ls", "-o", "json", &self.spec("main")]);
        let listed: Value = serde_json::from_str(&out).unwrap_or_default();
        let caches = listed["caches"].as_array().into_iter().flatten();
        let names: Vec<&str> = caches.filter_map(|cache| cache["name"].as_str()).collect();
        match status {
            // In gha a name has its scope beside it.
            0 if names.iter().any(|listed| listed.split('@').next() == Some(name)) == is_there => Came::Well,
            0 => Came::Badly(format!("listed {names:?}")),
            _ => Came::Badly(said),
        }
    }

    /// Runs six publishers at once. The cache has to hold every record of each of them.
    fn publish(&self) -> Came {
        let to = self.spec("shared");
        let publishers: Vec<std::io::Result<Child>> = SOURCES
            .iter()
            .map(|source| {
                let mut command = self.command(&["merge", "--publish", "--to", &to, &self.source(source)]);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
            })
            .collect();
        let ended = publishers.into_iter().map(|publisher| publisher.and_then(Child::wait_with_output));
        for ended in ended.collect::<Vec<_>>() {
            match ended {
                Ok(output) if output.status.success() => {}
                Ok(output) => return Came::Badly(last_line(&output.stderr)),
                Err(error) => return Came::Badly(error.to_string()),
            }
        }
        let together = format!("type=local,dest={}", self.local("together"));
        let sources: Vec<String> = SOURCES.iter().map(|source| self.source(source)).collect();
        let mut merge = vec!["merge", "--to", &together];
        merge.extend(sources.iter().map(String::as_str));
        let merged = self.works(&merge);
        let (expected, found) = (self.records(&together.replace("dest=", "src=")), self.records(&to));
        match merged {
            Came::Well if expected == found => self.works(&["verify", &to]),
            Came::Well => Came::Badly(format!("{found:?} of {expected:?} records are there")),
            merged => merged,
        }
    }

    /// A new directory of this name.
    fn local(&self, name: &str) -> String {
        self.started.place.folder.join(name).display().to_string()
    }

    fn large_source(&self) -> String {
        format!("type=local,src={}", self.bench.large().display())
    }

    fn records(&self, spec: &str) -> Option<u64> {
        let (_, out, _) = self.run(&["inspect", "-o", "json", spec]);
        serde_json::from_str::<Value>(&out).ok()?["totals"]["records"].as_u64()
    }

    /// Merges two caches and deletes the layer of one. `verify` has to find that, and `repair` to leave a sound cache.
    fn repair(&self) -> Came {
        let both = self.local("both");
        let (source, large) = (self.source("max-manifest"), self.large_source());
        let (to, written) = (format!("type=local,dest={both}"), format!("type=local,src={both}"));
        let merged = self.works(&["merge", "--to", &to, &source, &large]);
        let torn = if merged == Came::Well { self.torn(&written) } else { Err(merged) };
        let torn = match torn {
            Ok(torn) => torn,
            Err(came) => return came,
        };
        let (status, _, said) = self.run(&["verify", "--fast", &torn]);
        if status != 3 {
            return Came::Badly(format!("verify says {status} of lost blobs: {said}"));
        }
        let repaired = self.works(&["repair", "--fast", &torn]);
        if repaired == Came::Well { self.works(&["verify", &torn]) } else { repaired }
    }

    /// Writes the merged cache without its large layer, and returns its spec.
    fn torn(&self, both: &str) -> Result<String, Came> {
        let copy = |from: &str, to: &str| match self.works(&["copy", from, to]) {
            Came::Well => Ok(()),
            came => Err(came),
        };
        let spec = self.spec("torn");
        match self.server.loss {
            Loss::Prefixes => {
                let whole = format!("{spec},manifests_prefix=torn/");
                copy(both, &whole)?;
                copy(&self.source("max-manifest"), &format!("{spec},manifests_prefix=few/,blobs_prefix=fewblobs/"))?;
                Ok(format!("{whole},blobs_prefix=fewblobs/"))
            }
            Loss::Request(lose) => {
                // In its own repository, where the store has repositories.
                let torn = spec.replace("/team/cache:", "/team/torn:");
                copy(both, &torn)?;
                let digest = self.layer(&self.large_source()).unwrap_or_default();
                let is_lost = lose(&self.started.place, &digest);
                is_lost.then_some(torn).ok_or_else(|| Came::Badly("no blob can be taken away".to_owned()))
            }
        }
    }

    /// The digest of a cache's first layer.
    fn layer(&self, spec: &str) -> Option<String> {
        let (_, out, _) = self.run(&["inspect", "-o", "json", spec]);
        Some(serde_json::from_str::<Value>(&out).ok()?["layers"][0]["blob"].as_str()?.to_owned())
    }

    /// Deletes a cache and prunes. Only the blobs that no other cache needs may be deleted.
    fn prune(&self) -> Came {
        for words in [&["rm", "-f", &self.spec("large")][..], &["prune", "-f", "--grace", "1s", &self.spec("main")]] {
            let came = self.works(words);
            if came != Came::Well {
                return came;
            }
        }
        self.works(&["verify", &self.spec("main")])
    }

    fn rm(&self) -> Came {
        let removed = self.works(&["rm", "-f", &self.spec("main")]);
        if removed == Came::Well { self.lists("main", false) } else { removed }
    }

    fn works(&self, words: &[&str]) -> Came {
        let (status, _, said) = self.run(words);
        if status == 0 { Came::Well } else { Came::Badly(format!("exit {status}: {said}")) }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.bench.buildcache(words);
        command.envs(self.server.variables(&self.started.place));
        command
    }

    /// Returns the status, stdout, and the last line of stderr.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        match self.command(words).args(["--progress", "quiet", "--timeout", "120s"]).output() {
            Ok(output) => {
                let out = String::from_utf8_lossy(&output.stdout).into_owned();
                (output.status.code().unwrap_or(-1), out, last_line(&output.stderr))
            }
            Err(error) => (-1, String::new(), error.to_string()),
        }
    }
}

fn last_line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).lines().rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}
