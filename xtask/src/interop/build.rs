//! A small build from nothing, and what BuildKit says of its steps.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::process;

/// Writes its second argument into the file its first argument names.
const PROGRAM: &str = r#"#include <stdio.h>
int main(int argc, char **argv) {
  FILE *file = argc == 3 ? fopen(argv[1], "w") : NULL;
  return file == NULL || fputs(argv[2], file) < 0 || fclose(file) != 0;
}
"#;

/// Every step leaves a file that is named after it, so that its layer can be told from the others.
const DOCKERFILE: &str = r#"FROM scratch AS first
COPY write /write
RUN ["/write", "/one", "1"]
FROM scratch
COPY write /write
RUN ["/write", "/two", "2"]
COPY --from=first /one /one
"#;

/// Which steps have to be hits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hits {
    Every,
    None,
    /// Every step but those whose names hold one of these texts.
    But(&'static [&'static str]),
}

impl Hits {
    fn includes(self, step: &str) -> bool {
        match self {
            Self::Every => true,
            Self::None => false,
            Self::But(misses) => !misses.iter().any(|text| step.contains(text)),
        }
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("every step to hit"),
            Self::None => f.write_str("no step to hit"),
            Self::But(misses) => write!(f, "every step to hit but {}", misses.join(" and ")),
        }
    }
}

/// A build that shares its first steps with the other one.
const SIBLING: &str = r#"FROM scratch AS first
COPY write /write
RUN ["/write", "/one", "1"]
FROM scratch
COPY write /write
RUN ["/write", "/three", "3"]
COPY --from=first /one /uno
"#;

/// The file that describes [`SIBLING`] in the context.
pub(super) const SIBLING_FILE: &str = "Dockerfile.sibling";

/// Writes the build's context and compiles the program that its steps run; returns where the context is.
pub(super) fn prepare(directory: &Path) -> Result<PathBuf, Failure> {
    let context = directory.join("context");
    fs::create_dir(&context).map_err(|error| Failure::io("create", &context, &error))?;
    let program = directory.join("write.c");
    let (dockerfile, sibling) = (context.join("Dockerfile"), context.join(SIBLING_FILE));
    for (path, text) in [(&program, PROGRAM), (&dockerfile, DOCKERFILE), (&sibling, SIBLING)] {
        fs::write(path, text).map_err(|error| Failure::io("write", path, &error))?;
    }
    process::run(Command::new("gcc").arg("-static").arg("-o").arg(context.join("write")).arg(&program))?;
    Ok(context)
}

/// Runs a build that tells its progress in plain text, and fails unless as many steps are hits; `name` is for people.
pub(super) fn expect(expected: Hits, name: &str, build: &mut Command) -> Result<(), Failure> {
    let log = progress(build)?;
    let steps = steps(&log);
    println!("{name}: {} of {} steps CACHED", steps.values().filter(|hit| **hit).count(), steps.len());
    if !agrees(&steps, expected) {
        return Err(Failure::new(format!("expected {expected}; the build said:\n{log}")));
    }
    Ok(())
}

/// Runs a build that tells its progress in plain text, and says whether as many steps are hits, and what it told.
pub(super) fn try_to(expected: Hits, build: &mut Command) -> Result<(bool, String), Failure> {
    let log = progress(build)?;
    Ok((agrees(&steps(&log), expected), log))
}

fn agrees(steps: &BTreeMap<&str, bool>, expected: Hits) -> bool {
    !steps.is_empty() && steps.iter().all(|(step, hit)| *hit == expected.includes(step))
}

/// Runs a build and returns its progress, which it writes to standard error.
fn progress(build: &mut Command) -> Result<String, Failure> {
    let output = build
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::new(format!("cannot start the build: {error}")))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(log);
    }
    Err(Failure::new(format!("the build failed ({}):\n{log}", output.status)))
}

/// The steps of the Dockerfile in plain progress, by their name, and whether each was a hit.
fn steps(progress: &str) -> BTreeMap<&str, bool> {
    let lines: Vec<_> = progress.lines().filter_map(|line| line.strip_prefix('#')?.split_once(' ')).collect();
    let is_step = |text: &str| text.starts_with('[') && text.contains('/') && !text.starts_with("[internal]");
    let named = lines.iter().filter(|(_, text)| is_step(text));
    named.map(|(number, text)| (*text, lines.contains(&(*number, "CACHED")))).collect()
}

#[cfg(test)]
mod tests {
    use super::steps;

    const PROGRESS: &str = "\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s

#4 [first 1/2] COPY write /write
#4 CACHED

#5 [stage-1 2/3] RUN [\"/write\", \"/two\", \"2\"]
#5 DONE 0.1s

#6 importing cache manifest from local:123
#6 DONE 0.0s
";

    #[test]
    fn steps_are_told_from_the_rest_of_the_progress() {
        let steps = steps(PROGRESS);
        let hits: Vec<_> = steps.into_iter().collect();
        assert_eq!(
            hits,
            [("[first 1/2] COPY write /write", true), (r#"[stage-1 2/3] RUN ["/write", "/two", "2"]"#, false)]
        );
    }
}
