//! The measurements, printed as medians and ratios.

use std::collections::BTreeMap;

/// The seconds of every round, by measurement.
#[derive(Default)]
pub(super) struct Figures {
    runs: BTreeMap<Run, Vec<f64>>,
    /// The size of the cache in the store, in MB.
    megabytes: BTreeMap<Run, f64>,
}

/// Something that is measured; compressions are named as in a spec.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    /// BuildKit's export to the store.
    Export(String),
    /// BuildKit's export to a directory.
    Directory,
    Copy(String),
    OldCopy(String),
    ImportOfExport(String),
    ImportOfCopy(String),
}

impl Figures {
    pub(super) fn exported(&mut self, compression: &str, seconds: f64, megabytes: f64) {
        self.megabytes.insert(Run::Export(compression.to_owned()), megabytes);
        self.note(Run::Export(compression.to_owned()), seconds);
    }

    pub(super) fn left(&mut self, seconds: f64) {
        self.note(Run::Directory, seconds);
    }

    pub(super) fn copied(&mut self, compression: &str, seconds: f64, megabytes: f64) {
        self.megabytes.insert(Run::Copy(compression.to_owned()), megabytes);
        self.note(Run::Copy(compression.to_owned()), seconds);
    }

    pub(super) fn copied_by_old(&mut self, compression: &str, seconds: f64) {
        self.note(Run::OldCopy(compression.to_owned()), seconds);
    }

    pub(super) fn imported_from_buildkit(&mut self, compression: &str, seconds: f64) {
        self.note(Run::ImportOfExport(compression.to_owned()), seconds);
    }

    pub(super) fn imported_from_copy(&mut self, compression: &str, seconds: f64) {
        self.note(Run::ImportOfCopy(compression.to_owned()), seconds);
    }

    fn note(&mut self, run: Run, seconds: f64) {
        self.runs.entry(run).or_default().push(seconds);
    }

    pub(super) fn print(&self) {
        for run in self.runs.keys() {
            let stored = self.megabytes.get(run).map(|megabytes| format!(", {megabytes:.0} MB in the store"));
            println!("  {:<44} {:>6.2} s{}", name(run), self.median(run).unwrap_or(0.0), stored.unwrap_or_default());
        }
        for (what, ratio) in self.ratios() {
            println!("  {what:<44} {ratio:>6.2}");
        }
    }

    /// How many times as fast buildcache is.
    fn ratios(&self) -> Vec<(String, f64)> {
        let directory = self.median(&Run::Directory);
        let mut ratios = Vec::new();
        let mut add = |what: String, theirs: Option<f64>, ours: Option<f64>| {
            ratios.extend(theirs.zip(ours).map(|(theirs, ours)| (what, theirs / ours)));
        };
        for compression in self.compressions() {
            let of = |run: fn(String) -> Run| self.median(&run(compression.clone()));
            let both = directory.zip(of(Run::Copy)).map(|(directory, copy)| directory + copy);
            add(format!("{compression}: straight / directory and copy"), of(Run::Export), both);
            add(format!("{compression}: straight / directory"), of(Run::Export), directory);
            add(format!("{compression}: old copy / copy"), of(Run::OldCopy), of(Run::Copy));
            add(format!("{compression}: import of straight / of copy"), of(Run::ImportOfExport), of(Run::ImportOfCopy));
        }
        ratios
    }

    fn compressions(&self) -> Vec<String> {
        let copies = self.runs.keys().filter_map(|run| match run {
            Run::Copy(compression) => Some(compression.clone()),
            _ => None,
        });
        copies.collect()
    }

    fn median(&self, run: &Run) -> Option<f64> {
        let mut seconds = self.runs.get(run)?.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied()
    }
}

fn name(run: &Run) -> String {
    match run {
        Run::Export(compression) => format!("BuildKit straight to the store, {compression}"),
        Run::Directory => "BuildKit to a directory (the build waits)".to_owned(),
        Run::Copy(compression) => format!("copy to the store, {compression}"),
        Run::OldCopy(compression) => format!("copy to the store, {compression}, old program"),
        Run::ImportOfExport(compression) => format!("import of what went straight, {compression}"),
        Run::ImportOfCopy(compression) => format!("import of the copy, {compression}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn ratios_are_of_medians_and_only_of_what_was_measured() {
        let mut figures = Figures::default();
        for seconds in [30.0, 12.0, 10.0] {
            figures.exported("gzip", seconds, 1.0);
            figures.left(1.0);
            figures.copied("gzip", 2.0, 1.0);
            figures.copied("zstd", 3.0, 1.0);
            figures.copied_by_old("zstd", 6.0);
        }
        let ratios: Vec<_> = figures.ratios();
        let expected = [
            ("gzip: straight / directory and copy", 4.0),
            ("gzip: straight / directory", 12.0),
            ("zstd: old copy / copy", 2.0),
        ];
        assert_eq!(ratios, expected.map(|(what, ratio)| (what.to_owned(), ratio)));
    }
}
