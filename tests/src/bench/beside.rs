//! Compares several programs that do the same, in turn.

use std::any::Any;

use super::{Figure, Load, Outcome, median};
use crate::programs::is_installed;

/// The figures of one round of a program, up and down, and what it wrote.
pub type Round = Outcome<([Figure; 2], Box<dyn Any>)>;

/// A program that copies the load to a store and back.
pub struct Contender<'a> {
    /// Its name in the report.
    pub name: &'static str,
    /// Runs a round with its own store.
    pub run: Box<dyn Fn() -> Round + 'a>,
}

impl<'a> Contender<'a> {
    /// A contender with this name.
    pub fn new<T: 'static>(name: &'static str, run: impl Fn() -> Outcome<([Figure; 2], T)> + 'a) -> Self {
        let run = move || run().map(|(figures, written)| (figures, Box::new(written) as Box<dyn Any>));
        Self { name, run: Box::new(run) }
    }
}

/// The contenders whose program is installed, for a comparison with ours. Prints the missing programs and where to get
/// them.
#[must_use]
pub fn installed<'a>(all: Vec<(Contender<'a>, &str)>) -> Vec<Contender<'a>> {
    let is_there = |contender: &Contender<'_>, source: &str| {
        let is_there = is_installed(contender.name, version_flag(contender.name));
        if !is_there {
            println!("  {:<11} skipped: it is not installed ({source})", contender.name);
        }
        is_there
    };
    all.into_iter().filter(|(contender, source)| is_there(contender, source)).map(|(contender, _)| contender).collect()
}

fn version_flag(program: &str) -> &'static str {
    if program == "azcopy" { "--version" } else { "version" }
}

/// Runs all in turn and prints the figures of each, and the first one's figures relative to each other one.
///
/// The program that writes first is slower, since the machine has to find memory for its files. So the order rotates,
/// and a first round does not count. A round returns what it wrote, which is kept until all are done if it is small:
/// ext4 without a journal skips the inodes of recently removed files one by one, which takes longer than writing a
/// small file.
///
/// # Errors
/// If one of them fails.
pub fn beside(load: Load, rounds: usize, contenders: &[Contender<'_>]) -> Outcome<()> {
    let mut written = Vec::new();
    let mut figures = vec![Vec::new(); contenders.len()];
    for round in 0..=rounds {
        for at in (0..contenders.len()).map(|at| (at + round) % contenders.len()) {
            let (taken, folders) = (contenders[at].run)()?;
            if load.is_light() {
                written.push(folders);
            }
            if round > 0 {
                figures[at].push(taken);
            }
        }
    }
    for (at, way) in ["up", "down"].into_iter().enumerate() {
        let of_way: Vec<Vec<Figure>> = figures.iter().map(|runs| runs.iter().map(|run| run[at]).collect()).collect();
        for (contender, runs) in contenders.iter().zip(&of_way) {
            let Figure { seconds, cpu, peak } = Figure::median(runs);
            println!("  {way:<5}{:<11} {seconds:>6.2} s, {cpu:>6.2} s of CPU, peak {peak:>4.0} MiB", contender.name);
        }
        let Some((ours, theirs)) = of_way.split_first() else { continue };
        for (contender, theirs) in contenders.iter().skip(1).zip(theirs) {
            let part = |value: fn(&Figure) -> f64| {
                median(ours.iter().zip(theirs).map(|(our, their)| value(our) / value(their)).collect())
            };
            println!(
                "  {way:<5}{} / {}: {:.2} of its time, {:.2} of its CPU",
                contenders[0].name,
                contender.name,
                part(|figure| figure.seconds),
                part(|figure| figure.cpu)
            );
        }
    }
    Ok(())
}
