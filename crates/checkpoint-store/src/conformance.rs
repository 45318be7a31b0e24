//! What every store must do, as one test per sentence. A backend's whole test file is
//! `agent_checkpoint_store::store_conformance!(fresh_store());`, where `fresh_store()` is a future of
//! `Option<S>`: an empty store, or `None` where none can be had here (say why on stderr).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::wildcard_enum_match_arm,
    reason = "these are tests, kept where every backend can reach them"
)]

mod fixtures;
mod jobs;
mod leases;
mod load;
mod numbers;
mod rows;
mod upkeep;

use async_trait::async_trait;

pub use jobs::*;
pub use leases::*;
pub use load::*;
pub use numbers::*;
pub use rows::*;
pub use upkeep::*;

/// What the suite must be able to do to a store from outside.
#[async_trait]
pub trait Expire {
    /// Makes the lease of a thread run out now, as if its holder had been silent for long.
    async fn expire(&self, thread_id: &str);
}

#[async_trait]
impl Expire for crate::MemoryStore {
    async fn expire(&self, thread_id: &str) {
        Self::expire(self, thread_id);
    }
}

#[cfg(feature = "sqlite")]
#[async_trait]
impl Expire for crate::SqliteStore {
    async fn expire(&self, thread_id: &str) {
        Self::expire(self, thread_id).await.unwrap();
    }
}

/// Expands to one `#[tokio::test]` per case, so that a failure names the case and no backend can forget one.
#[macro_export]
macro_rules! store_conformance {
    ($fresh:expr) => {
        $crate::store_conformance!(@each $fresh;
            a_new_thread_starts_at_once,
            the_newest_jobs_come_first,
            begin_twice_is_harmless,
            an_id_with_other_content_is_refused,
            a_finished_job_is_terminal_and_never_changes,
            finish_twice_gives_the_same_answer,
            a_job_cannot_end_as_running,
            a_request_may_hold_any_bytes,
            a_deadline_counts_from_admission,
            cancel_requests_are_seen_until_the_end,
            a_busy_thread_queues_and_finish_hands_over_in_admission_order,
            no_queued_job_is_left_behind_when_begin_meets_finish,
            a_queued_job_can_end_before_its_turn,
            each_job_ends_once_when_early_ends_meet_finishes,
            overdue_jobs_are_those_that_must_end_and_that_nobody_is_at,
            the_stores_clock_is_the_jobs_clock,
            a_stale_epoch_writes_nothing,
            an_expired_lease_that_nobody_took_still_commits,
            a_released_lease_writes_nothing,
            only_an_unreleased_takeover_counts_as_unclean,
            acquire_takes_only_free_threads_with_open_jobs,
            renewal_tells_which_leases_are_lost,
            one_of_many_racing_begins_gets_the_lease,
            event_numbers_go_on_after_a_release,
            event_numbers_skip_the_reserved_block_after_a_takeover,
            commits_and_renewals_reserve_more_numbers,
            the_journal_is_read_after_a_number,
            fresh_rows_are_written_on_a_virgin_thread_only,
            rows_come_back_byte_for_byte,
            repeated_rows_change_nothing_but_checkpoints_and_special_writes,
            threads_do_not_see_each_other,
            step_records_are_settled_and_end_with_their_job,
            data_that_cannot_be_stored_is_refused,
            a_bad_commit_among_thirty_harms_none,
            a_fenced_commit_among_thirty_harms_none,
            commits_of_one_thread_keep_their_order,
            renewal_during_full_load_never_fails,
            a_large_commit_is_written_whole,
            an_outbox_message_is_due_until_it_is_sent,
            dead_letters_are_recorded_once,
            orphans_are_open_threads_that_nobody_holds,
            a_handed_back_thread_is_an_orphan_sooner_than_an_expired_one,
            a_role_has_one_worker_at_a_time,
            a_deleted_thread_leaves_nothing_and_fences_its_holder,
            purge_takes_what_is_old_and_settled,
            a_healthy_store_says_so
        );
    };
    (@each $fresh:expr; $($case:ident),+) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            if let Some(store) = $fresh.await {
                $crate::conformance::$case(store).await;
            }
        }
    )+ };
}
