//! Compares compression with common tools: `compression_bench [--rounds N] [--mib N] [--only PART]`.
//!
//! The contenders read the same tar of real files of this machine, in turn, and discard their output. Figures are
//! medians. Since the machine may be busy, factors are medians of the factors of single rounds. A tool that is not
//! installed is skipped with a line that says so. Parts: gzip, zstd, gunzip, verify, memory.

mod contest;
mod data;
mod memory;
mod ours;
mod theirs;

use std::error::Error;
use std::path::Path;

use cache_core::{Compression, CompressionKind};

use self::contest::Contest;
use self::data::Data;
use self::ours::Ours;
use self::theirs::Theirs;

type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: compression_bench [--rounds N] [--mib N] [--only gzip|zstd|gunzip|verify|memory]";

/// The arguments of the command line.
struct Args {
    rounds: usize,
    mib: u64,
    only: Option<String>,
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, rest @ ..] = words.as_slice()
        && mode == memory::CHILD
    {
        return memory::convert(rest);
    }
    let args = parse(words)?;
    let folder = tempfile::Builder::new().prefix("cache-bench-").tempdir()?;
    let data = Data::make(folder.path(), args.mib << 20)?;
    let bench = Bench { args, theirs: Theirs::new(folder.path())?, ours: Ours::new(), data };
    bench.run(folder.path())
}

fn parse(words: Vec<String>) -> Outcome<Args> {
    let mut args = Args { rounds: 3, mib: 256, only: None };
    let mut words = words.into_iter();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        match flag.as_str() {
            "--rounds" => args.rounds = value.parse::<usize>()?.max(1),
            "--mib" => args.mib = value.parse()?,
            "--only" => args.only = Some(value),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(args)
}

struct Bench {
    args: Args,
    data: Data,
    ours: Ours,
    theirs: Theirs,
}

impl Bench {
    fn run(&self, folder: &Path) -> Outcome<()> {
        println!("{} threads, {}", self.ours.threads(), self.data);
        let is_wanted = |part| self.args.only.as_deref().is_none_or(|only| only == part);
        if is_wanted("gzip") {
            self.gzip(&[1, 6, 9])?;
        }
        if is_wanted("zstd") {
            self.zstd(folder, &[1, 3, 6, 9])?;
        }
        if is_wanted("gunzip") {
            self.gunzip(folder)?;
        }
        if is_wanted("verify") {
            self.verify(folder)?;
        }
        if is_wanted("memory") {
            memory::measure(&self.ours, &self.data, folder)?;
        }
        Ok(())
    }

    fn gzip(&self, levels: &[i32]) -> Outcome<()> {
        for &level in levels {
            let tar = &self.data.path;
            let mut contest = self.contest(format!("gzip, level {level}; ours with digest and diff ID"));
            self.both(&mut contest, Compression::new(CompressionKind::Gzip).with_level(level)?);
            let level = format!("-{level}");
            contest.add_command("gzip", self.theirs.tool("gzip", &[&level, "-n", "-c"], tar));
            contest.add_command("pigz", self.theirs.tool("pigz", &[&level, "-n", "-c"], tar));
            contest.add_command("go compress/gzip", self.theirs.go(&["gzip", &level[1..]], tar));
            let table = contest.run(self.args.rounds)?;
            if level == "-6" {
                table.bar("ours, all threads", "go compress/gzip", 4.0);
                table.bar("ours, all threads", "pigz", 2.0);
            }
        }
        Ok(())
    }

    fn zstd(&self, folder: &Path, levels: &[i32]) -> Outcome<()> {
        let layer = folder.join("layer.zst");
        self.theirs.write("zstd", &["-q", "-3", "-c"], &self.data.path, &layer)?;
        for &level in levels {
            let tar = &self.data.path;
            let mut contest = self.contest(format!("zstd, level {level}; ours with digest and diff ID"));
            self.both(&mut contest, Compression::new(CompressionKind::Zstd).with_level(level)?);
            contest.add("ours, both digests alone", || self.ours.digests(&self.data.path, &layer));
            let level = format!("-{level}");
            contest.add_command("zstd -T0", self.theirs.tool("zstd", &["-q", "-T0", &level, "-c"], tar));
            let between = self.theirs.zstd_between_digests(&level, tar);
            contest.add_command("openssl dgst, zstd -T0, openssl dgst", between);
            let table = contest.run(self.args.rounds)?;
            if level == "-3" {
                table.bar_without("ours, all threads", "ours, both digests alone", "zstd -T0", 0.95);
                table.bar("ours, all threads", "openssl dgst, zstd -T0, openssl dgst", 1.0);
            }
        }
        Ok(())
    }

    /// Ours with one thread and with all of them.
    fn both<'a>(&'a self, contest: &mut Contest<'a>, compression: Compression) {
        contest.add("ours, 1 thread", move || self.ours.encode(1, &self.data, &compression));
        let threads = self.ours.threads();
        contest.add("ours, all threads", move || self.ours.encode(threads, &self.data, &compression));
    }

    fn gunzip(&self, folder: &Path) -> Outcome<()> {
        let layer = folder.join("layer.gz");
        if !self.theirs.write("gzip", &["-6", "-n", "-c"], &self.data.path, &layer)? {
            println!("gunzip: skipped, gzip is not installed");
            return Ok(());
        }
        let mut contest = self.contest("gunzip of what gzip -6 made, and SHA-256 of what comes out".to_owned());
        contest.add("ours, all threads", || self.ours.decode(&layer, CompressionKind::Gzip));
        contest.add_command("go compress/gzip, crypto/sha256", self.theirs.go(&["gunzip"], &layer));
        let table = contest.run(self.args.rounds)?;
        table.bar("ours, all threads", "go compress/gzip, crypto/sha256", 2.5);
        Ok(())
    }

    fn verify(&self, folder: &Path) -> Outcome<()> {
        for layers in [1, 4] {
            let cache = self.ours.cache(&folder.join(format!("cache-{layers}")), &self.data, layers)?;
            let mut contest = self.contest(format!("verify of {layers} uncompressed layers"));
            contest.add("ours, all threads", || self.ours.verify(&cache));
            contest.add_command("openssl dgst", self.theirs.digests(&cache.files));
            let table = contest.run(self.args.rounds.max(5))?;
            if layers > 1 {
                table.bar("ours, all threads", "openssl dgst", 0.9);
            }
        }
        Ok(())
    }

    fn contest(&self, title: String) -> Contest<'_> {
        Contest::new(title, self.data.size)
    }
}
