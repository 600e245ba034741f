//! §3.3-5: what is done in a forked child.

use highlander::registries::after_fork::AfterFork;
use highlander::{Registry, Watched};
use std::sync::{Arc, Mutex};

type Log = Arc<Mutex<Vec<u32>>>;

fn noted(log: &Log) -> Vec<u32> {
    std::mem::take(&mut log.lock().unwrap())
}

/// §3.3: what is registered does not keep the object; the same twice runs twice.
#[test]
fn the_same_twice_runs_twice_and_keeps_nobody() {
    let (after_fork, log) = (AfterFork::new(), Log::default());
    let object = Arc::new(7);
    for _ in 0..2 {
        let log = log.clone();
        after_fork.register(&object, move |number: &Arc<u32>| {
            log.lock().unwrap().push(**number)
        });
    }
    assert_eq!((Arc::strong_count(&object), after_fork.len()), (1, 2));
    assert!(after_fork.run().is_empty());
    assert_eq!(noted(&log), [7, 7]);
    drop(object);
    assert!(after_fork.is_empty() && after_fork.run().is_empty() && noted(&log).is_empty());
}

/// §3.4: in the order of registration; the dead are passed over; a panic does not stop the rest, and is not lost.
#[test]
fn steps_run_in_the_order_of_registration() {
    let (after_fork, log) = (AfterFork::new(), Log::default());
    let objects: Vec<_> = (0..6).map(Watched::new).collect();
    for object in &objects {
        let log = log.clone();
        after_fork.register(object, move |number: &Watched<u32>| {
            log.lock().unwrap().push(**number);
            assert!(**number != 2, "two");
        });
    }
    let kept: Vec<_> = objects
        .into_iter()
        .filter(|number| **number % 4 != 3)
        .collect();
    let panics = after_fork.run();
    assert_eq!(noted(&log), [0, 1, 2, 4, 5]);
    assert_eq!(panics.len(), 1);
    drop(kept);
    assert!(after_fork.run().is_empty());
}

/// §3.5: the registry does not grow from generation to generation.
#[test]
fn what_the_dead_have_registered_is_forgotten() {
    let after_fork = AfterFork::new();
    let registered = Arc::new(());
    for generation in 0..1000 {
        let object = Arc::new(generation);
        let registered = registered.clone();
        after_fork.register(&object, move |_| drop(registered.clone()));
        drop(object);
    }
    assert!(Arc::strong_count(&registered) < 50);
    assert!(after_fork.run().is_empty());
    assert_eq!(
        Arc::strong_count(&registered),
        1,
        "after a run they are all forgotten"
    );
}

/// A step that registers: the new one is not run in this child.
#[test]
fn what_a_step_registers_comes_from_the_child() {
    static AFTER_FORK: AfterFork = AfterFork::new();
    let object = Watched::new(0);
    AFTER_FORK.register(&object, |object: &Watched<u32>| {
        AFTER_FORK.register(object, |_| ());
    });
    assert!(AFTER_FORK.run().is_empty());
    assert_eq!(AFTER_FORK.len(), 2);
}

/// For real: this test runs itself again, alone in a process, which forks.
#[test]
#[cfg(target_os = "linux")]
fn a_child_that_was_forked() {
    let me = std::env::current_exe().unwrap();
    let output = std::process::Command::new(me)
        .args([
            "--exact",
            "after_fork::forks",
            "--ignored",
            "--test-threads=1",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "forks: run by the one above, in a process of its own"]
fn forks() {
    static AFTER_FORK: AfterFork = AfterFork::new();
    static CONNECTIONS: Registry<u32, Mutex<u32>> = Registry::new();
    let connection = CONNECTIONS.get_or_insert_with(1, |_| Mutex::new(std::process::id()));
    let dead = CONNECTIONS.get_or_insert_with(2, |_| Mutex::new(0));
    for object in [&connection, &dead] {
        AFTER_FORK.register(object, |connection| {
            *connection.lock().unwrap() = std::process::id();
        });
    }
    drop(dead);
    let parent = std::process::id();
    // SAFETY: no other thread of this process uses what the child uses: the one that runs tests waits for this one.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let panics = AFTER_FORK.run();
        let ours =
            *connection.lock().unwrap() == std::process::id() && parent != std::process::id();
        // The registry is usable here: look-ups, creation, and the last drop.
        let found = CONNECTIONS
            .get(&1)
            .is_some_and(|found| found.ptr_eq(&connection));
        let made = *CONNECTIONS
            .get_or_insert_with(3, |_| Mutex::new(3))
            .lock()
            .unwrap()
            == 3;
        drop(connection);
        let all = panics.is_empty() && ours && found && made && CONNECTIONS.is_empty();
        // SAFETY: ends the child at once, without what the harness would do.
        unsafe { libc::_exit(if all { 0 } else { 1 }) };
    }
    assert!(child > 0, "no fork");
    let mut status = 0;
    // SAFETY: waits for the child that was made above.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "in the child");
    assert_eq!(
        *connection.lock().unwrap(),
        parent,
        "nothing was done in the parent"
    );
}
