//! The graph of who waits for whom: finds creations that would wait for themselves, through several threads
//! and maps.
//!
//! ```text
//!  thread 1: creates A ─► asks for B: sleeps ─┐     the edge "A waits for B" is added before it sleeps;
//!  thread 2: creates B ─► asks for A ◄────────┘     follows the edges from A to its own B, and is refused
//! ```
//!
//! A thread that is about to wait, in the middle of something (see `frames`), takes the one lock there is and
//! adds an edge. The last one finds the cycle, since all edges are added under that lock. A look-up that
//! hits, and one that waits for nothing, never come here. Numbers of works are not used again, so an edge
//! that is out of date says nothing about anybody else.

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
    /// Pairs of a work and an edge that starts at it.
    edges_by_work: BTreeSet<(u64, u64)>,
    /// Pairs of a work and another one that it is a part of: it does not end before that has gone on.
    part_of: BTreeSet<(u64, u64)>,
}

/// Some works of one thread or task, which wait for another one.
struct WaitEdge {
    /// Innermost first.
    works: Vec<Named>,
    waits_for: u64,
}

/// The path from the requested work back to a work of the caller.
pub(crate) struct Cycle {
    /// In words, beginning with the work of the caller.
    pub(in crate::deadlock) chain: Vec<String>,
    /// Nobody else waits: the caller itself keeps from ending what it asks for.
    pub(in crate::deadlock) is_own: bool,
}

/// A wait, until this is dropped.
pub(crate) struct Waiting {
    /// None if nobody can wait for the caller.
    edge: Option<u64>,
}

/// The works that will wait with the caller. Finding them runs `Debug` of keys, and wakers, with no lock
/// held, which may ask for the same thing. So a thread does that before it can be its turn to create; a task
/// is never given a turn while it waits.
pub(crate) struct WillWait {
    /// None if nobody can wait for the caller.
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

    /// Adds an edge: the caller is about to wait for this work. Refuses if that waits, directly or not, for a
    /// work of the caller. Runs no user code.
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

/// Takes a work out of all edges: it has ended, or its frame has, or somebody else goes on with it.
///
/// A thread's edge lasts while it sleeps, so its works go on meanwhile. A task that waits is polled in the
/// middle of what may end before the wait: each poll makes its edge anew, and it loses what has ended.
#[inline]
pub(crate) fn forget(work: &Work) {
    if let Some(number) = work.numbered() {
        forget_number(number);
    }
}

/// Takes the calling thread out of all edges, if it has nothing more to end.
pub(crate) fn forget_this_thread() {
    if frames::take_stale_edge_flag() {
        forget_number(frames::this_thread());
    }
}

/// Takes a work or a thread out of all edges.
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

/// Adds that this work does not end before the other one has, or before that thread goes on. The list of ends
/// (see `exclusive`) calls this under its lock.
///
/// A thread may run a destructor much later, as ends of long chains are put aside. So a destructor is a part
/// of its thread, once that is known, and a thread that has or may soon have some to run is in its edges.
#[cold]
pub(crate) fn add_part_edge(work: u64, other: u64) {
    GRAPH.lock().part_of.insert((work, other));
}

/// Returns the second values of the pairs of `work`.
fn values_of(pairs: &BTreeSet<(u64, u64)>, work: u64) -> impl Iterator<Item = u64> + '_ {
    let those = pairs.range((work, 0)..=(work, u64::MAX));
    those.map(|(_, value)| *value)
}

/// Removes and returns all values of `work`.
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

    /// Follows the edges from `waits_for` to one of these works.
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
    /// The place of the one before it, and by which edge it was reached from there, if not as a part of it.
    from: Option<(usize, Option<u64>)>,
}

/// Describes the path from a work that is asked for: its own frame, or the one that will publish it, and
/// inner ones.
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

/// Wakes all of these, whatever panics. Runs code of executors, so it is called with no lock held. All are
/// marked before that: a waker may ask for what another one of them is creating.
pub(crate) fn notify(sleepers: Vec<Arc<Sleeper>>) {
    if sleepers.is_empty() {
        return;
    }
    let wakers: Vec<Waker> = sleepers
        .iter()
        .filter_map(|sleeper| sleeper.notify())
        .collect();
    // The wakers have been taken out.
    drop(sleepers);
    frames::wake_each(wakers);
}
