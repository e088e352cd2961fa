//! A small build from nothing, and what BuildKit says of its steps.

use std::collections::BTreeMap;
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

const DOCKERFILE: &str = r#"FROM scratch AS first
COPY write /write
RUN ["/write", "/one", "1"]
FROM scratch
COPY write /write
RUN ["/write", "/two", "2"]
COPY --from=first /one /one
"#;

/// A build that has its first step in common with the other one.
const OTHER: &str = r#"FROM scratch
COPY write /write
RUN ["/write", "/three", "3"]
"#;

/// The name of the other build's Dockerfile in the context.
pub(super) const OTHER_NAME: &str = "Dockerfile.other";

/// How many steps have to be hits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hits {
    Every,
    None,
    /// So many, and not all.
    Some(usize),
}

/// Writes the build's context and compiles the program that its steps run; returns where the context is.
pub(super) fn prepare(directory: &Path) -> Result<PathBuf, Failure> {
    let context = directory.join("context");
    fs::create_dir(&context).map_err(|error| Failure::io("create", &context, &error))?;
    let program = directory.join("write.c");
    let files = [(&program, PROGRAM), (&context.join("Dockerfile"), DOCKERFILE), (&context.join(OTHER_NAME), OTHER)];
    for (path, text) in files {
        fs::write(path, text).map_err(|error| Failure::io("write", path, &error))?;
    }
    process::run(Command::new("gcc").arg("-static").arg("-o").arg(context.join("write")).arg(&program))?;
    Ok(context)
}

/// Runs a build that tells its progress in plain text, and fails unless as many steps are hits; `name` is for people.
pub(super) fn expect(expected: Hits, name: &str, build: &mut Command) -> Result<(), Failure> {
    let log = progress(build)?;
    let steps = steps(&log);
    let hits = steps.values().filter(|hit| **hit).count();
    println!("{name}: {hits} of {} steps CACHED", steps.len());
    let (is_met, wanted) = match expected {
        Hits::Every => (hits == steps.len(), "every step to hit".to_owned()),
        Hits::None => (hits == 0, "no step to hit".to_owned()),
        Hits::Some(count) => (hits == count && hits < steps.len(), format!("{count} steps to hit, and not all")),
    };
    if steps.is_empty() || !is_met {
        return Err(Failure::new(format!("expected {wanted}; the build said:\n{log}")));
    }
    Ok(())
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
