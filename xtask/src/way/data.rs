//! The build: steps that copy slices of real programs, which compress like the layers of users.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::process;

/// The Dockerfile of the build.
pub(super) const BUILD: &str = "Dockerfile";
/// A Dockerfile with which the daemon fetches the whole context, so that the measured build does not wait for it.
pub(super) const CONTEXT: &str = "Dockerfile.context";

/// A number of steps of one size.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    steps: usize,
    /// Bytes of each step.
    size: usize,
}

pub(super) const LOADS: [Load; 2] = [
    Load { name: "two", about: "two layers of 205 MB", steps: 2, size: 205_000_000 },
    Load { name: "thirty", about: "30 layers of 1.5 GiB in all", steps: 30, size: (3 << 29) / 30 },
];

impl Load {
    /// Writes the context of the build, and returns its path.
    pub(super) fn write(self, directory: &Path) -> Result<PathBuf, Failure> {
        let context = directory.join(self.name);
        fs::create_dir(&context).map_err(|error| Failure::io("create", &context, &error))?;
        let programs = programs()?;
        let mut dockerfile = "FROM scratch\n".to_owned();
        for step in 0..self.steps {
            let path = context.join(format!("step-{step}"));
            // The number makes layers that begin at the same place differ.
            let slice = slice(&programs, step * programs.len() / self.steps, self.size);
            let write = || File::create(&path).and_then(|mut file| write_step(&mut file, step, slice));
            write().map_err(|error| Failure::io("write", &path, &error))?;
            let _ = writeln!(dockerfile, "COPY step-{step} /step-{step}");
        }
        for (name, text) in [(BUILD, dockerfile.as_str()), (CONTEXT, "FROM scratch\nCOPY . /context\n")] {
            let path = context.join(name);
            fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
        }
        Ok(context)
    }
}

fn write_step<'a>(file: &mut File, step: usize, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    writeln!(file, "{step}")?;
    pieces.into_iter().try_for_each(|piece| file.write_all(piece))
}

/// The libraries of the compiler.
fn programs() -> Result<Vec<u8>, Failure> {
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let folder = Path::new(sysroot.trim()).join("lib");
    let entries = fs::read_dir(&folder).map_err(|error| Failure::io("read", &folder, &error))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let mut programs = Vec::new();
    for path in files {
        programs.extend(fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?);
    }
    if programs.is_empty() {
        return Err(Failure::new(format!("{} holds no libraries", folder.display())));
    }
    Ok(programs)
}

/// `size` bytes from `start` on; after the end it continues at the beginning.
fn slice(bytes: &[u8], start: usize, size: usize) -> impl Iterator<Item = &[u8]> {
    let mut left = size;
    let pieces = std::iter::once(&bytes[start..]).chain(std::iter::repeat(bytes));
    pieces
        .map(move |piece| {
            let taken = &piece[..piece.len().min(left)];
            left -= taken.len();
            taken
        })
        .take_while(|taken| !taken.is_empty())
}

#[cfg(test)]
mod tests {
    use super::slice;

    #[test]
    fn a_slice_goes_round_and_has_its_size() {
        let whole = |start, size| slice(b"abcde", start, size).collect::<Vec<_>>().concat();
        assert_eq!(whole(1, 3), b"bcd");
        assert_eq!(whole(3, 9), b"deabcdeab");
    }
}
