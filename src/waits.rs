//! Who waits for whom: how a creation that would wait for itself is found, on one thread or through several, and through any number of maps;
//! and who is given what is unfinished instead of waiting for ever.
//!
//! ```text
//!  thread 1: creates A ─► asks for B: sleeps ─┐        "A, on thread 1, waits for B" is noted before the thread sleeps;
//!  thread 2: creates B ─► asks for A ◄────────┘        thread 2 follows the notes from A, comes to its own B, and is refused,
//!                                                      or given A as it is, if A has been allocated: then B is tied to A
//! ```
//!
//! Only who is about to sleep, and is creating something (see `frames`), takes the one lock there is and adds a note; so a look-up that hits, and one
//! that waits for nothing, never come here. A note is in the list while its thread sleeps, so its work cannot end meanwhile, and the number of a work, which is an
//! address, is not used again. Whoever comes last finds the cycle, since all notes are made under the one lock.
//!
//! Whoever was given an unfinished value has a *knot*: what it was given. When it is ready itself, it waits for those, as a sleeper waits for what it
//! has asked for: so this too can close a cycle, and then somebody in it is given what it waits for. When nothing that can be reached from a knot is still being made,
//! all of that is entered; when something is given up, so is all that reaches it.

use crate::cycle::CycleError;
use crate::frames::{self, Part, Work};
use crate::sync::{global, Listener, Mutex};
use crate::tie::{Entering, Fate, Tie};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

global! {
    static WEB: Mutex<Web> = Mutex::new(Web::new());
}

struct Web {
    notes: Vec<Note>,
    /// The next note's, or knot's.
    number: u64,
    knots: BTreeMap<Work, Knot>,
}

/// A sleeper's note.
struct Note {
    number: u64,
    /// What it is in the middle of, innermost first.
    inside: SmallVec<[Part; 2]>,
    /// Of the innermost, if it may be given what is unfinished.
    tie: Option<Arc<Tie>>,
    waits_for: Wanted,
    /// What it is woken for, besides the end of what it waits for.
    news: Option<News>,
}

/// What somebody waits for.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) work: Work,
    /// By which the sleeper is woken, if it can be, and which tells whether there is something to be given.
    pub(crate) tie: Option<Arc<Tie>>,
    /// The sleeper is its creator: to be given it means to leave it to the innermost work.
    pub(crate) is_own: bool,
}

enum News {
    /// It has been given what it waits for, as it is.
    Given,
    Refused(CycleError),
}

/// A creation that was given something unfinished, or is unfinished and was given to another one.
struct Knot {
    /// They are gone through in this order, which does not depend on what happens to lie where.
    number: u64,
    tie: Arc<Tie>,
    /// What it was given.
    got: Vec<Work>,
    /// Who settles it when it is ready, if that is not its own thread's call.
    adopted_by: Option<Work>,
    /// Its name, if it has ended but for what it waits for.
    ready: Option<String>,
    /// One of those whose end it waits for.
    blocked_by: Option<Work>,
}

/// How a wait begins.
pub(crate) enum Began {
    Waiting(Waiting),
    /// The innermost work was given it, as it is.
    Given,
}

/// How it ends.
pub(crate) enum Ended {
    /// Look again.
    Woken,
    /// As in [`Began`].
    Given,
}

/// That this thread is about to sleep, until this is dropped.
pub(crate) struct Waiting {
    note: Option<u64>,
}

impl Waiting {
    /// Notes that the calling thread is about to wait for this; refuses if that waits, directly or not, for what the thread is creating, and none of those who would
    /// wait for each other can be given what it waits for.
    ///
    /// Runs `Debug` of keys, with no lock held.
    pub(crate) fn begin(wanted: &Wanted) -> Result<Began, CycleError> {
        if !frames::is_inside_any() {
            // Nobody can wait for a thread that creates nothing.
            return Ok(Began::Waiting(Self { note: None }));
        }
        Self::begin_inside(wanted)
    }

    #[cold]
    fn begin_inside(wanted: &Wanted) -> Result<Began, CycleError> {
        if give(wanted) {
            return Ok(Began::Given);
        }
        let inside: SmallVec<[Part; 2]> = frames::parts().collect();
        let tie = frames::innermost().and_then(|(_, tie)| tie);
        let mut woken = Vec::new();
        let mut web = WEB.lock();
        let number = web.number;
        web.number += 1;
        web.notes.push(Note {
            number,
            inside,
            tie,
            waits_for: wanted.clone(),
            news: None,
        });
        web.untangle(number, &mut woken);
        let has_news = web.notes[web.position(number)].news.is_some();
        drop(web);
        wake(&woken);
        let waiting = Self { note: Some(number) };
        if !has_news {
            return Ok(Began::Waiting(waiting));
        }
        waiting.end().map(|_| Began::Given)
    }

    /// Waits for this until the listener is notified, or there is news.
    ///
    /// The listener must be there before what the caller has looked at: what comes after that is not missed.
    pub(crate) fn sleep(wanted: &Wanted, listener: Listener) -> Result<Ended, CycleError> {
        match Self::begin(wanted)? {
            Began::Waiting(waiting) => {
                listener.wait();
                waiting.end()
            }
            Began::Given => Ok(Ended::Given),
        }
    }

    /// The sleep is over.
    pub(crate) fn end(mut self) -> Result<Ended, CycleError> {
        match self.erase() {
            None => Ok(Ended::Woken),
            Some(News::Given) => Ok(Ended::Given),
            Some(News::Refused(error)) => Err(error),
        }
    }

    fn erase(&mut self) -> Option<News> {
        let note = WEB.lock().take_note(self.note.take()?);
        note.news
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.erase());
    }
}

/// Gives the innermost work of this thread what it must not wait for, as it would wait for itself: false if that is not so, or if it cannot be given anything.
pub(crate) fn give(wanted: &Wanted) -> bool {
    let Some((innermost, Some(receiver))) = frames::innermost() else {
        return false;
    };
    let Some(tie) = wanted.tie.as_ref().filter(|tie| tie.has_draft()) else {
        return false;
    };
    let Wanted { work, is_own, .. } = *wanted;
    if innermost == work {
        return true;
    }
    let mut web = WEB.lock();
    let blocked_by = web.knots.get(&work).and_then(|knot| knot.blocked_by);
    // The short ways first: of a family that one thread makes, all are found there.
    let must = frames::is_inside(work) || blocked_by.is_some_and(frames::is_inside) || {
        let works: BTreeSet<Work> = frames::works().collect();
        web.way(work, |work| works.contains(&work)).is_some()
    };
    if must {
        web.tie((innermost, &receiver), (work, tie), is_own);
    }
    must
}

/// Says that a creation that is tied has ended but for what it waits for. All that is to be entered, or given up, then, is told so.
pub(crate) fn ready(work: Work, tie: &Arc<Tie>, text: String) {
    let mut woken = Vec::new();
    let mut web = WEB.lock();
    if tie.fate() == Fate::Open {
        let knot = web.knots.get_mut(&work);
        knot.expect("tied, so it has one").ready = Some(text);
        if web.enter_from(work, &mut woken) {
            web.enter_all(&mut woken);
        } else {
            web.untangle_all(work, &mut woken);
        }
    }
    drop(web);
    wake(&woken);
}

/// Says that a creation has been given up. All that depends on it is told so.
pub(crate) fn give_up(work: Work, tie: &Arc<Tie>) {
    end_knot(work, tie, |_| true);
    if !tie.has_draft() {
        // It was given to nobody, so another creator may go on with it.
        tie.set_tied(false);
        tie.set_fate(Fate::Open);
    }
}

/// As `give_up`, unless it has been decided that it is entered: false then.
pub(crate) fn withdraw(work: Work, tie: &Arc<Tie>) -> bool {
    end_knot(work, tie, |fate| fate != Fate::Entered)
}

fn end_knot(work: Work, tie: &Arc<Tie>, may: impl FnOnce(Fate) -> bool) -> bool {
    let mut woken = Vec::new();
    let mut web = WEB.lock();
    if !may(tie.fate()) {
        return false;
    }
    let knot = web.knots.remove(&work);
    web.doom_from(work, &mut woken);
    tie.set_fate(Fate::GivenUp);
    drop(web);
    drop(knot);
    wake(&woken);
    true
}

/// The error for work that is asked for in the middle of itself, on one thread.
#[cold]
pub(crate) fn own_cycle(work: Work) -> CycleError {
    let mut chain: Vec<String> = Vec::new();
    for part in frames::parts() {
        chain.push(part.text);
        if part.work == work {
            break;
        }
    }
    chain.reverse();
    CycleError::of(&chain)
}

fn wake(ties: &[Arc<Tie>]) {
    ties.iter().for_each(|tie| tie.changed.notify_all());
}

/// What a sleeper waits for, as it is, and the work that gets it.
struct Gift {
    to: (Work, Arc<Tie>),
    of: (Work, Arc<Tie>),
}

/// A step from a work to what it waits for.
#[derive(Clone, Copy)]
enum Step {
    /// Its thread sleeps, and this is its note.
    Note(usize),
    /// It is ready, and was given the second, or is settled by it.
    Knot(Work, Work),
}

impl Web {
    const fn new() -> Self {
        Self {
            notes: Vec::new(),
            number: 0,
            knots: BTreeMap::new(),
        }
    }

    fn take_note(&mut self, number: u64) -> Note {
        let at = self.position(number);
        self.notes.swap_remove(at)
    }

    fn position(&self, number: u64) -> usize {
        let at = self.notes.iter().position(|note| note.number == number);
        at.expect("a note is in the list until its sleeper takes it")
    }

    /// Follows what waits for what, from `from` to where it `ends`: the steps, in order, and the end.
    fn way(&self, from: Work, ends: impl Fn(Work) -> bool) -> Option<(Vec<Step>, Work)> {
        let mut come_by: BTreeMap<Work, Option<(Work, Step)>> = BTreeMap::from([(from, None)]);
        let mut open = vec![from];
        while let Some(work) = open.pop() {
            if ends(work) {
                let mut steps = Vec::new();
                let mut at = work;
                while let Some((before, step)) = come_by[&at] {
                    steps.push(step);
                    at = before;
                }
                steps.reverse();
                return Some((steps, work));
            }
            let mut go = |next: Work, step| {
                come_by.entry(next).or_insert_with(|| {
                    open.push(next);
                    Some((work, step))
                });
            };
            for (at, note) in self.notes.iter().enumerate() {
                // Who has news does not wait any more.
                if note.news.is_none() && note.inside.iter().any(|part| part.work == work) {
                    go(note.waits_for.work, Step::Note(at));
                }
            }
            if let Some(knot) = self.knots.get(&work).filter(|knot| knot.ready.is_some()) {
                for next in knot.got.iter().chain(&knot.adopted_by) {
                    go(*next, Step::Knot(work, *next));
                }
            }
        }
        None
    }

    /// Sees to it that this sleeper does not wait for itself: as long as it does, somebody who waits in the cycle is given what it waits for, or refused.
    fn untangle(&mut self, number: u64, woken: &mut Vec<Arc<Tie>>) {
        loop {
            let at = self.position(number);
            let note = &self.notes[at];
            let inside = |work| note.inside.iter().any(|part| part.work == work);
            let cycle = match note.news {
                None => self.way(note.waits_for.work, inside),
                Some(_) => None,
            };
            let Some((steps, end)) = cycle else { return };
            let sleepers = steps.iter().filter_map(|step| match step {
                Step::Note(at) => Some(*at),
                Step::Knot(..) => None,
            });
            let sleepers: SmallVec<[usize; 4]> = std::iter::once(at).chain(sleepers).collect();
            let gift = sleepers.iter().find_map(|at| Some((*at, self.gift(*at)?)));
            let news_for = match gift {
                Some((sleeper, Gift { to, of })) => {
                    self.tie(
                        (to.0, &to.1),
                        (of.0, &of.1),
                        self.notes[sleeper].waits_for.is_own,
                    );
                    self.notes[sleeper].news = Some(News::Given);
                    sleeper
                }
                None => {
                    // The one who asks last is refused; if it cannot be woken, another one.
                    let can_be_woken = |at: &&usize| self.notes[**at].waits_for.tie.is_some();
                    let refused = sleepers.iter().find(can_be_woken).copied().unwrap_or(at);
                    let error = CycleError::of(&self.chain(at, &steps, end));
                    self.notes[refused].news = Some(News::Refused(error));
                    refused
                }
            };
            woken.extend(self.notes[news_for].waits_for.tie.clone());
        }
    }

    /// What this sleeper could be given, and to which work: none if it can be given nothing, or there is nothing to be given.
    fn gift(&self, at: usize) -> Option<Gift> {
        let note = &self.notes[at];
        let given = note.waits_for.tie.clone().filter(|tie| tie.has_draft())?;
        Some(Gift {
            to: (note.inside[0].work, note.tie.clone()?),
            of: (note.waits_for.work, given),
        })
    }

    /// What a cycle leads through: this sleeper's own part of it comes first.
    fn chain(&self, own: usize, steps: &[Step], end: Work) -> Vec<String> {
        // A sleeper asks for something inside of what it was asked for, so its chain begins with that.
        let within = |note: &Note, work: Work| -> Vec<String> {
            let at = note.inside.iter().position(|part| part.work == work);
            let inner = note.inside.iter().take(at.map_or(0, |at| at + 1));
            let mut texts: Vec<String> = inner.map(|part| part.text.clone()).collect();
            texts.reverse();
            texts
        };
        let mut chain = within(&self.notes[own], end);
        let mut work = self.notes[own].waits_for.work;
        for step in steps {
            match *step {
                Step::Note(at) => {
                    chain.extend(within(&self.notes[at], work));
                    work = self.notes[at].waits_for.work;
                }
                Step::Knot(of, got) => {
                    chain.extend(self.knots[&of].ready.clone());
                    work = got;
                }
            }
        }
        chain
    }

    /// As `untangle`, for all who wait, when this work has just become ready.
    fn untangle_all(&mut self, work: Work, woken: &mut Vec<Arc<Tie>>) {
        // Only if something waits for it can a cycle lead through it.
        let waits = |note: &Note| note.waits_for.work == work;
        let got = |knot: &Knot| knot.ready.is_some() && knot.got.contains(&work);
        if self.notes.iter().any(waits) || self.knots.values().any(got) {
            let numbers: Vec<u64> = self.notes.iter().map(|note| note.number).collect();
            for number in numbers {
                self.untangle(number, woken);
            }
        }
    }

    /// `receiver` has been given `given`, and is to settle it, if it is `adopted`.
    fn tie(&mut self, receiver: (Work, &Arc<Tie>), given: (Work, &Arc<Tie>), adopted: bool) {
        if receiver.0 == given.0 || given.1.fate() == Fate::Entered {
            return;
        }
        for (work, tie) in [receiver, given] {
            tie.set_tied(true);
            let number = self.number;
            self.knots.entry(work).or_insert_with(|| Knot {
                number,
                tie: Arc::clone(tie),
                got: Vec::new(),
                adopted_by: None,
                ready: None,
                blocked_by: None,
            });
            self.number += 1;
        }
        let knot = self.knots.get_mut(&receiver.0).expect("entered above");
        if !knot.got.contains(&given.0) {
            knot.got.push(given.0);
        }
        if adopted {
            given.1.set_adopted();
            let knot = self.knots.get_mut(&given.0).expect("entered above");
            knot.adopted_by = Some(receiver.0);
        }
        if given.1.fate() == Fate::GivenUp {
            receiver.1.set_fate(Fate::GivenUp);
        }
    }

    /// All that is reached from a work that is ready; or none, if something there is still being made.
    fn all_ready(&mut self, from: Work) -> Option<Vec<Work>> {
        let mut seen = BTreeSet::from([from]);
        let mut all = vec![from];
        let mut next = 0;
        while let Some(work) = all.get(next).copied() {
            next += 1;
            // What has been entered by now has none.
            let Some(knot) = self.knots.get(&work) else {
                continue;
            };
            let is_made = |work: &Work| self.knots.get(work).is_some_and(Knot::is_made);
            let blocker = if knot.is_made() {
                Some(work)
            } else {
                knot.blocked_by.filter(is_made)
            };
            if blocker.is_some() {
                if let Some(knot) = self.knots.get_mut(&from) {
                    knot.blocked_by = blocker;
                }
                return None;
            }
            all.extend(knot.got.iter().filter(|work| seen.insert(**work)));
        }
        Some(all)
    }

    /// Has a work that is ready entered, with all that it depends on, if that is ready too.
    fn enter_from(&mut self, work: Work, woken: &mut Vec<Arc<Tie>>) -> bool {
        let Some(all) = self.all_ready(work) else {
            return false;
        };
        let knots = all.iter().filter_map(|work| self.knots.remove(work));
        let ties: Vec<Arc<Tie>> = knots.map(|knot| knot.tie).collect();
        let on_their_own = ties.iter().filter(|tie| !tie.is_adopted());
        let family = Entering::new(on_their_own.count());
        for tie in &ties {
            // SAFETY: whoever ends a flight that is tied takes its knot out first, under this lock.
            unsafe { tie.finish() };
            match tie.is_adopted() {
                true => tie.set_fate(Fate::Entered),
                false => tie.set_entering(&family),
            }
        }
        woken.extend(ties);
        true
    }

    /// As `enter_from`, for all, when something has just been entered.
    fn enter_all(&mut self, woken: &mut Vec<Arc<Tie>>) {
        for work in self.which(|knot| !knot.is_made()) {
            if self.knots.contains_key(&work) {
                self.enter_from(work, woken);
            }
        }
    }

    /// Lets all that depends on this work know that it has been given up.
    fn doom_from(&mut self, work: Work, woken: &mut Vec<Arc<Tie>>) {
        let mut open = vec![work];
        while let Some(work) = open.pop() {
            let got = |knot: &Knot| knot.got.contains(&work) && knot.tie.fate() != Fate::GivenUp;
            for dependent in self.which(got) {
                let tie = &self.knots[&dependent].tie;
                tie.set_fate(Fate::GivenUp);
                woken.push(Arc::clone(tie));
                open.push(dependent);
            }
        }
    }

    /// The works with such knots, in the order in which these came.
    fn which(&self, wanted: impl Fn(&Knot) -> bool) -> Vec<Work> {
        let found = self.knots.iter().filter(|(_, knot)| wanted(knot));
        let mut found: Vec<(u64, Work)> = found.map(|(work, knot)| (knot.number, *work)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, work)| work).collect()
    }
}

impl Knot {
    /// Whether it is still being made, or will never be entered.
    fn is_made(&self) -> bool {
        self.ready.is_none() || self.tie.fate() == Fate::GivenUp
    }
}
