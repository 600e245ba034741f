//! Model your own code: how to let [loom] run what you have built on this crate under every interleaving.
//!
//! The types of this crate work inside `loom::model`. Their atomics, locks and waits are then loom's, and
//! take part in its search. What you need is a feature, a `--cfg`, and about 20 lines. The package
//! `examples/model_your_own` of the repository is this recipe, ready to be copied: a cache, its models, and a
//! planted race that they find.
//!
//! # The recipe
//! **1. Cargo.toml.** loom is optional, and one feature turns it on here and in this crate.
//! ```toml
//! [features]
//! loom = ["dep:loom", "highlander/loom"]
//!
//! [dependencies]
//! highlander = "0.1"
//! loom = { version = "0.7", optional = true }
//!
//! [lints.rust]
//! unexpected_cfgs = { level = "warn", check-cfg = ["cfg(highlander_loom)"] }
//! ```
//! **2. Your own atomics, locks and threads** must be loom's in a model too. It sees no others.
//! ```
//! #[cfg(all(highlander_loom, feature = "loom"))]
//! use loom::sync::atomic::{AtomicUsize, Ordering};
//! #[cfg(not(all(highlander_loom, feature = "loom")))]
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! ```
//! **3. `tests/model.rs`.** Each model is one race, with two or at most three threads, and one or two keys.
//! ```ignore
//! #[cfg(all(highlander_loom, not(feature = "loom")))]
//! compile_error!("a model needs the feature too: add `--features loom`");
//! #[cfg(all(feature = "loom", not(highlander_loom)))]
//! compile_error!("a model needs the cfg too: set `RUSTFLAGS=\"--cfg highlander_loom\"`");
//!
//! #[cfg(all(highlander_loom, feature = "loom"))]
//! #[test]
//! fn two_who_load_get_one_page() {
//!     let mut builder = loom::model::Builder::new();
//!     builder.preemption_bound.get_or_insert(2);      // unless LOOM_MAX_PREEMPTIONS is set
//!     builder.max_branches = 20_000;
//!     builder.check(|| {
//!         let cache = loom::sync::Arc::new(my_crate::Cache::new());
//!         let other = loom::thread::spawn({
//!             let cache = cache.clone();
//!             move || cache.load("key")
//!         });
//!         let mine = cache.load("key");
//!         assert!(highlander::Handle::ptr_eq(&mine, &other.join().unwrap()));
//!     });
//! }
//! ```
//! **4. Run it.**
//! ```sh
//! RUSTFLAGS="--cfg highlander_loom" cargo test --features loom --test model
//! ```
//!
//! # Why a feature *and* a cfg
//! Cargo unifies features: if the feature did it alone, some crate that you depend on could turn it on for
//! everybody. The `--cfg` is set by whoever runs the models, and no one else. The name is a private one,
//! since `--cfg loom` would reach all crates that know it. One without the other changes nothing, so without
//! the two `compile_error!` lines no model would be compiled, and `0 passed` would look like success. They
//! stand in the test, not in the library: there, the first of your users who says `--all-features` would meet
//! them.
//!
//! A CI job that runs `cargo test --all-features` meets them as well. It can name its features; or do without
//! one of your own, and let the `--cfg` alone decide:
//! ```toml
//! [target.'cfg(highlander_loom)'.dependencies]
//! highlander = { version = "0.1", features = ["loom"] }
//! loom = "0.7"
//! ```
//! Then write `cfg(highlander_loom)` in place of `cfg(all(highlander_loom, feature = "loom"))`, and drop the
//! two lines.
//!
//! `RUSTFLAGS` reaches every dependency, so all are built once more. Give the models a `CARGO_TARGET_DIR` of
//! their own if your Cargo throws the other build away for it. (This crate's own models take a
//! `RUSTC_WORKSPACE_WRAPPER` instead, which adds the `--cfg` for packages of the workspace only. For a
//! dependency from a registry that does not do.)
//!
//! # Statics
//! In a model no constructor is `const`, of this crate as of loom, so `Registry::new()` does not do for a
//! `static`. And a model needs a new registry for each interleaving. Two ways work in both builds:
//! * **A field.** Let a struct own the registry, and let its `new` be an ordinary function. Each run of a
//!   model makes its own. This is the better one: the model says what is shared.
//! * **`loom::lazy_static!`** in a model, the plain `static` otherwise. Both are used in the same way:
//! ```
//! use highlander::Registry;
//!
//! #[cfg(not(all(highlander_loom, feature = "loom")))]
//! static PAGES: Registry<String, String> = Registry::new();
//! #[cfg(all(highlander_loom, feature = "loom"))]
//! loom::lazy_static! {
//!     static ref PAGES: Registry<String, String> = Registry::new();
//! }
//!
//! let page = PAGES.get_or_insert_with("index".into(), |name| format!("text of {name}"));
//! assert_eq!(*page, "text of index");
//! ```
//! A [`LazyLock`](std::sync::LazyLock) or `OnceLock` of `std` compiles, and does not do in a model. loom sees
//! neither the waiting in it, nor that the registry outlives the interleaving: it reports a causality
//! violation.
//!
//! # Limits
//! * **Bound the search.** The number of interleavings grows quickly with each step. `LOOM_MAX_PREEMPTIONS=2`
//!   finds most races within a minute; 3 takes many times as long. Factories should do one or two loads, and
//!   nothing else.
//! * **No `SeqCst`.** loom takes such accesses for `AcqRel`. If your code needs more, use fences.
//! * **`std` blocks.** A lock, channel or sleep of `std` stops the one thread that loom runs on. A `std`
//!   `Arc` or an atomic that only counts is fine, but no interleaving begins there.
//! * **Deaths of a plain `Arc` are not seen**: its count is not loom's. Take a [`Registry`], an [`Interner`]
//!   or a [`Watched`] if a last drop is what you model.
//! * The tables are tiny in a model, so that they grow and overflow early. [`RecentErrors`] and [`Recent`]
//!   with a time read the real clock: give them one with `with_clock`.
//! * `registries::processes`, `resources` and `after_fork` are of the operating system, and left out.
//! * **See it fail.** A model that cannot fail proves nothing. Plant the race that it is for, and run it
//!   once.
//!
//! Rust 1.85 will do, as for the crate.
//!
//! [loom]: https://docs.rs/loom
//! [`Registry`]: crate::Registry
//! [`Interner`]: crate::Interner
//! [`Watched`]: crate::pointer::Watched
//! [`Recent`]: crate::Recent
//! [`RecentErrors`]: crate::RecentErrors
