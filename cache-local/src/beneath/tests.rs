//! Names that lead elsewhere, or nowhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

/// A directory with a link to a folder and to a file outside, a link to nothing, and a FIFO.
fn hostile() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let (inside, outside) = (temp.path().join("inside"), temp.path().join("outside"));
    fs::create_dir(&inside).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "theirs").unwrap();
    symlink(&outside, inside.join("folder")).unwrap();
    symlink(outside.join("file"), inside.join("link")).unwrap();
    symlink(outside.join("new"), inside.join("dangling")).unwrap();
    assert!(Command::new("mkfifo").arg(inside.join("fifo")).status().unwrap().success());
    let dir = Dir::open(&inside).unwrap();
    (temp, dir)
}

#[test]
fn no_link_is_followed() {
    let (temp, dir) = hostile();
    assert_eq!(dir.dir("folder").unwrap_err().kind(), io::ErrorKind::NotADirectory);
    assert_eq!(dir.make_dir("folder").unwrap_err().kind(), io::ErrorKind::NotADirectory);
    for name in ["link", "dangling"] {
        assert_eq!(dir.lock_file(name).unwrap_err().to_string(), "it is a link, which is not followed here");
        assert!(dir.file(name).is_err() && dir.create_file(name).is_err());
    }
    assert!(!temp.path().join("outside/new").exists());
}

#[test]
fn a_fifo_does_not_block_and_is_no_file() {
    let (temp, dir) = hostile();
    assert!(dir.lock_file("fifo").is_err() && dir.file("fifo").is_err());
    // With a reader the FIFO can be opened, but it is still no file.
    let _reader = open_to_read(&temp.path().join("inside/fifo")).unwrap();
    assert_eq!(dir.lock_file("fifo").unwrap_err().to_string(), "it is not a file");
    dir.create_dir("own").unwrap();
    assert!(dir.lock_file("own").is_err());
}

#[test]
fn a_link_is_removed_and_replaced_and_its_target_stays() {
    let (temp, dir) = hostile();
    dir.create_file("mine").unwrap();
    dir.rename("mine", &dir, "link").unwrap();
    assert!(fs::symlink_metadata(temp.path().join("inside/link")).unwrap().is_file());
    dir.remove_file("folder").unwrap();
    assert_eq!(fs::read_to_string(temp.path().join("outside/file")).unwrap(), "theirs");
}

#[test]
fn entries_are_listed_with_their_own_kind() {
    let (_temp, dir) = hostile();
    dir.create_dir("own").unwrap();
    let mut entries = dir.entries().unwrap();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let dirs: Vec<(&str, bool)> = entries.iter().map(|entry| (entry.name.as_str(), entry.is_dir)).collect();
    assert_eq!(dirs, [("dangling", false), ("fifo", false), ("folder", false), ("link", false), ("own", true)]);
}

#[test]
fn a_name_has_the_file_that_it_was_opened_as() {
    let (temp, dir) = hostile();
    let file = dir.lock_file("lock").unwrap();
    assert!(dir.has("lock", &file));
    fs::remove_file(temp.path().join("inside/lock")).unwrap();
    assert!(!dir.has("lock", &file));
    dir.create_file("lock").unwrap();
    assert!(!dir.has("lock", &file));
}
