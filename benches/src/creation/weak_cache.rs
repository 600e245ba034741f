//! `weak-cache`: a dashmap of `Weak`s and of channels that announce values. It is asynchronous only; here each thread blocks on its future.

use std::convert::Infallible;
use std::sync::Arc;

use weak_cache::WeakCache;

use super::subject::CreationSubject;
use crate::maps::subject::Payload;
use crate::subject::Role;

/// Dead entries stay for ever: nothing takes out a key.
pub struct Weak(WeakCache<String, Payload>);

impl CreationSubject for Weak {
    const NAME: &'static str = "weak-cache";
    const ROLE: Role = Role::Peer;
    const SINGLE: bool = true;
    type Value = Arc<Payload>;

    fn build() -> Self {
        Weak(WeakCache::new())
    }

    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        let create = async {
            work();
            Ok::<_, Infallible>(Payload::default())
        };
        pollster::block_on(self.0.get_or_try_insert_with(key.to_owned(), create))
            .expect("a creation that cannot fail")
    }
}
