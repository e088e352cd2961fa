//! Feeds seeded mutations to every fuzz target: `fuzz --seconds N [--target T] [--seed S]`.
//!
//! Prints each target with its number of inputs. On a panic it prints the seed and the input, and exits 1.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cache_tests::fuzz::{TARGETS, Target, mutations};

const USAGE: &str = "usage: fuzz [--seconds N] [--target T] [--seed S]";

/// Targets that run at once.
const THREADS: usize = 2;

/// The longest time for one input.
const TOO_LONG: Duration = Duration::from_secs(10);

/// The arguments of the command line.
struct Args {
    seconds: u64,
    target: Option<String>,
    seed: u64,
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let is_wanted = |target: &&Target| args.target.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(is_wanted).collect();
    if targets.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("no such target; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    if run_all(&targets, &args) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args { seconds: 20, target: None, seed: 1 };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{value} is not a number"));
        match flag.as_str() {
            "--seconds" => args.seconds = number()?,
            "--seed" => args.seed = number()?,
            "--target" => args.target = Some(value),
            _ => return Err(format!("unknown option {flag}")),
        }
    }
    Ok(args)
}

/// Runs each target for its time; returns whether all succeeded.
fn run_all(targets: &[&Target], args: &Args) -> bool {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(failure) = run(target, args) {
                failed.fetch_add(1, Ordering::Relaxed);
                println!("{failure}");
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS.min(targets.len()) {
            scope.spawn(work);
        }
    });
    failed.into_inner() == 0
}

/// Runs one target until its time is over or an input fails.
fn run(target: &Target, args: &Args) -> Result<(), String> {
    // Some seeds take long to make, which does not count.
    let inputs = mutations(target, args.seed);
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let (mut executions, mut slowest) = (0_u64, Duration::ZERO);
    for input in inputs {
        if executions > 0 && Instant::now() >= end {
            break;
        }
        let mut outcome = timed(target, &input);
        executions += 1;
        if outcome.is_some_and(|took| took > TOO_LONG) {
            // The machine may have been busy: try again.
            outcome = timed(target, &input);
        }
        let broken = match outcome {
            None => "panicked",
            Some(took) if took > TOO_LONG => "took too long",
            Some(took) => {
                slowest = slowest.max(took);
                continue;
            }
        };
        let (name, seed) = (target.name, args.seed);
        return Err(format!("{name:<10} {broken} at input {executions} of --seed {seed}: {}", hex(&input)));
    }
    println!("{:<10} {executions:>9} executions, the slowest took {slowest:.1?}", target.name);
    Ok(())
}

/// How long the target took; `None` if it panicked.
fn timed(target: &Target, input: &[u8]) -> Option<Duration> {
    let start = Instant::now();
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).ok().map(|()| start.elapsed())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
