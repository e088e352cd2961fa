//! What a command takes.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Outcome;

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// From its start to its end.
    pub seconds: f64,
    /// What processors worked for it, in seconds.
    pub cpu: f64,
    /// The most memory that the process had, in MiB.
    pub peak: f64,
}

impl Figure {
    /// The medians of several runs, each by itself.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn median(figures: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| median(figures.iter().map(value).collect());
        Self { seconds: of(|figure| figure.seconds), cpu: of(|figure| figure.cpu), peak: of(|figure| figure.peak) }
    }
}

/// The value in the middle.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a command to its end.
///
/// All that was written before is put on disk first: a store on this machine has gigabytes left to write from the run
/// before, and they would be in the way of a command that puts its own files on disk.
///
/// # Errors
/// When it does not end well.
pub fn measure(command: &mut Command) -> Outcome<Figure> {
    Command::new("sync").status()?;
    let (before, start) = (processors()?, Instant::now());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut peak = 0.0;
    let status = loop {
        peak = peak_of(&child).unwrap_or(peak);
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let cpu = processors()? - before;
    if status.success() {
        Ok(Figure { seconds, cpu, peak })
    } else {
        Err(format!("{command:?} failed ({status})").into())
    }
}

/// The most memory that a process has had so far, in MiB; it is gone when the process has ended.
fn peak_of(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// Seconds that processors have worked for this process, and for the children that it has waited for.
///
/// # Errors
/// Where `/proc` does not say it: it is Linux that does.
pub fn processors() -> Outcome<f64> {
    /// Linux counts so many ticks a second, whatever its own clock does.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string("/proc/self/stat")?;
    // The name, the second field, may hold anything; the times are the 14th to the 17th.
    let (_, fields) = text.rsplit_once(')').ok_or("Linux says it")?;
    let times: Vec<f64> = fields.split_whitespace().skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    Ok(times.iter().sum::<f64>() / TICKS)
}
