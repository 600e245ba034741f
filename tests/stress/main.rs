//! Several threads that do random things to few keys, and invariants that must hold whatever happens.
//!
//! What is checked, and how:
//! * **One.** Each key has a [`Roll`](support::Roll) on which the holders of its value sign in with the value's identity, after they got
//!   it and until before they let it go. Two identities at once are two live values of one key. (Counting constructions less
//!   destructions would not do: a successor may be made while the destructor of its predecessor still runs.)
//! * **Gone**, at the end: `len` is 0, nothing is found, nothing iterated.
//! * **Alive, and dropped once.** Values carry a seal that their destructor breaks: a holder that finds it broken holds a dead value, a destructor that
//!   does has run twice. All that were born have died, once.
//! * **The same for the weak maps** with their plain `Arc`s, beside pruning, shrinking, iteration and closing; the hook's count balances.
//! * **The registries** of `registries.rs`: what a thread has made alone is compared with a model; no record is lost or doubled, no function runs twice, no node is in two lists.
//! * **In any order.** The same while entries are replaced and removed, and while registries go before their handles.
//!
//! The short runs are part of the usual tests. The long ones take `HIGHLANDER_STRESS_SECONDS` each (30 if not set):
//! `cargo test --release --test stress -- --ignored --test-threads 1`.

#[path = "../it/common.rs"]
mod common;
mod families;
mod flights;
mod interner;
mod memory;
mod registries;
mod registry;
mod support;
#[cfg(feature = "async")]
mod tasks;
mod teardown;
mod weak_maps;

use std::time::Duration;

const SHORT: Duration = Duration::from_millis(400);

fn long() -> Duration {
    let seconds = std::env::var("HIGHLANDER_STRESS_SECONDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(30);
    Duration::from_secs(seconds)
}

mod short {
    use super::SHORT;
    use crate::{families, flights, interner, memory, registries, registry, teardown, weak_maps};

    #[test]
    fn few_contents_interned_by_many_threads() {
        interner::churn_few_keys(SHORT);
    }

    #[test]
    fn contents_that_collide() {
        interner::churn_colliding(SHORT);
    }

    #[test]
    fn all_operations_of_a_registry() {
        registry::all_operations(SHORT);
    }

    #[test]
    fn all_operations_on_keys_that_collide() {
        registry::all_operations_colliding(SHORT);
    }

    #[test]
    fn creation_and_last_drop_alone() {
        registry::create_and_drop(SHORT);
    }

    #[test]
    fn weak_handles_upgraded_beside_the_last_drop() {
        registry::upgrade(SHORT);
    }

    #[test]
    fn iteration_beside_all_that() {
        registry::iterate(SHORT);
    }

    #[test]
    fn growth_beside_readers() {
        memory::grow_beside_readers(SHORT);
    }

    #[test]
    fn shrinking_beside_readers_and_writers() {
        memory::shrink_beside_readers(SHORT);
    }

    #[test]
    fn large_values_freed_beside_readers() {
        memory::large_beside_readers(SHORT);
    }

    #[test]
    fn registries_dropped_beside_their_handles() {
        teardown::registry_first(SHORT);
    }

    #[test]
    fn deep_chains_dropped_by_several_threads() {
        teardown::deep_chains(SHORT);
    }

    #[test]
    fn chains_of_watched_values_dropped_by_several_threads() {
        teardown::watched_chains(SHORT);
    }

    #[test]
    #[cfg(feature = "async")]
    fn tasks_under_runtimes() {
        crate::tasks::churn(SHORT);
    }

    #[test]
    fn families_at_random() {
        families::at_random(SHORT);
    }

    #[test]
    fn flights_that_fail_and_panic() {
        flights::fail_and_panic(SHORT);
    }

    #[test]
    fn flights_nested_in_one_order() {
        flights::nested(SHORT);
    }

    #[test]
    fn weak_values_created_and_dropped() {
        weak_maps::create_and_drop(SHORT);
    }

    #[test]
    fn all_operations_of_the_weak_maps() {
        weak_maps::all_operations(SHORT);
    }

    #[test]
    fn weak_maps_closed_beside_insertions() {
        weak_maps::close(SHORT);
    }

    #[test]
    fn weak_sets_beside_iteration() {
        weak_maps::set(SHORT);
    }

    #[test]
    fn receivers_and_senders_that_come_and_go() {
        registries::signals(SHORT);
    }

    #[test]
    fn records_beside_handlers_that_change() {
        registries::logging(SHORT);
    }

    #[test]
    fn finalizers_that_run_once_or_are_called_off() {
        registries::finalizers(SHORT);
    }

    #[test]
    fn a_tree_that_is_changed_everywhere() {
        registries::tree(SHORT);
    }

    #[test]
    fn a_memo_of_a_function_that_fails_and_panics() {
        registries::memo(SHORT);
    }

    #[test]
    fn resources_that_are_never_open_twice() {
        registries::resources(SHORT);
    }
}

mod for_long {
    use super::long;
    use crate::{families, flights, interner, memory, registries, registry, teardown, weak_maps};

    #[test]
    #[ignore = "long"]
    fn few_contents_interned_by_many_threads() {
        interner::churn_few_keys(long());
    }

    #[test]
    #[ignore = "long"]
    fn contents_that_collide() {
        interner::churn_colliding(long());
    }

    #[test]
    #[ignore = "long"]
    fn all_operations_of_a_registry() {
        registry::all_operations(long());
    }

    #[test]
    #[ignore = "long"]
    fn all_operations_on_keys_that_collide() {
        registry::all_operations_colliding(long());
    }

    #[test]
    #[ignore = "long"]
    fn creation_and_last_drop_alone() {
        registry::create_and_drop(long());
    }

    #[test]
    #[ignore = "long"]
    fn weak_handles_upgraded_beside_the_last_drop() {
        registry::upgrade(long());
    }

    #[test]
    #[ignore = "long"]
    fn iteration_beside_all_that() {
        registry::iterate(long());
    }

    #[test]
    #[ignore = "long"]
    fn growth_beside_readers() {
        memory::grow_beside_readers(long());
    }

    #[test]
    #[ignore = "long"]
    fn shrinking_beside_readers_and_writers() {
        memory::shrink_beside_readers(long());
    }

    #[test]
    #[ignore = "long"]
    fn large_values_freed_beside_readers() {
        memory::large_beside_readers(long());
    }

    #[test]
    #[ignore = "long"]
    fn registries_dropped_beside_their_handles() {
        teardown::registry_first(long());
    }

    #[test]
    #[ignore = "long"]
    fn deep_chains_dropped_by_several_threads() {
        teardown::deep_chains(long());
    }

    #[test]
    #[ignore = "long"]
    fn chains_of_watched_values_dropped_by_several_threads() {
        teardown::watched_chains(long());
    }

    #[test]
    #[cfg(feature = "async")]
    #[ignore = "long"]
    fn tasks_under_runtimes() {
        crate::tasks::churn(long());
    }

    #[test]
    #[ignore = "long"]
    fn families_at_random() {
        families::at_random(long());
    }

    #[test]
    #[ignore = "long"]
    fn flights_that_fail_and_panic() {
        flights::fail_and_panic(long());
    }

    #[test]
    #[ignore = "long"]
    fn flights_nested_in_one_order() {
        flights::nested(long());
    }

    #[test]
    #[ignore = "long"]
    fn weak_values_created_and_dropped() {
        weak_maps::create_and_drop(long());
    }

    #[test]
    #[ignore = "long"]
    fn all_operations_of_the_weak_maps() {
        weak_maps::all_operations(long());
    }

    #[test]
    #[ignore = "long"]
    fn weak_maps_closed_beside_insertions() {
        weak_maps::close(long());
    }

    #[test]
    #[ignore = "long"]
    fn weak_sets_beside_iteration() {
        weak_maps::set(long());
    }

    #[test]
    #[ignore = "long"]
    fn receivers_and_senders_that_come_and_go() {
        registries::signals(long());
    }

    #[test]
    #[ignore = "long"]
    fn records_beside_handlers_that_change() {
        registries::logging(long());
    }

    #[test]
    #[ignore = "long"]
    fn finalizers_that_run_once_or_are_called_off() {
        registries::finalizers(long());
    }

    #[test]
    #[ignore = "long"]
    fn a_tree_that_is_changed_everywhere() {
        registries::tree(long());
    }

    #[test]
    #[ignore = "long"]
    fn a_memo_of_a_function_that_fails_and_panics() {
        registries::memo(long());
    }

    #[test]
    #[ignore = "long"]
    fn resources_that_are_never_open_twice() {
        registries::resources(long());
    }
}
