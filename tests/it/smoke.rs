use highlander::*;

#[test]
fn churn() {
    let reg: Interner<str> = Interner::new();
    let mut held = Vec::new();
    for i in 0..200_000 {
        held.push(reg.intern(&format!("k{i}")));
    }
    assert_eq!(reg.len(), 200_000);
    for i in 0..200_000 {
        assert_eq!(reg.get(&*format!("k{i}")).as_ref(), Some(&held[i]));
    }
    assert_eq!(reg.iter().count(), 200_000);
    held.truncate(1000);
    assert_eq!(reg.len(), 1000);
    reg.shrink_to_fit();
    assert_eq!(reg.iter().count(), 1000);
    assert!(reg.capacity() < 2000);
    drop(held);
    assert_eq!(reg.len(), 0);
}

#[test]
fn threads() {
    let reg: Interner<str> = Interner::new();
    std::thread::scope(|s| {
        for t in 0..4 {
            let reg = &reg;
            s.spawn(move || {
                let mut x = t as u64 + 1;
                for _ in 0..300_000 {
                    x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
                    let a = reg.intern(&format!("{}", (x >> 40) % 500));
                    let b = reg.get(&*a).unwrap();
                    assert_eq!(a, b);
                }
            });
        }
    });
    assert_eq!(reg.len(), 0);
}

struct List(#[allow(dead_code)] Option<Handle<u32, List>>);

#[test]
fn deep() {
    let reg: Registry<u32, List> = Registry::new();
    let mut last = None;
    for i in 0..100_000 {
        last = Some(reg.get_or_insert_with(i, |_| List(last.take())));
    }
    assert_eq!(reg.len(), 100_000);
    drop(last);
    assert_eq!(reg.len(), 0);
    let h = reg.get_or_insert_with(1, |_| List(None));
    drop(reg);
    drop(h);
}

#[test]
fn flights() {
    let reg: Registry<u32, u32> = Registry::new();
    let made = std::sync::atomic::AtomicU32::new(0);
    let b = std::sync::Barrier::new(8);
    let all: Vec<_> = std::thread::scope(|s| {
        let hs: Vec<_> = (0..8)
            .map(|_| {
                s.spawn(|| {
                    b.wait();
                    reg.get_or_insert_with(5, |_| {
                        made.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                    })
                })
            })
            .collect();
        hs.into_iter().map(|h| h.join().unwrap()).collect()
    });
    assert!(all.iter().all(|h| h.ptr_eq(&all[0])));
    assert_eq!(made.into_inner(), 1);
    assert_eq!(reg.len(), 1);
    let w = Handle::downgrade(&all[0]);
    assert!(w.is_alive());
    drop(all);
    assert!(w.upgrade().is_none());
    assert_eq!(reg.len(), 0);
}
