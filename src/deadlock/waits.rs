//! Who waits for whom: how a creation that would wait for itself is found, through several threads, and
//! through any number of maps.
//!
//! ```text
//!  thread 1: creates A ─► asks for B: sleeps ─┐        "A, on thread 1, waits for B" is noted before the thread sleeps;
//!  thread 2: creates B ─► asks for A ◄────────┘        thread 2 follows the notes from A, comes to its own B, and is refused
//! ```
//!
//! Only who is about to wait, and is in the middle of something (see `frames`), takes the one lock there is
//! and adds a note. So a look-up that hits, and one that waits for nothing, never come here. Whoever comes
//! last finds the cycle, since all notes are made under the one lock.
//!
//! A thread's note lasts while it sleeps, so all that the note names goes on meanwhile. A task is polled in
//! the middle of something, and goes on waiting when its thread has gone on. So its note is made anew by each
//! poll, and what it names may end before it: then that is taken out of the note ([`forget`]). Numbers of
//! works are not used again, so a note that is out of date says nothing about anybody else.
//!
//! A destructor may have to wait, on the thread that will run it, until that has done something else: what is
//! at the end of a long chain is put aside. So who waits for a destructor waits for its thread as well, as
//! soon as that is known ([`add_part_edge`]), and who waits on a thread that has destructors to run, or may soon
//! have, names the thread in its note. Before that is known, the destructor of a draft that was given up
//! waits for those who are about to let go of it, and may be in the middle of comparing its key. One that was
//! given up together with others may be owned by any of them, so it waits for all of these, and for who lets
//! go of them.

use crate::deadlock::frames::{self, Asker, Named};
use crate::deadlock::work::Work;
use crate::memory::teardown;
use crate::sync::{global, Mutex, Numbered, Sleeper};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Waker;

global! {
    static GRAPH: Mutex<Graph> = Mutex::new(Graph::new());
}

struct Graph {
    edges: Numbered<WaitEdge>,
    /// Which works each names, and each work's.
    edges_by_work: BTreeSet<(u64, u64)>,
    /// Which works each is a part of. A destructor is one of the thread that runs it, or will, and of what
    /// comes before.
    part_of: BTreeSet<(u64, u64)>,
}

/// That some works wait for another one.
struct WaitEdge {
    /// Innermost first.
    works: Vec<Named>,
    waits_for: u64,
}

/// What leads from what somebody asks for to what he is in the middle of.
pub(crate) struct Cycle {
    /// In words, beginning with what he is in the middle of.
    pub(in crate::deadlock) chain: Vec<String>,
    /// Nobody else waits: he himself keeps from ending what he asks for.
    pub(in crate::deadlock) is_own: bool,
}

/// That somebody waits, until this is dropped.
pub(crate) struct Waiting {
    /// None if nobody can wait for him.
    edge: Option<u64>,
}

/// What will wait with the caller. Finding it runs `Debug` of keys, and wakers, with no lock held, which may
/// ask for the same thing. So a thread does that before it can be its turn to create; a task is never given a
/// turn while it waits.
pub(crate) struct WillWait {
    /// As in [`Waiting`].
    works: Option<Vec<Named>>,
}

impl WillWait {
    pub(crate) fn find(asker: Asker) -> Self {
        if asker == Asker::Thread {
            frames::wake_others();
        }
        let works = frames::is_waited_for().then(|| frames::waiting_works(asker));
        Self { works }
    }

    /// Notes that the caller is about to wait for this work. Refuses if that waits, directly or not, for what
    /// the caller is in the middle of. Runs no user code.
    pub(crate) fn begin(self, waits_for: u64) -> Result<Waiting, Cycle> {
        let edge = self.works.map(|works| add_edge(works, waits_for));
        let edge = edge.transpose()?;
        Ok(Waiting { edge })
    }
}

#[cold]
fn add_edge(works: Vec<Named>, waits_for: u64) -> Result<u64, Cycle> {
    if teardown::is_deepest() {
        teardown::afterwards(forget_this_thread);
    }
    let mut graph = GRAPH.lock();
    if let Some(cycle) = graph.find_cycle(&works, waits_for) {
        drop(graph);
        return Err(cycle);
    }
    let named: Vec<_> = works.iter().map(|named| named.work).collect();
    let number = graph.edges.push(WaitEdge { works, waits_for });
    let named = named.into_iter().map(|work| (work, number));
    graph.edges_by_work.extend(named);
    Ok(number)
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(number) = self.edge {
            let mut graph = GRAPH.lock();
            let edge = graph.edges.remove(number);
            let edge = edge.expect("an edge is there until its owner takes it");
            for named in &edge.works {
                graph.edges_by_work.remove(&(named.work, number));
            }
            drop(graph);
            drop(edge);
        }
    }
}

/// To be called when a work has ended, or its frame has, or somebody else goes on with it: nobody can say any
/// more that it waits.
#[inline]
pub(crate) fn forget(work: &Work) {
    if let Some(number) = work.numbered() {
        forget_number(number);
    }
}

/// As [`forget`], of the calling thread, if it has nothing more to end.
pub(crate) fn forget_this_thread() {
    if frames::take_stale_edge_flag() {
        forget_number(frames::this_thread());
    }
}

/// As [`forget`], of a work or a thread by its number.
#[cold]
fn forget_number(number: u64) {
    let mut graph = GRAPH.lock();
    let graph = &mut *graph;
    remove_all(&mut graph.part_of, number);
    for edge in remove_all(&mut graph.edges_by_work, number) {
        let edge = graph.edges.get_mut(edge).expect("it is there");
        edge.works.retain(|named| named.work != number);
    }
}

/// This work does not end before the other one has, a thread's perhaps. To be called with the lock under
/// which that became known.
#[cold]
pub(crate) fn add_part_edge(work: u64, other: u64) {
    GRAPH.lock().part_of.insert((work, other));
}

/// What belongs to this work.
fn values_of(pairs: &BTreeSet<(u64, u64)>, work: u64) -> impl Iterator<Item = u64> + '_ {
    let those = pairs.range((work, 0)..=(work, u64::MAX));
    those.map(|(_, value)| *value)
}

/// The same, which does not belong to it any more.
fn remove_all(pairs: &mut BTreeSet<(u64, u64)>, work: u64) -> Vec<u64> {
    let those: Vec<_> = values_of(pairs, work).collect();
    for value in &those {
        pairs.remove(&(work, *value));
    }
    those
}

impl Graph {
    const fn new() -> Self {
        Self {
            edges: Numbered::new(),
            edges_by_work: BTreeSet::new(),
            part_of: BTreeSet::new(),
        }
    }

    /// Follows the notes from what is waited for: what leads from there to one of these works.
    fn find_cycle(&self, own: &[Named], waits_for: u64) -> Option<Cycle> {
        let mut reached = vec![Reached {
            work: waits_for,
            from: None,
        }];
        let mut works = BTreeSet::new();
        works.insert((waits_for, 0));
        let mut at = 0;
        while let Some(&Reached { work, .. }) = reached.get(at) {
            if let Some(end) = own.iter().position(|named| named.work == work) {
                return Some(self.cycle_to(own, end, &reached[..=at]));
            }
            let mut reach = |work, edge| {
                if works.insert((work, 0)) {
                    let from = Some((at, edge));
                    reached.push(Reached { work, from });
                }
            };
            for other in values_of(&self.part_of, work) {
                reach(other, None);
            }
            for edge in values_of(&self.edges_by_work, work) {
                reach(self.edge(edge).waits_for, Some(edge));
            }
            at += 1;
        }
        None
    }

    /// The circle that the last of these closes, which is the work `own[end]`.
    fn cycle_to(&self, own: &[Named], end: usize, reached: &[Reached]) -> Cycle {
        let mut by_edges = Vec::new();
        let mut last = reached.last();
        while let Some((at, edge)) = last.and_then(|reached| reached.from) {
            let from = &reached[at];
            by_edges.extend(edge.map(|edge| (from.work, edge)));
            last = Some(from);
        }
        let mut chain = describe_path(own, end);
        for (work, edge) in by_edges.iter().rev() {
            let works = &self.edge(*edge).works;
            let at = works.iter().position(|named| named.work == *work);
            chain.extend(describe_path(works, at.expect("by this it was reached")));
        }
        Cycle {
            chain,
            is_own: by_edges.is_empty(),
        }
    }

    fn edge(&self, number: u64) -> &WaitEdge {
        self.edges.get(number).expect("it is listed by its works")
    }
}

/// A work that must end before what is asked for does.
struct Reached {
    work: u64,
    /// The place of the one before it, and by which note it was reached from there, if not as a part of it.
    from: Option<(usize, Option<u64>)>,
}

/// What a work that is asked for leads to: the frame that is its own or will publish it, and those inside of
/// that.
fn describe_path(works: &[Named], at: usize) -> Vec<String> {
    let pending = works[at..].iter().take_while(|named| !named.runs).take(1);
    let frame = works[at..].iter().position(|named| named.runs);
    let inner = works[..=at + frame.unwrap_or(0)].iter().rev();
    let running = inner.filter(|named| named.runs);
    pending
        .chain(running)
        .map(|named| named.text.clone())
        .collect()
}

/// Wakes those who wait, each whatever the others do. Runs code of executors, so it is called with no lock
/// held. All know of it before that: a waker may ask for what another one of them is creating.
pub(crate) fn notify(sleepers: Vec<Arc<Sleeper>>) {
    if sleepers.is_empty() {
        return;
    }
    let wakers: Vec<Waker> = sleepers
        .iter()
        .filter_map(|sleeper| sleeper.notify())
        .collect();
    // Their wakers are out.
    drop(sleepers);
    frames::wake_each(wakers);
}
