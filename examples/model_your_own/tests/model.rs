//! Models of the cache: each is one race, under every interleaving that loom finds within a bound.

#[cfg(all(highlander_loom, not(feature = "loom")))]
compile_error!("a model needs the feature too: add `--features loom`");
#[cfg(all(feature = "loom", not(highlander_loom)))]
compile_error!("a model needs the cfg too: set `RUSTFLAGS=\"--cfg highlander_loom\"`");

#[cfg(all(highlander_loom, feature = "loom"))]
mod models {
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::Arc;
    use loom::thread;
    use model_your_own::Cache;

    // Not a `static`: its constructor is not `const` here. loom makes a new one for each interleaving.
    loom::lazy_static! {
        static ref SHARED: Cache<&'static str, u32> = Cache::new();
    }

    /// Runs `f` under every interleaving with up to `LOOM_MAX_PREEMPTIONS` (2) forced switches.
    fn model(f: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound.get_or_insert(2);
        builder.max_branches = 20_000;
        builder.check(f);
    }

    #[test]
    fn a_reading_under_way_against_a_change_of_the_source() {
        model(|| {
            let source = Arc::new(AtomicUsize::new(0));
            let cache = Arc::new(Cache::new());
            let load = {
                let (source, cache) = (Arc::clone(&source), Arc::clone(&cache));
                move || cache.load("key", |_| source.load(Ordering::Acquire))
            };

            let other = thread::spawn(load.clone());
            source.store(1, Ordering::Release);
            cache.source_has_changed();
            assert_eq!(load().value, 1, "an old reading passes for a new one");
            other.join().unwrap();
        });
    }

    #[test]
    fn two_who_load_read_once() {
        model(|| {
            let other = thread::spawn(|| SHARED.load("key", |_| 1));
            let mine = SHARED.load("key", |_| 2);
            assert!(highlander::Handle::ptr_eq(&mine, &other.join().unwrap()));
        });
    }
}
