//! Changes beside a BuildKit that breaks the lock.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use cache_core::{Descriptor, MediaType};

use super::*;
use crate::tests::{copy_of, fixture_index, ingests};

fn place(root: &std::path::Path) -> Place {
    let layout = Layout::new(root);
    let ingest = Ingest::open(&layout).unwrap();
    Place { layout, ingest, limit: 1 << 20, timeout: Duration::ZERO }
}

/// Puts the tag `own`, and does `meanwhile` in the first call.
fn put_own(
    calls: &Arc<AtomicUsize>,
    meanwhile: impl Fn() + Send + Sync + 'static,
) -> impl Fn(&mut Index) -> Result<()> + Send + Sync + 'static {
    let calls = Arc::clone(calls);
    move |index| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            meanwhile();
        }
        index.put("own", &Descriptor::of(MediaType::OCI_MANIFEST, b"own"))
    }
}

#[tokio::test]
async fn a_write_that_ignores_the_lock_is_not_lost() {
    let dir = copy_of("v0.32/max-manifest");
    let (place, calls, path) = (place(dir.path()), Arc::default(), dir.path().join("index.json"));
    let write = move || fs::write(&path, fixture_index("v0.32/generations")).unwrap();
    place.update(put_own(&calls, write)).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let index = place.layout.read_index(place.limit).unwrap().unwrap().index;
    let names: Vec<_> = index.named().into_iter().map(|(name, _)| name.unwrap().to_owned()).collect();
    assert_eq!(names, ["latest", "release", "own"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_deleted_lock_is_acquired_again() {
    let dir = copy_of("v0.32/max-manifest");
    let (place, calls, path) = (place(dir.path()), Arc::default(), dir.path().join("index.json.lock"));
    let ((), lock) = place.update(put_own(&calls, move || fs::remove_file(&path).unwrap())).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert!(lock.is_current());
}

#[tokio::test]
async fn a_change_that_fails_leaves_the_file_as_it_is() {
    let dir = copy_of("v0.32/max-manifest");
    let place = place(dir.path());
    let fail = |index: &mut Index| {
        index.put("own", &Descriptor::of(MediaType::OCI_MANIFEST, b"own"))?;
        Err::<(), _>(at(ErrorKind::Conflict, "no", std::path::Path::new("")))
    };
    assert_eq!(place.update(fail).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(fs::read_to_string(dir.path().join("index.json")).unwrap(), fixture_index("v0.32/max-manifest"));
    drop(place);
    assert_eq!(ingests(dir.path()), [""; 0]);
    assert!(!dir.path().join("index.json.lock").exists());
}
