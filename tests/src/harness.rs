//! [`Harness`]: what the conformance suite needs from a backend, and the macro that makes a test of each case.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::manifest::ManifestForm;
use cache_core::seams::ImageStore;
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Digest, Timestamp};
use cache_kit::{Bounds, RetryPolicy, Timeouts};

/// A fresh place of one backend, with ways to inspect and change the store without the backend.
///
/// A new value is an empty place. Each test makes its own, and drops it at the end.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The backend, configured as in a program.
    fn backend(&self) -> Box<dyn CacheBackend>;

    /// The spec of the place.
    fn spec(&self) -> CacheSpec;

    /// The spec of another cache in the same store; `None` if a store has only one cache.
    fn other_spec(&self) -> Option<CacheSpec>;

    /// An empty image of the place; `None` if the backend holds no images.
    async fn image(&self) -> Option<Box<dyn ImageStore>> {
        None
    }

    /// Whether the store keeps manifests in a form (`image-manifest`, `oci-mediatypes`), byte for byte.
    fn keeps_form(&self) -> bool;

    /// The retries of a push, which are up to the caller: none, unless the store itself fails sometimes with concurrent
    /// writers.
    fn retry(&self) -> RetryPolicy {
        RetryPolicy::never()
    }

    /// Why the backend does not keep this rule, if it does not.
    fn exception(&self, case: &str) -> Option<&'static str>;

    /// Every secret that is configured.
    fn secrets(&self) -> Vec<String>;

    /// The `Debug` output of every value that holds the configuration.
    fn shown(&self) -> Vec<String>;

    /// The content of the store, including the store's own folder or bucket.
    async fn contents(&self) -> Vec<String>;

    /// The number of requests since the last call; `None` if the server is not one of the suite.
    fn requests(&self) -> Option<usize> {
        None
    }

    /// What an interrupted write has left in the store: temporary files, open uploads.
    async fn leftovers(&self) -> Vec<String>;

    /// Deletes a blob.
    async fn lose(&self, blob: &Digest);

    /// Replaces the bytes of a blob.
    async fn overwrite(&self, blob: &Digest, bytes: Bytes);

    /// Makes the store hostile, and returns a backend for it with tight bounds and without retries; `None` if the
    /// server is not one of the suite.
    fn hostile(&self, _: &Hostility) -> Option<Box<dyn CacheBackend>> {
        None
    }

    /// Makes the store answer with this quirk; returns whether the server can.
    fn speak(&self, _: Quirk) -> bool {
        false
    }

    /// A backend with these timeouts; `None` if the server is not one of the suite.
    fn hasty(&self, _: Timeouts) -> Option<Box<dyn CacheBackend>> {
        None
    }

    /// Makes the store normal again; returns whether all planned faults have occurred.
    fn calm(&self) -> bool {
        true
    }

    /// Sets when a blob was last written; returns whether the store supports that.
    async fn set_modified(&self, _blob: &Digest, _modified: Timestamp) -> bool {
        false
    }
}

/// How a store keeps its clients busy, or misleads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hostility {
    /// Every request is refused, with an endless body.
    EndlessErrors,
    /// The body of every successful answer is endless.
    EndlessBodies,
    /// Every body is sent byte by byte.
    Trickle,
    /// Two pages of a list lead to each other.
    RepeatingPages,
    /// Every page of a list leads to another one.
    EndlessPages,
    /// After `after` requests, one is redirected.
    Redirect {
        /// How many requests succeed before.
        after: usize,
        /// The status.
        status: u16,
        /// The URL.
        to: String,
    },
    /// After `after` requests, one is answered with this challenge.
    Challenge {
        /// How many requests succeed before.
        after: usize,
        /// The value of `WWW-Authenticate`.
        challenge: String,
    },
}

/// How a store, or a proxy in front of it, answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// Blobs are sent whole, whatever the range.
    NoRanges,
    /// The answer to a range does not say which range it is.
    UntoldRanges,
    /// The first answer to a range is another range.
    OtherRangeFirst,
    /// Blobs and documents are sent in gzip.
    Gzip,
    /// Answers wrongly claim to be in gzip.
    GzipInName,
    /// The store reports a size of each blob that is a byte too small.
    LosesParts,
    /// Nothing is answered.
    Silent,
    /// A body stops after its first bytes.
    SilentInBodies,
}

/// Bounds that are small enough for tests.
#[must_use]
pub fn tight_bounds() -> Bounds {
    let mut bounds = Bounds::default();
    (bounds.answer, bounds.list_pages) = (256 << 10, 30);
    bounds
}

/// The limits for a silent server and for a slow body.
pub const TIGHT_IDLE: Duration = Duration::from_millis(400);

impl dyn Harness + '_ {
    /// Opens the place for reading.
    pub async fn importer(&self) -> Box<dyn CacheImporter> {
        open_importer(self, &self.spec()).await
    }

    /// Opens the place for writing.
    pub async fn exporter(&self) -> Box<dyn CacheExporter> {
        open_exporter(self, &self.spec()).await
    }

    /// Opens the place for writing manifests in `form`.
    pub async fn exporter_in(&self, form: ManifestForm) -> Box<dyn CacheExporter> {
        let is_image = form == ManifestForm::ImageManifest;
        let is_oci = form != ManifestForm::DockerList;
        let spec = self.spec().with("image-manifest", is_image.to_string()).with("oci-mediatypes", is_oci.to_string());
        open_exporter(self, &spec).await
    }

    /// Opens both sides of the other cache of the store, if there is one.
    pub async fn other(&self) -> Option<(Box<dyn CacheImporter>, Box<dyn CacheExporter>)> {
        let spec = self.other_spec()?;
        Some((open_importer(self, &spec).await, open_exporter(self, &spec).await))
    }

    /// Opens the store of the place, if the backend can list and delete.
    pub async fn store(&self) -> Option<Box<dyn CacheStore>> {
        self.backend().store(&self.spec()).await.expect("the spec is valid")
    }
}

async fn open_importer(place: &(dyn Harness + '_), spec: &CacheSpec) -> Box<dyn CacheImporter> {
    place.backend().importer(spec).await.expect("the spec is valid")
}

async fn open_exporter(place: &(dyn Harness + '_), spec: &CacheSpec) -> Box<dyn CacheExporter> {
    place.backend().exporter(spec).await.expect("the spec is valid")
}

/// Checks, after every case and after a writer is dropped, that the store contains nothing but caches.
///
/// # Panics
/// If it contains something else.
pub async fn check_leftovers(place: &dyn Harness) {
    settle().await;
    let leftovers = place.leftovers().await;
    assert!(leftovers.is_empty(), "there are leftovers: {leftovers:?}");
}

/// Waits until dropped work has ended in the background: paused time does not advance while a file is written.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Makes a test of every case in a module with this name, each with its own place.
///
/// ```ignore
/// cache_tests::conformance!(memory, cache_tests::places::Memory::new());
/// ```
///
/// Time is paused: no test waits for a retry. This is the one list of cases.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $place:expr) => {
        mod $module {
            $crate::conformance! { @cases ($place)
                blob {
                    push_uploads_then_is_present
                    push_is_idempotent
                    concurrent_pushes_of_one_blob_all_succeed
                    an_empty_blob_and_a_large_one_round_trip
                    stat_of_an_absent_blob_is_none
                    read_of_an_absent_blob_is_not_found
                    ranged_reads_give_exactly_the_range
                }
                manifest {
                    resolve_of_nothing_is_none_and_creates_nothing
                    commit_then_resolve_gives_the_same_cache
                    a_manifest_with_a_form_keeps_its_bytes
                    each_form_can_be_asked_for
                    commit_replaces
                    names_do_not_share_a_cache
                    commit_absent_conflicts_when_something_is_there
                    commit_version_conflicts_after_another_commit
                    commit_version_conflicts_when_nothing_is_there
                    one_of_many_conditional_commits_wins
                    an_empty_cache_is_skipped
                }
                export {
                    an_exported_cache_verifies_deeply
                    a_second_export_sends_no_bytes
                    a_second_export_of_many_blobs_sends_few_requests
                    a_blob_that_was_lost_among_many_is_pushed_again
                    an_export_reports_its_events_in_order
                    dropping_an_export_leaves_the_old_cache
                    concurrent_exports_of_different_caches_leave_one_of_them
                }
                faults {
                    a_truncated_source_fails_and_commits_nothing
                    wrong_bytes_are_a_digest_mismatch_of_the_source
                    a_source_that_fails_midway_commits_nothing
                    a_blob_that_the_source_lost_is_not_found
                    a_random_fault_commits_nothing
                    a_slow_source_is_waited_for
                    a_source_that_refuses_is_tried_again
                    bytes_count_once_however_often_they_are_sent
                    a_blob_deleted_during_an_export_is_pushed_again
                    a_lost_blob_is_a_finding
                    a_corrupt_blob_is_a_finding
                    a_lost_config_is_not_found
                    a_corrupt_config_is_a_digest_mismatch
                    a_lost_blob_is_pushed_again
                }
                secrets {
                    no_output_shows_a_secret
                    a_bad_value_is_not_repeated
                    secrets_in_urls_are_not_shown
                    an_unknown_attribute_is_quoted_only_if_it_looks_like_a_name
                    an_invalid_spec_is_not_repeated
                    an_error_of_a_call_holds_no_secret
                }
                spec {
                    the_attributes_in_the_facts_are_those_that_are_read
                    attributes_that_are_secrets_are_never_shown
                }
                store {
                    a_store_of_nothing_lists_nothing_and_creates_nothing
                    a_store_lists_what_was_committed
                    a_listed_cache_opens
                    a_store_lists_every_blob
                    delete_cache_is_conditional
                    deleting_a_cache_leaves_the_others_and_the_blobs
                    delete_blob_is_conditional
                    deleting_many_blobs_returns_an_outcome_for_each
                }
                image {
                    root_of_nothing_is_none_and_creates_nothing
                    put_root_then_root_gives_the_same_document
                    an_index_leads_to_its_manifests
                    put_is_idempotent_and_not_reachable_by_name
                    put_root_replaces
                    put_root_absent_conflicts_when_something_is_there
                    put_root_version_conflicts_after_another
                }
                prune {
                    prune_deletes_what_nothing_reaches
                    prune_keeps_young_blobs
                    prune_keeps_a_blob_that_was_pushed_since
                    prune_keeps_blobs_that_a_new_cache_reaches
                    prune_keeps_a_cache_that_was_written_since
                    prune_deletes_caches_by_policy
                    a_prune_that_is_dropped_leaves_whole_caches
                }
                publish {
                    publishing_to_nothing_writes_the_cache
                    publishing_adds_to_the_existing_cache
                    publish_loses_nothing
                    contributions_are_no_caches_and_old_ones_are_deleted
                    the_next_publish_adds_what_was_contributed
                    prune_keeps_what_young_contributions_reach
                    a_union_over_the_limit_is_refused
                }
                credentials {
                    the_target_of_a_redirect_gets_no_secret
                    a_foreign_token_server_gets_no_secret
                }
                answers {
                    blobs_are_read_if_ranges_are_ignored_or_wrong
                    gzip_of_a_proxy_is_decompressed
                    lost_bytes_of_an_upload_in_parts_are_detected
                    a_silent_server_is_an_error_that_states_the_wait
                }
                hostile {
                    endless_errors_end
                    endless_bodies_end
                    slow_bodies_end
                    repeating_pages_are_an_error
                    endless_lists_are_an_error
                }
                repair {
                    a_sound_cache_is_left_alone
                    a_lost_blob_is_repaired
                    a_corrupt_blob_is_repaired
                    a_dangling_link_is_repaired
                    a_loop_is_repaired
                    a_repair_in_place_does_not_overwrite_another_cache
                    a_wrong_media_type_is_a_warning_that_repair_corrects
                    a_compressed_layer_typed_as_a_plain_tar_is_an_error_that_repair_corrects
                }
            }
        }
    };
    (@cases ($place:expr) $($subject:ident { $($case:ident)+ })+) => {$($(
        #[tokio::test(start_paused = true)]
        async fn $case() {
            let place = $place;
            if let Some(reason) = $crate::harness::Harness::exception(&place, stringify!($case)) {
                println!("skipped: {reason}");
                return;
            }
            $crate::cases::$subject::$case(&place).await;
            $crate::harness::check_leftovers(&place).await;
        }
    )+)+};
}
