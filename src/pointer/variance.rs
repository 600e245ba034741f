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
//!
//! What can be filled through a shared reference is invariant in what it holds. No code: tests that it does not compile otherwise.
//!
//! If a map were covariant, a map of functions that take any reference could be seen as a map of functions that take only those that last for ever. One of these,
//! inserted there, would be found in the same map as one that takes any, and be called with a reference that does not last. The twins that compile are in `tests/it/auto_traits.rs`.
//!
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &Registry<for<'a> fn(&'a u32), u32>,
//! ) -> &Registry<fn(&'static u32), u32> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &Registry<u32, for<'a> fn(&'a u32)>,
//! ) -> &Registry<u32, fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &Interner<for<'a> fn(&'a u32)>,
//! ) -> &Interner<fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &Interner<[for<'a> fn(&'a u32)]>,
//! ) -> &Interner<[fn(&'static u32)]> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &WeakValueMap<for<'a> fn(&'a u32), Arc<u32>>,
//! ) -> &WeakValueMap<fn(&'static u32), Arc<u32>> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &WeakValueMap<u32, Arc<for<'a> fn(&'a u32)>>,
//! ) -> &WeakValueMap<u32, Arc<fn(&'static u32)>> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &WeakKeyMap<Arc<for<'a> fn(&'a u32)>, u32>,
//! ) -> &WeakKeyMap<Arc<fn(&'static u32)>, u32> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &WeakKeyMap<Arc<u32>, for<'a> fn(&'a u32)>,
//! ) -> &WeakKeyMap<Arc<u32>, fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &WeakKeyValueMap<Arc<for<'a> fn(&'a u32)>, Arc<u32>>,
//! ) -> &WeakKeyValueMap<Arc<fn(&'static u32)>, Arc<u32>> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &WeakKeyValueMap<Arc<u32>, Arc<for<'a> fn(&'a u32)>>,
//! ) -> &WeakKeyValueMap<Arc<u32>, Arc<fn(&'static u32)>> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &StrongMap<for<'a> fn(&'a u32), u32>,
//! ) -> &StrongMap<fn(&'static u32), u32> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &StrongMap<u32, for<'a> fn(&'a u32)>,
//! ) -> &StrongMap<u32, fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &WeakSet<Arc<for<'a> fn(&'a u32)>>,
//! ) -> &WeakSet<Arc<fn(&'static u32)>> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &Recent<Registry<u32, for<'a> fn(&'a u32)>>,
//! ) -> &Recent<Registry<u32, fn(&'static u32)>> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &RecentErrors<for<'a> fn(&'a u32), u32>,
//! ) -> &RecentErrors<fn(&'static u32), u32> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &RecentErrors<u32, for<'a> fn(&'a u32)>,
//! ) -> &RecentErrors<u32, fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use highlander::map_maker::OnRemove;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &OnRemove<for<'a> fn(&'a u32)>,
//! ) -> &OnRemove<fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::memo::Memo<StrongMap<u32, for<'a> fn(&'a u32)>, u32>,
//! ) -> &registries::memo::Memo<StrongMap<u32, fn(&'static u32)>, u32> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::resources::Resources<for<'a> fn(&'a u32), u32>,
//! ) -> &registries::resources::Resources<fn(&'static u32), u32> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::resources::Resources<u32, for<'a> fn(&'a u32)>,
//! ) -> &registries::resources::Resources<u32, fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::resources::Files<for<'a> fn(&'a u32)>,
//! ) -> &registries::resources::Files<fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::signals::Signal<for<'a> fn(&'a u32)>,
//! ) -> &registries::signals::Signal<fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::signals::Signal<u32, for<'a> fn(&'a u32)>,
//! ) -> &registries::signals::Signal<u32, fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::signals::Receiver<for<'a> fn(&'a u32)>,
//! ) -> &registries::signals::Receiver<fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::signals::Receiver<u32, for<'a> fn(&'a u32)>,
//! ) -> &registries::signals::Receiver<u32, fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::tree::Node<for<'a> fn(&'a u32)>,
//! ) -> &registries::tree::Node<fn(&'static u32)> {
//!     it
//! }
//! ```
//! ```compile_fail,E0308
//! # use highlander::*;
//! # use std::sync::Arc;
//! fn narrow(
//!     it: &registries::tree::WeakNode<for<'a> fn(&'a u32)>,
//! ) -> &registries::tree::WeakNode<fn(&'static u32)> {
//!     it
//! }
//! ```
