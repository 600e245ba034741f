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
