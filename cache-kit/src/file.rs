//! Reads files that flags, attributes and variables name, within bounds, even if they are devices or pipes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long to wait for a writer of a pipe.
const ALONE: Duration = Duration::from_secs(5);

/// Opens a file for reading. A pipe is one too, as a shell makes it for `<(…)`.
///
/// # Errors
/// That of the system; and [`io::ErrorKind::TimedOut`] for a pipe without a writer, for which the system would wait
/// for ever.
pub fn open_file(path: &Path) -> io::Result<File> {
    if is_pipe(path) { open_pipe(path, OpenOptions::new().read(true), ALONE) } else { File::open(path) }
}

/// Opens a file for writing, or creates it. Its content is kept.
///
/// # Errors
/// As [`open_file`], here for a pipe without a reader.
pub fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(false);
    if is_pipe(path) { open_pipe(path, &options, ALONE) } else { options.create(true).open(path) }
}

/// Reads a file of at most `limit` bytes, and no more of an endless device.
///
/// # Errors
/// As [`open_file`], and [`io::ErrorKind::InvalidData`] for a larger one.
pub fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

/// Checks a file that an SDK will read whole: it must be a regular file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for anything else that exists, and the system's error if its metadata cannot be read.
pub fn check_file(path: &Path, limit: u64) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
    }
    if metadata.len() > limit { Err(too_large(limit)) } else { Ok(()) }
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than {limit} bytes"))
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}

/// After a timeout, the thread stays until the other end of the pipe is opened or the program ends.
fn open_pipe(path: &Path, options: &OpenOptions, patience: Duration) -> io::Result<File> {
    let (tell, told) = mpsc::sync_channel(1);
    let (path, options) = (path.to_owned(), options.clone());
    thread::Builder::new().spawn(move || tell.send(options.open(path)))?;
    let alone = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "it is a pipe, and nobody has opened its other end"));
    told.recv_timeout(patience).unwrap_or_else(alone)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    fn pipe(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("buildcache-pipe-{}-{name}", std::process::id()));
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn a_pipe_is_read_and_one_without_a_writer_times_out() {
        let path = pipe("a");
        let error = open_pipe(&path, OpenOptions::new().read(true), Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        fs::remove_file(&path).unwrap();
        let path = pipe("b");
        let writer = {
            let path = path.clone();
            thread::spawn(move || fs::write(path, "hush").unwrap())
        };
        assert_eq!(read_file(&path, 4).unwrap(), b"hush");
        writer.join().unwrap();
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn of_a_device_without_end_no_more_is_read_than_may_be() {
        let error = read_file(Path::new("/dev/zero"), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_file(Path::new("/dev/null"), 10).unwrap(), b"");
        assert_eq!(check_file(Path::new("/dev/null"), 10).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(check_file(Path::new("/proc/self/exe"), u64::MAX).is_ok());
    }
}
