//! Which types may be used as ones with shorter lifetimes: those that only lead to a value, and not those into which values are put.
//! Each block that must not compile stands before a twin that does.
//!
//! Values may be dropped after the end of a scope that let go of them (see `teardown`), so none of these programs may put in a value that borrows.
//!
//! ```compile_fail
//! use highlander::Registry;
//! fn shorten<'a>(registry: Registry<&'static str, u8>, key: &'a str) {
//!     let shorter: Registry<&'a str, u8> = registry;
//!     shorter.insert(key, 1);
//! }
//! ```
//! ```compile_fail
//! use highlander::Registry;
//! fn shorten<'a>(registry: Registry<u8, &'static str>, value: &'a str) {
//!     let shorter: Registry<u8, &'a str> = registry;
//!     shorter.insert(1, value);
//! }
//! ```
//! ```
//! use highlander::{Handle, Registry, RegistryIter, WeakHandle};
//! fn keep(registry: Registry<&'static str, u8>, key: &'static str) {
//!     let same: Registry<&'static str, u8> = registry;
//!     same.insert(key, 1);
//! }
//! fn handle<'a>(it: Handle<&'static str, &'static str>) -> Handle<&'a str, &'a str> { it }
//! fn weak<'a>(it: WeakHandle<&'static str, &'static str>) -> WeakHandle<&'a str, &'a str> { it }
//! fn iter<'a>(it: RegistryIter<&'static str, &'static str>) -> RegistryIter<&'a str, &'a str> { it }
//! ```
//!
//! ```compile_fail
//! use highlander::Interner;
//! fn shorten<'a>(interner: Interner<&'static str>, value: &'a str) {
//!     let shorter: Interner<&'a str> = interner;
//!     shorter.intern_owned(value);
//! }
//! ```
//! ```
//! use highlander::{Interned, Interner};
//! fn keep(interner: Interner<&'static str>, value: &'static str) {
//!     let same: Interner<&'static str> = interner;
//!     same.intern_owned(value);
//! }
//! fn interned<'a>(it: Interned<&'static str>) -> Interned<&'a str> { it }
//! ```
//!
//! A pointer's only way to its value, [`Watched::get_mut`](crate::Watched::get_mut), demands a `'static` type, also by way of a life:
//! ```compile_fail
//! use highlander::Watched;
//! fn shorten<'a>(watched: Watched<&'static str>, text: &'a str) {
//!     let mut shorter: Watched<&'a str> = Watched::unsize(watched, |life| life);
//!     *Watched::get_mut(&mut shorter).unwrap() = text;
//! }
//! ```
//! ```
//! use highlander::{Watched, WeakWatched};
//! fn keep(watched: Watched<&'static str>, text: &'static str) {
//!     let mut same: Watched<&'static str> = Watched::unsize(watched, |life| life);
//!     *Watched::get_mut(&mut same).unwrap() = text;
//! }
//! fn watched<'a>(it: Watched<&'static str>) -> Watched<&'a str> { Watched::unsize(it, |life| life) }
//! fn weak<'a>(it: WeakWatched<&'static str>) -> WeakWatched<&'a str> { it }
//! ```
