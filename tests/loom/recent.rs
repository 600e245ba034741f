//! The layer that keeps what was used last: its list is under a lock, what is read beside it are hints.

use crate::support::*;
use highlander::{Handle, Recent, RecentErrors};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

type Layer = Recent<Arc<Reg<Counted>>>;

fn layer(capacity: usize) -> Arc<Layer> {
    Arc::new(Recent::new(registry(), capacity))
}

#[test]
fn two_uses_of_one_value_keep_it_once() {
    model_with(2, || {
        let (recent, values) = (layer(2), Tally::default());
        let (owner, _) = recent.map().insert(A, values.value());
        let other = thread::spawn({
            let (recent, owner) = (Arc::clone(&recent), owner.clone());
            move || recent.keep(&owner)
        });
        recent.keep(&owner);
        other.join().unwrap();
        assert_eq!((recent.len(), Handle::strong_count(&owner)), (1, 2));
        drop(owner);
        assert_eq!((values.live(), recent.clear(), values.live()), (1, 1, 0));
    });
}

#[test]
fn use_against_eviction() {
    model_with(2, || {
        let (recent, values) = (layer(1), Tally::default());
        drop(recent.get_or_insert_with(A, |_| values.value()));
        let other = thread::spawn({
            let (recent, values) = (Arc::clone(&recent), values.clone());
            move || {
                recent.get_or_insert_with(B, |_| values.value()).read();
            }
        });
        if let Some(found) = recent.get(&A) {
            found.read();
        }
        other.join().unwrap();
        assert_eq!((recent.len(), values.live()), (1, 1));
        drop(recent);
        assert_eq!(values.live(), 0);
    });
}

#[test]
fn eviction_against_clearing() {
    model_with(2, || {
        let (recent, values) = (layer(1), Tally::default());
        drop(recent.get_or_insert_with(A, |_| values.value()));
        let other = thread::spawn({
            let recent = Arc::clone(&recent);
            move || recent.clear()
        });
        drop(recent.get_or_insert_with(B, |_| values.value()));
        let gone = other.join().unwrap();
        assert_eq!(gone, 1, "one is kept all the while");
        assert_eq!(recent.len(), values.live());
        drop(recent);
        assert_eq!(values.live(), 0);
    });
}

#[test]
fn removing_an_error_against_looking_and_clearing() {
    model_with(2, || {
        let errors = Arc::new(RecentErrors::new(2, Duration::from_secs(3600)));
        let fail = |_: &u32| Err::<(), _>(7);
        assert!(errors.or_try(&1, fail).is_err());
        let other = thread::spawn({
            let errors = Arc::clone(&errors);
            move || errors.remove(&1)
        });
        thread::yield_now();
        let found = errors.get(&1).is_some();
        let cleared = errors.clear();
        let removed = other.join().unwrap();
        assert_eq!(cleared + usize::from(removed), 1);
        assert!(found || removed, "gone before it was cleared");
        assert!(errors.get(&1).is_none());
    });
}
