//! Reading documents while others write them.

use super::*;
use crate::tests::fixture_index;

const LIMIT: u64 = 1 << 20;

fn layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    (dir, layout)
}

/// The file between BuildKit's write and its truncation.
fn torn() -> String {
    format!("{}\"}}}}]}}", fixture_index("v0.32/max-manifest"))
}

#[test]
fn a_torn_index_is_read_again() {
    let (_dir, layout) = layout();
    fs::write(layout.index_path(), torn()).unwrap();
    let mut pauses = 0;
    let truncate = |_| {
        pauses += 1;
        if pauses == 3 {
            fs::write(layout.index_path(), fixture_index("v0.32/max-manifest")).unwrap();
        }
    };
    let found = layout.read_index_pausing(LIMIT, truncate).unwrap().unwrap();
    assert_eq!((pauses, found.index.entries().len()), (3, 1));
}

#[test]
fn an_index_that_stays_torn_is_an_error_that_names_it() {
    let (_dir, layout) = layout();
    fs::write(layout.index_path(), torn()).unwrap();
    let mut pauses = Vec::new();
    let error = layout.read_index_pausing(LIMIT, |pause| pauses.push(pause.as_millis())).err().unwrap();
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64]);
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    assert_eq!(error.context("path"), layout.index_path().to_str());
    assert_eq!(error.context("backend"), Some("local"));
}

#[test]
fn an_index_over_the_limit_is_not_read() {
    let (_dir, layout) = layout();
    fs::write(layout.index_path(), fixture_index("v0.32/max-manifest")).unwrap();
    assert!(layout.read_index(10).is_err_and(|error| error.kind() == ErrorKind::LimitExceeded));
}

#[test]
fn missing_files_are_none() {
    let (_dir, layout) = layout();
    assert!(layout.read_index(LIMIT).unwrap().is_none());
    assert!(layout.blob_metadata(&Digest::sha256(b"a")).unwrap().is_none());
}

#[test]
fn a_directory_in_place_of_a_file_is_an_error() {
    let (_dir, layout) = layout();
    let digest = Digest::sha256(b"a");
    fs::create_dir_all(layout.blob_path(&digest)).unwrap();
    fs::create_dir(layout.index_path()).unwrap();
    let error = layout.blob_metadata(&digest).unwrap_err();
    assert_eq!((error.kind(), error.context("blob")), (ErrorKind::Storage, Some(digest.to_string().as_str())));
    assert!(layout.open_blob(&digest).is_err());
    assert!(layout.read_index(LIMIT).is_err());
}

#[cfg(unix)]
#[test]
fn a_blob_is_found_through_a_link_as_in_buildkit() {
    let (_dir, layout) = layout();
    let digest = Digest::sha256(b"a");
    let path = layout.blob_path(&digest);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert!(layout.blob_metadata(&digest).unwrap().is_none());
    fs::write(path.with_file_name("elsewhere"), "a").unwrap();
    assert_eq!(layout.blob_metadata(&digest).unwrap().unwrap().len(), 1);
}

#[test]
fn an_impossible_time_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = File::create(&path).unwrap();
    for (seconds, expected) in [(1_700_000_000, true), (0, true)] {
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        assert_eq!(modified(&file.metadata().unwrap()).is_some(), expected, "{seconds}");
    }
    // Not every file system can store such a time; if it can, nothing panics.
    if file.set_modified(UNIX_EPOCH + Duration::from_secs(300_000_000_000)).is_ok() {
        let written = file.metadata().unwrap();
        let is_far = written.modified().unwrap() > UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        assert_eq!(modified(&written).is_none(), is_far);
    }
}
