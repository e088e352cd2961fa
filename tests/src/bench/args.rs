//! [`Args`]: the command line of a benchmark that compares builds of the program on several stores.

use super::Outcome;

/// `BUILDCACHE [OTHER] [--store NAME] [--delay MS]`.
#[derive(Debug)]
pub struct Args {
    /// The builds of the program; the first is compared with the other.
    pub builds: Vec<String>,
    /// The stores to measure.
    pub stores: Vec<String>,
    /// The delay of each request in milliseconds, if one is given.
    pub delay: Option<u64>,
}

impl Args {
    /// Reads the words behind the name of the program. `stores` has the names of all stores, which is the default.
    ///
    /// # Errors
    /// If no build is given, or more than two, or a store that is not known.
    pub fn parse(program: &str, mut words: impl Iterator<Item = String>, stores: &[&str]) -> Outcome<Self> {
        let usage =
            || format!("usage: {program} BUILDCACHE [OTHER] [--store NAME] [--delay MS] ({})", stores.join(", "));
        let mut args = Self { builds: Vec::new(), stores: Vec::new(), delay: None };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--store" => args.stores.push(words.next().ok_or_else(usage)?),
                "--delay" => args.delay = Some(words.next().ok_or_else(usage)?.parse()?),
                _ => args.builds.push(word),
            }
        }
        let is_valid = (1..=2).contains(&args.builds.len()) && args.stores.iter().all(|name| stores.contains(&&**name));
        if !is_valid {
            return Err(usage().into());
        }
        if args.stores.is_empty() {
            args.stores = stores.iter().map(|name| (*name).to_owned()).collect();
        }
        Ok(args)
    }
}
