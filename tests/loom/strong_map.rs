//! The map that is strong on both sides: here a look-up owns the entry, and whoever is the last drops the value.

use crate::support::*;
use highlander::StrongMap;
use loom::thread;
use std::sync::Arc;

fn map<V: 'static>() -> Arc<StrongMap<Key, V, PlacedHasher>> {
    Arc::new(StrongMap::with_hasher(PlacedHasher::default()))
}

#[test]
fn look_up_against_removal() {
    model(|| {
        let (map, values) = (map(), Tally::default());
        (&*map).extend([(A, values.value())]);
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || map.with(&A, Counted::read)
        });
        assert_eq!(map.clear(), 1);
        let live = values.live();
        let found = other.join().unwrap();
        assert!(
            live == 0 || found.is_some(),
            "only who looks at it keeps it"
        );
        assert_eq!((map.len(), values.live()), (0, 0));
    });
}

#[test]
fn look_up_against_replacement() {
    model(|| {
        let (map, values) = (map(), Tally::default());
        (&*map).extend([(A, values.value())]);
        let other = thread::spawn({
            let (map, value) = (Arc::clone(&map), values.value());
            move || (&*map).extend([(A, value)])
        });
        let found = map.with(&A, Counted::read);
        assert!(found.is_some(), "one of them is there all the while");
        other.join().unwrap();
        assert_eq!((map.len(), values.live()), (1, 1));
    });
}

#[test]
fn update_against_update() {
    model(|| {
        let map = map::<u32>();
        map.insert(A, 0);
        let add = |map: &StrongMap<Key, u32, PlacedHasher>| {
            map.update(A, |n| n.map(|n| n + 1));
        };
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || add(&map)
        });
        add(&map);
        other.join().unwrap();
        assert_eq!((map.get(&A), map.len()), (Some(2), 1));
    });
}
