//! Several programs that do the same, in turn.

use std::any::Any;

use super::{Figure, Load, Outcome, median};
use crate::programs::is_installed;

/// What one round of a program took, up and down, and what it wrote.
pub type Round = Outcome<([Figure; 2], Box<dyn Any>)>;

/// A program that moves the load up to a store and down again.
pub struct Contender<'a> {
    /// What it is called in the report.
    pub name: &'static str,
    /// A round, with a store of its own.
    pub run: Box<dyn Fn() -> Round + 'a>,
}

impl<'a> Contender<'a> {
    /// A contender by this name.
    pub fn new<T: 'static>(name: &'static str, run: impl Fn() -> Outcome<([Figure; 2], T)> + 'a) -> Self {
        let run = move || run().map(|(figures, written)| (figures, Box::new(written) as Box<dyn Any>));
        Self { name, run: Box::new(run) }
    }
}

/// Those of the contenders after the first whose program is installed; says which is not, and who has it.
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

/// Runs all in turn and prints what each took, and what the first took as a part of that of each other one.
///
/// Whoever writes first pays for the memory that the machine has to find for its files: so they take turns at being first,
/// and a round before all others does not count. What a round wrote is given back with its figures, and stays until all are
/// done if it is little: ext4 without a journal passes over the inodes of files that were removed in the last minutes, one by
/// one, which takes longer than to write a small file.
///
/// # Errors
/// When one of them does not end well.
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
