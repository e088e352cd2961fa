//! Measures the time and memory of a command.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Outcome;

/// The figures of a run.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Seconds from its start to its end.
    pub seconds: f64,
    /// Processor time, in seconds.
    pub cpu: f64,
    /// Peak memory, in MiB.
    pub peak: f64,
}

impl Figure {
    /// The median of each figure of several runs.
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
/// Earlier writes are flushed to disk first: a store on this machine may have gigabytes to write from the run before,
/// which would slow down a command that flushes its own files.
///
/// # Errors
/// If it fails.
pub fn measure(command: &mut Command) -> Outcome<Figure> {
    measure_to(command, 0)
}

/// As [`measure`], of a command that ends with this exit code.
///
/// # Errors
/// If it ends with another one.
pub fn measure_to(command: &mut Command, code: i32) -> Outcome<Figure> {
    Command::new("sync").status()?;
    let (before, start) = (processors()?, Instant::now());
    let peak = peak_to(command, code)?;
    Ok(Figure { seconds: start.elapsed().as_secs_f64(), cpu: processors()? - before, peak })
}

/// Runs a command to its end and returns its peak memory, in MiB.
///
/// # Errors
/// If it fails.
pub fn peak(command: &mut Command) -> Outcome<f64> {
    peak_to(command, 0)
}

fn peak_to(command: &mut Command, code: i32) -> Outcome<f64> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut peak = 0.0;
    let status = loop {
        peak = peak_of(&child).unwrap_or(peak);
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    if status.code() == Some(code) { Ok(peak) } else { Err(format!("{command:?} failed ({status})").into()) }
}

/// The peak memory of a process so far, in MiB; `None` once the process has ended.
fn peak_of(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// The processor time of this process and the children that it has waited for, in seconds.
///
/// # Errors
/// If `/proc` does not have it, as outside of Linux.
pub fn processors() -> Outcome<f64> {
    /// Ticks per second in `/proc`, which are fixed on Linux.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string("/proc/self/stat")?;
    // The second field, the name, may contain anything; the times are fields 14 to 17.
    let (_, fields) = text.rsplit_once(')').ok_or("Linux says it")?;
    let times: Vec<f64> = fields.split_whitespace().skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    Ok(times.iter().sum::<f64>() / TICKS)
}
