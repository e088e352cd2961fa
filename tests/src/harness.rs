//! What the conformance suite asks of a backend, and the macro that makes a test of each case.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::manifest::ManifestForm;
use cache_core::seams::ImageStore;
use cache_core::{CacheBackend, CacheExporter, CacheImporter, CacheSpec, CacheStore, Digest, Timestamp};
use cache_kit::{Bounds, RetryPolicy, Timeouts};

/// A fresh place of one backend, and the ways to look and reach behind the backend's back.
///
/// A value is one place that nothing was written to; a test makes its own and drops it when it is done.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The backend, configured as a program would.
    fn backend(&self) -> Box<dyn CacheBackend>;

    /// The spec of the place.
    fn spec(&self) -> CacheSpec;

    /// The spec of another cache in the same store; `None` where a store has one cache.
    fn other_spec(&self) -> Option<CacheSpec>;

    /// An image of the place that nothing was written to; `None` where the backend holds no images.
    async fn image(&self) -> Option<Box<dyn ImageStore>> {
        None
    }

    /// Whether the store keeps manifests in a form (`image-manifest`, `oci-mediatypes`), byte for byte.
    fn keeps_form(&self) -> bool;

    /// How a push is tried again, which is for whoever calls it: never, but where the store itself fails now and then when
    /// writers come together.
    fn retry(&self) -> RetryPolicy {
        RetryPolicy::never()
    }

    /// Why the backend does not keep this rule, if it does not.
    fn exception(&self, case: &str) -> Option<&'static str>;

    /// Every secret that is configured.
    fn secrets(&self) -> Vec<String>;

    /// The `Debug` of everything that holds the configuration.
    fn shown(&self) -> Vec<String>;

    /// Everything that is in the store, the store's own folder or bucket included.
    async fn contents(&self) -> Vec<String>;

    /// How many requests the store has had since the last call; `None` where the suite has no server of its own.
    fn requests(&self) -> Option<usize> {
        None
    }

    /// What an interrupted write has left in the store: temporary files, open uploads.
    async fn leftovers(&self) -> Vec<String>;

    /// Takes a blob away.
    async fn lose(&self, blob: &Digest);

    /// Puts other bytes in the place of a blob.
    async fn overwrite(&self, blob: &Digest, bytes: Bytes);

    /// Makes the store hostile, and gives a backend for it that has tight bounds and tries once; `None` where the suite
    /// has no server of its own.
    fn hostile(&self, _: &Hostility) -> Option<Box<dyn CacheBackend>> {
        None
    }

    /// Makes the store answer in its own way; says whether the suite has a server that can.
    fn speak(&self, _: Quirk) -> bool {
        false
    }

    /// A backend for the store that waits so long; `None` where the suite has no server of its own.
    fn hasty(&self, _: Timeouts) -> Option<Box<dyn CacheBackend>> {
        None
    }

    /// Makes the store what it was; says whether it did what it was to do once.
    fn calm(&self) -> bool {
        true
    }

    /// Sets when a blob was last written, and says whether that can be done here.
    async fn set_modified(&self, _blob: &Digest, _modified: Timestamp) -> bool {
        false
    }
}

/// How a store keeps its clients busy, or leads them astray.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hostility {
    /// Every request is refused, in a body without end.
    EndlessErrors,
    /// The body of every good answer goes on without end.
    EndlessBodies,
    /// Every body comes byte by byte.
    Trickle,
    /// Two pages of a list lead to each other.
    RepeatingPages,
    /// Every page of a list leads to another one.
    EndlessPages,
    /// After so many requests, one is redirected.
    Redirect {
        /// How many requests are answered well before it.
        after: usize,
        /// The status.
        status: u16,
        /// The URL.
        to: String,
    },
    /// After so many requests, one is answered with this challenge.
    Challenge {
        /// How many requests are answered well before it.
        after: usize,
        /// What `WWW-Authenticate` says.
        challenge: String,
    },
}

/// How a store, or a proxy before it, answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// Blobs come whole, whatever is asked for.
    NoRanges,
    /// A part of a blob does not say which part it is.
    UntoldRanges,
    /// The first part of a blob that is asked for is another one.
    OtherRangeFirst,
    /// Blobs and documents come in gzip.
    Gzip,
    /// They are said to be in gzip, and are not.
    GzipInName,
    /// The store says that it holds a byte less of each blob than was sent.
    LosesParts,
    /// Nothing is answered.
    Silent,
    /// A body stops after its first bytes.
    SilentInBodies,
}

/// Bounds that a test can wait for.
#[must_use]
pub fn tight_bounds() -> Bounds {
    let mut bounds = Bounds::default();
    (bounds.answer, bounds.list_pages) = (256 << 10, 30);
    bounds
}

/// How long a hostile server may be silent, and how long a slow one is listened to.
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

    /// Opens the other cache of the store from both sides, where there is one.
    pub async fn other(&self) -> Option<(Box<dyn CacheImporter>, Box<dyn CacheExporter>)> {
        let spec = self.other_spec()?;
        Some((open_importer(self, &spec).await, open_exporter(self, &spec).await))
    }

    /// Opens the store that the place is in, where the backend can list and delete.
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

/// What holds after every case, and after a writer is dropped: nothing is in the store that is no part of a cache.
///
/// # Panics
/// When there is.
pub async fn check_leftovers(place: &dyn Harness) {
    settle().await;
    let leftovers = place.leftovers().await;
    assert!(leftovers.is_empty(), "there are leftovers: {leftovers:?}");
}

/// Waits until what was dropped has come to its end in the background: paused time stands still as long as a file is
/// being written.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Makes a test of every case, in a module of that name, each on a place of its own.
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
                    a_second_export_of_many_blobs_asks_almost_nothing
                    a_blob_that_was_lost_among_many_is_pushed_again
                    an_export_tells_what_happens
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
                    a_blob_that_goes_during_an_export_is_pushed_again
                    a_lost_blob_is_found_out
                    a_corrupt_blob_is_found_out
                    a_lost_config_is_not_found
                    a_corrupt_config_is_a_digest_mismatch
                    a_lost_blob_is_pushed_again
                }
                secrets {
                    nothing_shown_holds_a_secret
                    a_bad_value_is_not_repeated
                    what_a_place_hides_is_not_shown
                    a_name_that_is_none_is_not_repeated
                    a_line_that_is_no_spec_is_not_repeated
                    an_error_of_a_call_holds_no_secret
                }
                spec {
                    the_attributes_that_are_told_are_those_that_are_read
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
                    deleting_many_blobs_tells_what_came_of_each
                }
                image {
                    root_of_nothing_is_none_and_creates_nothing
                    put_root_then_root_gives_the_same_document
                    an_index_leads_to_its_manifests
                    put_is_idempotent_and_leads_nowhere
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
                    publishing_adds_to_what_is_there
                    publish_loses_nothing
                    contributions_are_no_caches_and_old_ones_go
                    the_next_publish_adds_what_was_contributed
                    prune_keeps_what_young_contributions_reach
                    a_union_over_the_limit_is_refused
                }
                credentials {
                    who_a_redirect_leads_to_is_told_no_secret
                    who_a_challenge_leads_to_is_told_no_secret
                }
                answers {
                    blobs_are_read_whatever_becomes_of_ranges
                    gzip_on_the_way_is_undone
                    parts_that_a_store_loses_are_found_out
                    a_silent_server_is_given_up_and_the_wait_is_told
                }
                hostile {
                    endless_errors_end
                    endless_bodies_end
                    bodies_that_trickle_end
                    lists_that_repeat_are_no_lists
                    endless_lists_are_no_lists
                }
                repair {
                    a_sound_cache_is_left_alone
                    a_lost_blob_is_repaired
                    a_corrupt_blob_is_repaired
                    a_dangling_link_is_repaired
                    a_loop_is_repaired
                    a_repair_in_place_does_not_overwrite_somebody_else
                    a_layer_typed_other_than_its_bytes_is_a_warning_that_repair_mends
                    a_compressed_layer_typed_as_a_plain_tar_is_an_error_that_repair_mends
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
