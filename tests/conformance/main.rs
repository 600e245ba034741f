//! What the models promise, told again: CPython's `test_weakref` (the parts about mappings) and `test_weakset`, and Guava's tests of `MapMaker`,
//! `Interners`, and concurrent maps in general. Each test names its source; each file says at its head what has no meaning here, and why.
//!
//! `tests/BEHAVIOURS.md` leads from the numbered behaviours to their tests. What happens between threads is in `tests/loom` and
//! `tests/stress`; what is our own, without a model, in `tests/it`.

#[path = "../it/common.rs"]
mod common;
mod guava_concurrent_map;
mod guava_interners;
mod guava_map_maker;
mod maps;
mod python_mappings;
mod python_weakset;
