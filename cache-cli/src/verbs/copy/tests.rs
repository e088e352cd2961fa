//! The rules of `copy` on caches in memory.

use cache_core::{CacheStore as _, Timestamp};
use cache_memory::MemoryCache;

use super::*;
use crate::args::CompressionArgs;
use crate::output::Report as _;
use crate::tests::{LAYERS, insert, layer, session};

fn args(source: &str, destinations: &[&str]) -> CopyArgs {
    CopyArgs {
        source: source.to_owned(),
        destinations: destinations.iter().map(|&destination| destination.to_owned()).collect(),
        mode: None,
        compression: CompressionArgs::default(),
        all: false,
        if_unchanged: false,
        check_present: false,
        skip_missing: false,
        metadata_file: None,
        dry_run: false,
    }
}

async fn store() -> MemoryCache {
    let store = MemoryCache::new();
    insert(&store, "a", LAYERS).await;
    store
}

async fn names(store: &MemoryCache) -> Vec<String> {
    store.caches().await.unwrap().into_iter().filter_map(|cache| cache.name).collect()
}

async fn results(store: &MemoryCache, name: &str) -> usize {
    let session = session(store);
    let mut place = Place::parse(&session, &format!("type=memory,name={name}")).unwrap();
    let (_, resolved) = place.resolve(&session).await.unwrap();
    resolved.manifest.config().records.iter().map(|record| record.results.len()).sum()
}

#[tokio::test]
async fn each_destination_has_its_own_mode() {
    let store = store().await;
    let args = args("type=memory,name=a", &["type=memory,name=max", "type=memory,name=min,mode=min"]);
    assert_eq!(run(&session(&store), &args).await, Ok(Exit::Done));
    assert_eq!(names(&store).await, ["a", "max", "min"]);
    assert_eq!(results(&store, "max").await, 4);
}

#[tokio::test]
async fn a_mode_that_contradicts_the_flag_is_refused_before_anything_is_written() {
    let store = store().await;
    let args = args("type=memory,name=a", &["type=memory,name=b", "type=memory,name=c,mode=min"]);
    let failure = run(&session(&store), &CopyArgs { mode: Some(cache_core::Mode::Max), ..args }).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert_eq!(names(&store).await, ["a"]);
}

#[tokio::test]
async fn a_bad_destination_is_refused_before_anything_is_written() {
    let store = store().await;
    let args = args("type=memory,name=a", &["type=memory,name=b", "type=memory,nmae=c"]);
    assert_eq!(run(&session(&store), &args).await.unwrap_err().exit, Exit::Usage);
    assert_eq!(names(&store).await, ["a"]);
}

#[tokio::test]
async fn no_cache_at_the_source_has_its_own_exit_code() {
    let failure = run(&session(&MemoryCache::new()), &args("type=memory,name=a", &["type=memory,name=b"])).await;
    assert_eq!(failure.unwrap_err().exit, Exit::NoCache);
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_still_sees_a_lost_blob() {
    let store = store().await;
    let args = CopyArgs { dry_run: true, ..args("type=memory,name=a", &["type=memory,name=b"]) };
    assert_eq!(run(&session(&store), &args).await, Ok(Exit::Done));
    assert_eq!(names(&store).await, ["a"]);
    store.lose(&layer("bb").digest);
    assert_eq!(run(&session(&store), &args).await, Ok(Exit::Failed));
}

#[tokio::test]
async fn lost_blobs_are_left_out_when_asked() {
    let store = store().await;
    store.lose(&layer("cccc").digest);
    let args = args("type=memory,name=a", &["type=memory,name=b"]);
    assert_eq!(run(&session(&store), &CopyArgs { skip_missing: true, ..args }).await, Ok(Exit::Done));
    assert_eq!(results(&store, "b").await, 2);
}

#[tokio::test]
async fn a_cache_of_which_nothing_is_left_is_not_reported_as_copied() {
    let store = store().await;
    LAYERS.iter().for_each(|content| store.lose(&layer(content).digest));
    let session = session(&store);
    let args = CopyArgs { skip_missing: true, ..args("type=memory,name=a", &["type=memory,name=b"]) };
    let job = single(&session, &args).await.unwrap();
    let manifest = resolve(&job).await.unwrap().unwrap();
    let mut copies = Copies::new(false);
    everywhere::copy(&session, &args, &job, &manifest).await.into_iter().for_each(|copied| copies.add(copied));
    assert_eq!(copies.table(Timestamp::ZERO, false), "no cache is written to type=memory,name=b\n");
    assert_eq!(names(&store).await, ["a"]);
}

#[tokio::test]
async fn an_ignored_error_is_no_failure() {
    let store = store().await;
    store.lose(&layer("bb").digest);
    // The destination has the blob already, so that only a dry run looks it up at the source.
    let args = args("type=memory,name=a", &["type=memory,name=b,ignore-error=true"]);
    assert_eq!(run(&session(&store), &CopyArgs { dry_run: true, ..args }).await, Ok(Exit::Done));
}

#[tokio::test]
async fn a_destination_that_changed_in_between_is_a_conflict() {
    let store = store().await;
    insert(&store, "b", &["other"]).await;
    let session = session(&store);
    let place = Place::parse_on(&session, Side::Destination, "type=memory,name=b").unwrap();
    let args = CopyArgs { if_unchanged: true, ..args("type=memory,name=a", &[]) };
    let target = Target::open(&session, &args, place).await.unwrap();
    let expect = target.expect().await.unwrap();
    insert(&store, "b", LAYERS).await;
    let manifest = store.named("a").resolve().await.unwrap().unwrap().manifest;
    let error = target.exporter.commit(&manifest, expect).await.unwrap_err();
    assert_eq!(Failure::from(error).exit, Exit::Conflict);
}

#[tokio::test]
async fn the_metadata_file_is_that_of_buildkit() {
    let store = store().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let one = args("type=memory,name=a", &["type=memory,name=b"]);
    let metadata_file = Some(file.path().to_owned());
    run(&session(&store), &CopyArgs { metadata_file: metadata_file.clone(), ..one }).await.unwrap();
    let read = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(file.path()).unwrap()).unwrap();
    let manifest = read()["cache.manifest"].clone();
    assert!(manifest["digest"].as_str().unwrap().starts_with("sha256:") && manifest["size"].is_u64());

    let two = args("type=memory,name=a", &["type=memory,name=b", "type=memory,name=c"]);
    run(&session(&store), &CopyArgs { metadata_file, ..two }).await.unwrap();
    assert_eq!(read()["caches"][1]["cache.manifest"], manifest);
}

#[tokio::test]
async fn flags_and_attributes_about_compression_may_not_contradict_each_other() {
    let store = store().await;
    let flags = |destination: &str| {
        let kind = Some("zstd".to_owned());
        let compression = CompressionArgs {
            compression: kind,
            compression_level: Some(3),
            force_compression: true,
            ..CompressionArgs::default()
        };
        CopyArgs { compression, ..args("type=memory,name=a", &[destination]) }
    };
    for attribute in ["compression=gzip", "compression-level=4", "force-compression=false"] {
        let failure = run(&session(&store), &flags(&format!("type=memory,name=b,{attribute}"))).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Usage, "{attribute}");
        assert!(failure.message.contains("contradicts"), "{}", failure.message);
    }
    for attribute in ["compression=zstd", "compression-level=3", "force-compression="] {
        let copied = run(&session(&store), &flags(&format!("type=memory,name=b,{attribute}"))).await;
        assert_eq!(copied, Ok(Exit::Done), "{attribute}");
    }
}

#[tokio::test]
async fn a_forced_compression_converts_and_any_other_changes_nothing() {
    let store = store().await;
    let kinds = async |name: &str| -> Vec<String> {
        let manifest = store.named(name).resolve().await.unwrap().unwrap().manifest;
        manifest.blobs().iter().map(|blob| blob.media_type.to_string()).collect()
    };
    let destinations =
        ["type=memory,name=b,compression=zstd,force-compression=true", "type=memory,name=c,compression=zstd"];
    assert_eq!(run(&session(&store), &args("type=memory,name=a", &destinations)).await, Ok(Exit::Done));
    assert_eq!(kinds("b").await, vec!["application/vnd.oci.image.layer.v1.tar+zstd"; LAYERS.len()]);
    assert_eq!(kinds("c").await, kinds("a").await);
}

#[tokio::test]
async fn a_dry_run_converts_nothing() {
    let store = store().await;
    let destinations = ["type=memory,name=b,compression=zstd,force-compression=true"];
    let args = CopyArgs { dry_run: true, ..args("type=memory,name=a", &destinations) };
    assert_eq!(run(&session(&store), &args).await, Ok(Exit::Done));
    assert_eq!(names(&store).await, ["a"]);
}

#[tokio::test]
async fn a_missing_directory_for_converted_layers_is_refused_before_anything_is_written() {
    let store = store().await;
    let destinations = ["type=memory,name=b", "type=memory,name=c,compression=zstd,force-compression=true"];
    let compression = CompressionArgs { tmp_dir: Some("/nowhere/at/all".into()), ..CompressionArgs::default() };
    let args = CopyArgs { compression, ..args("type=memory,name=a", &destinations) };
    assert_eq!(run(&session(&store), &args).await.unwrap_err().exit, Exit::Usage);
    assert_eq!(names(&store).await, ["a"]);
}

#[tokio::test]
async fn every_cache_of_a_store_goes_to_a_store() {
    let store = store().await;
    insert(&store, "b", &["other"]).await;
    let args = CopyArgs { all: true, ..args("type=memory", &["type=memory"]) };
    assert_eq!(run(&session(&store), &args).await, Ok(Exit::Done));
    assert_eq!(names(&store).await, ["a", "b"]);
}
