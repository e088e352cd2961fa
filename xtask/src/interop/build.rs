//! A small build from nothing, and what BuildKit says of its steps.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Daemon;
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

/// The build context.
pub(super) struct Build {
    context: PathBuf,
}

impl Build {
    /// Writes the context and compiles the program that its steps run.
    pub(super) fn prepare(directory: &Path) -> Result<Self, Failure> {
        let context = directory.join("context");
        fs::create_dir(&context).map_err(|error| Failure::io("create", &context, &error))?;
        let program = directory.join("write.c");
        for (path, text) in [(&program, PROGRAM), (&context.join("Dockerfile"), DOCKERFILE)] {
            fs::write(path, text).map_err(|error| Failure::io("write", path, &error))?;
        }
        process::run(Command::new("gcc").arg("-static").arg("-o").arg(context.join("write")).arg(&program))?;
        Ok(Self { context })
    }

    /// Builds and fails unless every step is a hit, or none is.
    pub(super) fn expect_hits(&self, daemon: &Daemon, cache: &[&str], expected: bool) -> Result<(), Failure> {
        let context = self.context.display();
        let mut command = daemon.buildctl(&["build", "--frontend", "dockerfile.v0", "--progress", "plain"]);
        command
            .args(["--local", &format!("context={context}"), "--local", &format!("dockerfile={context}")])
            .args(cache);
        let log = progress(&mut command)?;
        let steps = steps(&log);
        println!("steps: {} of {} CACHED", steps.values().filter(|hit| **hit).count(), steps.len());
        if steps.is_empty() || steps.values().any(|hit| *hit != expected) {
            let wanted = if expected { "every step to hit" } else { "no step to hit" };
            return Err(Failure::new(format!("expected {wanted}; buildctl said:\n{log}")));
        }
        Ok(())
    }
}

/// Runs a build and returns its progress, which `buildctl` writes to standard error.
fn progress(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::new(format!("cannot start buildctl: {error}")))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(log) } else { Err(Failure::new(format!("the build failed:\n{log}"))) }
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
