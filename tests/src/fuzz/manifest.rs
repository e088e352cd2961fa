//! Manifests, indexes and lists.

use std::sync::LazyLock;

use cache_core::load;
use cache_core::manifest::ManifestForm;
use cache_core::model::Limits;
use cache_memory::MemoryCache;
use futures_util::FutureExt;

use crate::fixtures;

/// The blobs that the fixtures' manifests name.
static BLOBS: LazyLock<MemoryCache> = LazyLock::new(|| {
    let blobs = MemoryCache::new();
    let all = fixtures::all().into_iter().flat_map(|fixture| fixture.blobs());
    all.for_each(|(digest, bytes)| blobs.overwrite(digest, bytes));
    blobs
});

/// A manifest that is read keeps its bytes, and is the same cache in every form.
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let read = |bytes: Vec<u8>| load(bytes.into(), &*BLOBS, &Limits::default()).now_or_never();
    let read = |bytes: &[u8]| read(bytes.to_vec()).expect("memory is never pending");
    let Ok(Some(manifest)) = read(data) else { return };
    let Some(kept) = manifest.form() else { return };
    let encoded = manifest.encode(None);
    assert_eq!((encoded.form, &encoded.manifest.bytes[..]), (kept, data), "bytes are not kept");
    for form in [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList] {
        let encoded = manifest.encode(Some(form));
        let again = read(&encoded.manifest.bytes).expect("what was encoded decodes").expect("it is a cache");
        assert_eq!(again.form(), Some(form));
        assert_eq!(again.config(), manifest.config(), "{form:?} is another cache");
    }
}
