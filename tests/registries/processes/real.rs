//! Real children, on Unix.
#![cfg(unix)]

use crate::common::promptly;
use highlander::registries::processes::{ProcessHandle, Processes};
use highlander::Handle;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
#[cfg(target_os = "linux")]
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

/// One that ends when its input does.
fn cat(children: &Processes) -> ProcessHandle {
    children
        .spawn(
            Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )
        .unwrap()
}

fn shell(children: &Processes, script: &str) -> ProcessHandle {
    children
        .spawn(Command::new("sh").args(["-c", script]).stdin(Stdio::null()))
        .unwrap()
}

/// One that has ended, which nobody has been told.
#[cfg(target_os = "linux")]
fn zombie(children: &Processes) -> ProcessHandle {
    let mut command = Command::new("sh");
    command.args(["-c", "read line; exit 7"]);
    let child = children.spawn(command.stdin(Stdio::piped())).unwrap();
    drop(child.take_stdin()); // not before it is known
    while state(child.id()) != Some('Z') {
        thread::yield_now();
    }
    child
}

/// Held shared by those who look at ids that may be free, and alone by the one who makes the system give the same again.
#[cfg(target_os = "linux")]
static NUMBERS: RwLock<()> = RwLock::new(());

#[cfg(target_os = "linux")]
fn numbers() -> RwLockReadGuard<'static, ()> {
    NUMBERS.read().unwrap_or_else(PoisonError::into_inner)
}

/// What the system says of a process; None if it does not know it.
#[cfg(target_os = "linux")]
fn state(id: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    after.trim_start().chars().next()
}

fn ids(processes: &[ProcessHandle]) -> Vec<u32> {
    processes.iter().map(|process| process.id()).collect()
}

/// What [`terminate`](highlander::registries::processes::Process::terminate) sends.
const TERMINATED: i32 = if cfg!(feature = "rustix") { 15 } else { 9 };

/// BEHAVIOURS.md 3.1
#[test]
fn starting_adds_and_joining_discards() {
    promptly(|| {
        let children = Processes::new();
        assert!(children.active().is_empty());
        let cats = [cat(&children), cat(&children), cat(&children)];
        let active = children.active();
        assert_eq!(ids(&active), ids(&cats));
        assert!(active
            .iter()
            .zip(&cats)
            .all(|(one, two)| Handle::ptr_eq(one, two)));

        assert!(cats[1].join().unwrap().success()); // closes its input
        assert_eq!(ids(&children.active()), [cats[0].id(), cats[2].id()]);
        assert_eq!(active.len(), 3, "a copy");
        assert!(children.get(cats[1].id()).is_none());
        assert!(Handle::ptr_eq(
            &children.get(cats[0].id()).unwrap(),
            &cats[0]
        ));
        children.join_all();
        assert!(children.active().is_empty());
    });
}

/// BEHAVIOURS.md 3.1
#[test]
#[cfg(target_os = "linux")]
fn every_call_that_meets_an_end_discards_it() {
    type Meets = fn(&Processes, &ProcessHandle);
    let calls: [Meets; 10] = [
        |children, _| assert!(children.active().is_empty()),
        |children, _| assert_eq!(children.reap(), 1),
        |children, child| assert!(children.get(child.id()).is_none()),
        |_, child| assert_eq!(child.status().unwrap().code(), Some(7)),
        |_, child| assert!(!child.is_alive()),
        |_, child| assert_eq!(child.join().unwrap().code(), Some(7)),
        |_, child| assert!(child.join_timeout(Duration::ZERO).unwrap().is_some()),
        |_, child| assert!(!child.terminate().unwrap()),
        |_, child| assert!(!child.kill().unwrap()),
        |children, _| {
            let other = shell(children, "exit 0");
            assert!(other.join().unwrap().success());
        },
    ];
    promptly(move || {
        let _numbers = numbers();
        for (number, call) in calls.into_iter().enumerate() {
            let children = Processes::new();
            let child = zombie(&children);
            call(&children, &child);
            assert_eq!(state(child.id()), None, "call {number} leaves a zombie");
            assert!(format!("{child:?}").contains("status"), "call {number}");
            assert!(children.get(child.id()).is_none(), "call {number}");
            assert_eq!(children.reap(), 0, "call {number}");
            // Known for ever to those who hold it.
            assert_eq!(child.status().unwrap().code(), Some(7));
            assert_eq!(child.join().unwrap().code(), Some(7));
        }
    });
}

/// BEHAVIOURS.md 3.2
#[test]
fn dangling_are_those_whose_handle_is_held() {
    promptly(|| {
        let children = Processes::new();
        let (ended, running, forgotten) = (cat(&children), cat(&children), cat(&children));
        let input = forgotten.take_stdin();
        ended.join().unwrap();
        assert_eq!(
            ids(&children.dangling()),
            ids(&[ended.clone(), running.clone(), forgotten.clone()])
        );
        drop(forgotten);
        assert_eq!(ids(&children.dangling()), [ended.id(), running.id()]);
        assert_eq!(children.active().len(), 2, "it runs all the same");
        drop(ended);
        assert_eq!(ids(&children.dangling()), [running.id()]);
        drop((input, running));
        assert!(children.dangling().is_empty());
        children.join_all();
    });
}

#[test]
fn a_handle_is_weak_and_made_anew() {
    promptly(|| {
        let children = Processes::new();
        let child = cat(&children);
        let (id, input) = (child.id(), child.take_stdin());
        let weak = Handle::downgrade(&child);
        drop(child);
        assert!(weak.upgrade().is_none(), "the registry keeps no handle");
        let again = children.get(id).unwrap();
        assert!(Handle::ptr_eq(&again, &children.active()[0]));
        assert!(again.take_stdin().is_none() && again.take_stdout().is_none());
        assert!(again.is_alive());
        drop(input);
        assert!(again.join().unwrap().success());
        assert!(children.get(id).is_none());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn nobody_stays_a_zombie_because_nobody_holds_it() {
    promptly(|| {
        let _numbers = numbers();
        let children = Processes::new();
        let id = cat(&children).id(); // its input is closed, so it ends
        let mut reaped = 0;
        while state(id).is_some() {
            reaped += children.reap();
        }
        assert_eq!(reaped, 1);
        assert!(children.get(id).is_none());
    });
}

#[test]
fn killed_on_drop_if_asked() {
    promptly(|| {
        let children = Processes::new();
        let child = cat(&children);
        let (mut input, mut output) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
        child.kill_on_drop(true);
        let same = child.clone();
        drop(child);
        input.write_all(b"there").unwrap();
        output.read_exact(&mut [0; 5]).unwrap(); // it runs
        drop(same);
        assert_eq!(output.read(&mut [0; 5]).unwrap(), 0); // it does not
        children.join_all();
        assert!(input.write_all(b"there").is_err());
    });
}

#[test]
fn one_is_ended_while_others_wait_for_it() {
    promptly(|| {
        let children = Processes::new();
        let child = cat(&children);
        let input = child.take_stdin();
        assert_eq!(child.join_timeout(Duration::from_millis(5)).unwrap(), None);
        let joined = thread::scope(|scope| {
            let join = || scope.spawn(|| child.join().unwrap());
            let threads: Vec<_> = (0..4).map(|_| join()).collect();
            assert!(child.terminate().unwrap());
            let statuses = threads.into_iter().map(|thread| thread.join().unwrap());
            statuses.collect::<Vec<_>>()
        });
        assert!(joined.iter().all(|end| end.signal() == Some(TERMINATED)));
        assert!(!child.terminate().unwrap() && !child.kill().unwrap());
        drop(input);
    });
}

#[test]
fn all_are_ended_and_joined_with_those_whom_nobody_holds() {
    promptly(|| {
        let children = Processes::new();
        let (held, forgotten, ended) = (cat(&children), cat(&children), cat(&children));
        let inputs = [held.take_stdin(), forgotten.take_stdin()];
        ended.join().unwrap();
        drop(forgotten);
        assert_eq!(children.terminate_all().unwrap(), 2);
        let joined = children.join_all();
        // One or both may have been seen to end before.
        assert!(joined.len() <= 2 && children.active().is_empty());
        assert_eq!(held.status().unwrap().signal(), Some(TERMINATED));
        assert_eq!(ended.status().unwrap().code(), Some(0));

        let unheld = shell(&children, "exit 0");
        drop(unheld);
        assert!(children.kill_all().unwrap() <= 1);
        children.join_all();
        assert_eq!(children.terminate_all().unwrap(), 0);
        drop(inputs);
    });
}

/// One waits for what another one, which was made later, does when its input ends.
#[test]
fn all_inputs_are_closed_before_anybody_is_joined() {
    promptly(|| {
        let children = Processes::new();
        let name = format!("highlander-{}-fifo", std::process::id());
        let fifo = std::env::temp_dir().join(name);
        assert!(Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success());
        let reads = shell(&children, &format!("cat < '{}'", fifo.display()));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("cat; echo > '{}'", fifo.display())]);
        let writes = children
            .spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()))
            .unwrap();
        assert_eq!(ids(&children.join_all()), [reads.id(), writes.id()]);
        std::fs::remove_file(fifo).unwrap();
    });
}

#[test]
#[cfg(feature = "rustix")]
fn who_does_not_listen_is_killed() {
    promptly(|| {
        let children = Processes::new();
        let child = children
            .spawn(
                Command::new("sh")
                    .args([
                        "-c",
                        "trap 'echo no' TERM; echo ready; while :; do read line; done",
                    ])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped()),
            )
            .unwrap();
        let (input, mut output) = (child.take_stdin(), child.take_stdout().unwrap());
        let mut text = [0; 6];
        output.read_exact(&mut text).unwrap();
        assert_eq!(children.terminate_all().unwrap(), 1);
        output.read_exact(&mut text[..3]).unwrap();
        assert_eq!(&text[..3], b"no\n");
        assert!(child.is_alive());
        assert_eq!(children.kill_all().unwrap(), 1);
        assert_eq!(child.join().unwrap().signal(), Some(9));
        drop(input);
    });
}

#[test]
fn what_cannot_be_started_leaves_nothing() {
    let children = Processes::new();
    let error = children.spawn(&mut Command::new("/no/such/program"));
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert!(children.active().is_empty() && children.dangling().is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn a_registry_that_goes_leaves_its_children_to_others() {
    promptly(|| {
        let _numbers = numbers();
        let (children, others) = (Processes::new(), Processes::new());
        let (held, forgotten) = (cat(&children), cat(&children));
        let id = forgotten.id();
        let input = forgotten.take_stdin();
        drop((children, forgotten));
        assert!(held.is_alive());
        assert!(held.join().unwrap().success());
        others.reap();
        assert!(state(id).is_some());
        drop(input);
        while state(id).is_some() {
            others.reap();
        }
    });
}

/// A number that the system has given to another process.
#[test]
#[cfg(target_os = "linux")]
fn a_reused_id_is_another_process() {
    // Whose last number this is: the next process gets the next one.
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    promptly(|| {
        let _alone = NUMBERS.write().unwrap_or_else(PoisonError::into_inner);
        let children = Processes::new();
        for _ in 0..1000 {
            let old = shell(&children, "exit 7");
            old.join().unwrap();
            if std::fs::write(LAST, (old.id() - 1).to_string()).is_err() {
                eprintln!("not allowed to choose ids: only the invented system reuses them");
                return;
            }
            let new = cat(&children);
            if new.id() != old.id() {
                new.join().unwrap(); // another test was faster
                continue;
            }
            assert!(!Handle::ptr_eq(&new, &old));
            assert!(Handle::ptr_eq(&children.get(old.id()).unwrap(), &new));
            assert!(!old.is_alive() && !old.kill().unwrap() && !old.terminate().unwrap());
            assert_eq!(old.status().unwrap().code(), Some(7));
            assert_eq!(children.active().len(), 1);
            assert_eq!(children.dangling().len(), 2);
            drop(old);
            assert!(Handle::ptr_eq(&children.get(new.id()).unwrap(), &new));
            assert!(new.join().unwrap().success(), "nobody has killed it");
            return;
        }
        panic!("the system gives no number again");
    });
}

/// The promise has a condition: that nobody else waits for our children. Then they are lost, and nothing worse.
#[test]
#[cfg(target_os = "linux")]
fn a_child_that_somebody_else_has_waited_for_is_lost() {
    type Meets = fn(&Processes, &ProcessHandle);
    let calls: [Meets; 8] = [
        |_, child| {
            let error = child.join().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        },
        |_, child| {
            let error = child.join_timeout(Duration::from_secs(9)).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        },
        |children, _| assert!(children.active().is_empty()),
        |children, child| assert!(children.get(child.id()).is_none()),
        |_, child| assert!(!child.kill().unwrap()),
        |_, child| assert!(!child.terminate().unwrap()),
        |_, child| assert!(!child.is_alive()),
        |children, _| assert!(children.join_all().is_empty()),
    ];
    promptly(move || {
        let _numbers = numbers();
        for call in calls {
            let children = Processes::new();
            let child = zombie(&children);
            let id = i32::try_from(child.id()).unwrap();
            // SAFETY: asks for no status to be written.
            let waited = unsafe { libc::waitpid(id, std::ptr::null_mut(), 0) };
            assert_eq!(waited, id);
            call(&children, &child);
            assert!(children.active().is_empty());
            assert_eq!(child.status(), None);
            assert!(!child.is_alive() && !child.kill().unwrap());
            let error = child.join().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
            assert!(format!("{child:?}").contains("lost"));
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn many_threads_start_and_join() {
    static CHILDREN: Processes = Processes::new();
    promptly(|| {
        let _numbers = numbers();
        let started: Vec<Vec<u32>> = thread::scope(|scope| {
            let work = || {
                scope.spawn(|| {
                    let mut started = Vec::new();
                    for round in 0..20 {
                        let child = shell(&CHILDREN, &format!("exit {round}"));
                        started.push(child.id());
                        match round % 4 {
                            0 => drop(child),
                            1 => drop(CHILDREN.active()),
                            2 => assert!(child.kill().is_ok()),
                            _ => assert_eq!(child.join().unwrap().code(), Some(round)),
                        }
                    }
                    started
                })
            };
            let threads: Vec<_> = (0..4).map(|_| work()).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        CHILDREN.join_all();
        assert!(CHILDREN.active().is_empty() && CHILDREN.dangling().is_empty());
        // None is a zombie of ours, though other processes may have the numbers by now.
        assert!(started.concat().iter().all(|id| state(*id) != Some('Z')));
    });
}
