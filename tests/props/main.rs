//! Long scripts of operations, each checked step by step against a model that is a `HashMap` and some counting.
//!
//! After every step, for a [`Registry`](highlander::Registry):
//! * `len`, `is_empty`, `iter` and `keys` show exactly the entered keys, each once;
//! * `get` and `contains_key` find exactly those, with the value that the model knows, and nothing else;
//! * a value is alive exactly while it has handles, entered or not, and is dropped once, as soon as the last one goes;
//! * `strong_count` is the number of handles; a weak handle upgrades exactly while there is one, to that very value.
//!
//! And of the single operations:
//! * creation runs its factory exactly when the key has no live value; a failed one changes nothing;
//! * `insert` displaces, `try_insert` refuses and gives back, `compare_exchange`, `remove_same` work on that very value only;
//! * `remove`, `remove_if`, `retain` and `clear` take out what they say and return it, or how many;
//! * `shrink_to_fit` and growth change nothing that can be seen.
//!
//! For an [`Interner`](highlander::Interner):
//! * equal contents have one address while a handle to them lives, whichever way they were interned;
//! * the entries are exactly the contents with handles, and the counts those of the handles.
//!
//! For each name of a [`Map`](highlander::map::Map), by equality and by address, with several settings, of `Arc`s:
//! * no dead key or value is ever shown; what is shown is what the model knows, by identity; `len` is exact;
//! * what has no weak side stays until it is taken out;
//! * of equal weak keys the first stays; removal and replacement of a certain value touch no other;
//! * the hook is told once of each entry that goes, with the right cause: what it has not been told of yet is in `entry_count`;
//! * churn leaves no more dead entries than the documentation says; the counters add up;
//! * a closed map takes nothing, and otherwise goes on.
//!
//! For a [`StrongMap`](highlander::StrongMap) moreover, against a `HashMap`, by equality and with values that are counted:
//! * every call returns what the `HashMap` does, by owned and by borrowed keys, by clones and by views; of equal keys the later stays;
//! * the values that are alive are those in the map, from the first step to the last;
//! * two maps are equal exactly when the `HashMap`s are.
//!
//! For a [`WeakSet`](highlander::WeakSet), by equality and by address, of `Arc`s and of [`Watched`](highlander::pointer::Watched):
//! * it shows the live members in the order of their insertion; those that report their death leave no entry;
//! * iteration beside changes shows each lasting member once, and none that was taken out;
//! * its version counts insertions, removals and reported deaths, and nothing else.
//!
//! For a [`Recent`](highlander::Recent) on top of a registry, and [`RecentErrors`](highlander::RecentErrors):
//! * what is alive is what somebody holds and what is kept; and that is what two lines with second chances keep, to the value;
//! * with a time, what has not been idle for that long is kept, what has been for a quarter more is not after any call;
//! * a factory runs if there is neither a live value nor an error that is young enough; of too many errors the oldest go.
//!
//! Each of the others with the default hasher and with one under which all keys collide. `PROPTEST_CASES=10000` makes it thorough.

#[path = "../it/common.rs"]
mod common;
mod interner;
#[path = "../conformance/maps.rs"]
mod maps;
mod recent;
mod registry;
mod strong_map;
mod weak_maps;
mod weak_set;

use proptest::test_runner::Config;

/// As many scripts as are done in a few seconds, unless the environment asks for more.
fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(32);
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}
