//! Runs contenders in turn, and prints a table of their times.
//!
//! Processor time is counted too: it is about the same on a busy machine, unlike the elapsed time.

use std::process::Command;
use std::time::Instant;

use cache_tests::bench::{median, processors};

use crate::Outcome;
use crate::theirs;

/// Runs once and returns how many bytes were made; `None` if the contender makes none.
type Run<'a> = Box<dyn FnMut() -> Outcome<Option<u64>> + 'a>;

pub(crate) struct Contest<'a> {
    title: String,
    /// Bytes that the contenders read.
    size: u64,
    contenders: Vec<(String, Run<'a>)>,
    skipped: Vec<String>,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(title: String, size: u64) -> Self {
        Self { title, size, contenders: Vec::new(), skipped: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &str, run: impl FnMut() -> Outcome<Option<u64>> + 'a) {
        self.contenders.push((name.to_owned(), Box::new(run)));
    }

    /// Adds commands that run one after the other; `None` if they are not installed.
    pub(crate) fn add_command(&mut self, name: &str, commands: Option<Vec<Command>>) {
        match commands {
            Some(mut commands) => self.add(name, move || theirs::run(&mut commands)),
            None => self.skipped.push(name.to_owned()),
        }
    }

    pub(crate) fn run(mut self, rounds: usize) -> Outcome<Table> {
        println!("\n{}", self.title);
        let mut rows: Vec<Row> = self.contenders.iter().map(|(name, _)| Row::new(name)).collect();
        for _ in 0..rounds {
            for ((_, run), row) in self.contenders.iter_mut().zip(&mut rows) {
                let (start, worked) = (Instant::now(), processors()?);
                row.made = run()?;
                row.seconds.push(start.elapsed().as_secs_f64());
                row.processors.push(processors()? - worked);
            }
        }
        let table = Table { rows };
        table.print(self.size);
        for name in &self.skipped {
            println!("  {name:<38} skipped: not installed");
        }
        Ok(table)
    }
}

/// One contender's rounds.
struct Row {
    name: String,
    seconds: Vec<f64>,
    /// Processor time in seconds.
    processors: Vec<f64>,
    made: Option<u64>,
}

impl Row {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), seconds: Vec::new(), processors: Vec::new(), made: None }
    }
}

pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    fn print(&self, size: u64) {
        for row in &self.rows {
            let seconds = median(row.seconds.clone());
            let speed = size as f64 / 1e6 / seconds;
            let ratio = row.made.map_or_else(String::new, |made| format!("  ratio {:.3}", size as f64 / made as f64));
            let processors = median(row.processors.clone());
            println!("  {:<38} {seconds:>7.2} s  {speed:>7.1} MB/s  {processors:>6.2} s of CPU{ratio}", row.name);
        }
    }

    /// Prints by which factor the processor time of `ours` without that of `part` is below that of `theirs`.
    pub(crate) fn bar_without(&self, ours: &str, part: &str, theirs: &str, least: f64) {
        let work = |name: &str| {
            let row = self.rows.iter().find(|row| row.name == name)?;
            Some(median(row.processors.clone()))
        };
        let (Some(ours), Some(part), Some(all)) = (work(ours), work(part), work(theirs)) else { return };
        let factor = all / (ours - part);
        let verdict = if factor >= least { "reached" } else { "missed" };
        println!("  {factor:.2} times as fast as {theirs} without the digests, by CPU; {least} {verdict}");
    }

    /// Prints how many times faster `ours` is than `theirs`, and how many times it has to be.
    pub(crate) fn bar(&self, ours: &str, theirs: &str, least: f64) {
        let find = |name: &str| self.rows.iter().find(|row| row.name == name);
        let (Some(ours), Some(theirs)) = (find(ours), find(theirs)) else { return };
        let verdict = |factor: f64| if factor >= least { "reached" } else { "missed" };
        let factors = theirs.seconds.iter().zip(&ours.seconds).map(|(their, our)| their / our);
        let factor = median(factors.collect());
        let by_cpu = median(theirs.processors.clone()) / median(ours.processors.clone());
        let sizes = match (ours.made, theirs.made) {
            (Some(ours), Some(theirs)) => format!(", {:.3} times its size", ours as f64 / theirs as f64),
            _ => String::new(),
        };
        let theirs = &theirs.name;
        println!("  {factor:.2} times as fast as {theirs} ({by_cpu:.2} by CPU){sizes}; {least} {}", verdict(factor));
    }
}
