//! Maps that keep their values: no peers, but what many use for "one creator per key". Here whoever lets go of a value takes out its key, too.

use std::convert::Infallible;
use std::sync::Arc;

use foldhash::fast::RandomState;
use once_cell::sync::OnceCell;

use super::subject::CreationSubject;
use crate::maps::subject::Payload;
use crate::subject::Role;

/// A once-cell for each key, in a dashmap.
pub struct DashmapOnceCells(dashmap::DashMap<String, Arc<OnceCell<Arc<Payload>>>, RandomState>);

impl CreationSubject for DashmapOnceCells {
    const NAME: &'static str = "dashmap+once-cells (strong)";
    const ROLE: Role = Role::Show;
    const SINGLE: bool = true;
    type Value = Arc<Payload>;

    fn build() -> Self {
        DashmapOnceCells(dashmap::DashMap::default())
    }

    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        let found = self.0.view(key, |_, cell| Arc::clone(cell));
        // No lock of the map is held while somebody waits for the cell.
        let cell = found.unwrap_or_else(|| Arc::clone(&self.0.entry(key.to_owned()).or_default()));
        let value = cell.get_or_init(|| {
            work();
            Arc::default()
        });
        Arc::clone(value)
    }

    fn take_out(&self, key: &str) {
        self.0.remove(key);
    }
}

pub struct Moka(moka::sync::Cache<String, Arc<Payload>, RandomState>);

impl CreationSubject for Moka {
    const NAME: &'static str = "moka get_with (strong)";
    const ROLE: Role = Role::Show;
    const SINGLE: bool = true;
    type Value = Arc<Payload>;

    fn build() -> Self {
        // Room for all: what is measured is not its policy.
        let builder = moka::sync::Cache::builder().max_capacity(u64::MAX);
        Moka(builder.build_with_hasher(RandomState::default()))
    }

    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        self.0.get_with_by_ref(key, || {
            work();
            Arc::default()
        })
    }

    fn take_out(&self, key: &str) {
        self.0.invalidate(key);
    }
}

/// By its guards, which is what `get_or_insert_with` uses.
pub struct QuickCache(quick_cache::sync::Cache<String, Arc<Payload>>);

/// Entries that it has room for: it must not throw out what a meeting is about.
const ROOM: usize = 1 << 16;

impl CreationSubject for QuickCache {
    const NAME: &'static str = "quick_cache guard (strong)";
    const ROLE: Role = Role::Show;
    const SINGLE: bool = true;
    type Value = Arc<Payload>;

    fn build() -> Self {
        QuickCache(quick_cache::sync::Cache::new(ROOM))
    }

    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        let made = self.0.get_or_insert_with(key, || {
            work();
            Ok::<_, Infallible>(Arc::default())
        });
        match made {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    fn take_out(&self, key: &str) {
        self.0.remove(key);
    }
}
