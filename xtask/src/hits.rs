//! Which steps of a build were hits, as read from BuildKit's progress.

use std::collections::BTreeMap;
use std::fmt;
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// Which steps have to be hits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hits {
    Every,
    None,
    /// Every step except those whose names contain one of these texts.
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

/// Runs a build with plain progress, and fails unless the expected steps are hits. `name` is for the message.
pub(crate) fn expect(expected: Hits, name: &str, build: &mut Command) -> Result<(), Failure> {
    let log = progress(build)?;
    let steps = steps(&log);
    println!("{name}: {} of {} steps CACHED", steps.values().filter(|hit| **hit).count(), steps.len());
    if !agrees(&steps, expected) {
        return Err(Failure::new(format!("expected {expected}; the build said:\n{log}")));
    }
    Ok(())
}

/// Runs a build with plain progress; returns whether the expected steps are hits, and the progress.
pub(crate) fn try_to(expected: Hits, build: &mut Command) -> Result<(bool, String), Failure> {
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

/// The steps of the Dockerfile in plain progress, by name, and whether each was a hit. A hit whose layers are fetched
/// for an output is not marked `CACHED`, but its layers are extracted.
fn steps(progress: &str) -> BTreeMap<&str, bool> {
    let lines: Vec<_> = progress.lines().filter_map(|line| line.strip_prefix('#')?.split_once(' ')).collect();
    let is_step = |text: &str| text.starts_with('[') && text.contains('/') && !text.starts_with("[internal]");
    let tells_hit = |text: &str| text == "CACHED" || text.starts_with("extracting sha256:");
    let is_hit = |step: &str| lines.iter().any(|(number, text)| *number == step && tells_hit(text));
    let named = lines.iter().filter(|(_, text)| is_step(text));
    named.map(|(number, text)| (*text, is_hit(number))).collect()
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

#7 [stage-1 3/3] COPY --from=first /one /one
#7 sha256:f4643da3fa543ddd700a47c4b5d0c2e641bc6096af2c89aced33e8c8b8e28eea 68.70MB / 68.70MB 0.3s done
#7 extracting sha256:f4643da3fa543ddd700a47c4b5d0c2e641bc6096af2c89aced33e8c8b8e28eea 1.0s done
#7 DONE 1.4s
";

    #[test]
    fn steps_are_told_from_the_rest_of_the_progress() {
        let steps = steps(PROGRESS);
        let hits: Vec<_> = steps.into_iter().collect();
        assert_eq!(
            hits,
            [
                ("[first 1/2] COPY write /write", true),
                (r#"[stage-1 2/3] RUN ["/write", "/two", "2"]"#, false),
                ("[stage-1 3/3] COPY --from=first /one /one", true),
            ]
        );
    }
}
