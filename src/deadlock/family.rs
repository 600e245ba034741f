//! Creations that have ended inside another one, and are published with it.
//!
//! Everything here is one thread's.

use crate::deadlock::work::{GivenUpGroup, Work};
use smallvec::SmallVec;
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// A creation that has ended, and depends on a draft further out. Dropped, it is given up.
pub(crate) trait Pending {
    fn work(&self) -> &Work;
    fn draft(&self) -> Rc<dyn Any>;
    /// Returns its name for the text of an error.
    fn text(&self) -> &str;
    /// Enters the value.
    fn enter(&self);
    /// Gives the entered value to those who wait.
    fn publish(self: Box<Self>);
}

/// A set of frames, by their depth, which begins with 1.
#[derive(Clone, Default)]
pub(in crate::deadlock) struct Needs(SmallVec<[u64; 1]>);

impl Needs {
    fn place(depth: u32) -> (usize, u64) {
        (depth as usize / 64, 1 << (depth % 64))
    }

    pub(in crate::deadlock) fn of(depth: u32) -> Self {
        let (word, bit) = Self::place(depth);
        let mut words = SmallVec::from_elem(0, word + 1);
        words[word] = bit;
        Self(words)
    }

    fn contains(&self, depth: u32) -> bool {
        let (word, bit) = Self::place(depth);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn remove(&mut self, depth: u32) {
        let (word, bit) = Self::place(depth);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

/// Creations that are published together, or given up together.
pub(in crate::deadlock) struct Group {
    members: Vec<Box<dyn Pending>>,
    /// The frames whose drafts they need.
    needs: Needs,
}

/// The creations that have ended inside one frame and are not published yet, and what the frame itself needs.
pub(crate) struct Family {
    depth: u32,
    /// The number of the creation that the frame is a part of, once there are groups.
    owner: Cell<u64>,
    groups: RefCell<Vec<Group>>,
    /// The needs of the frame and its groups, without the frame itself.
    needs: RefCell<Needs>,
    /// All that is given up inside the frame, and with it.
    given_up: OnceCell<Arc<GivenUpGroup>>,
}

impl Family {
    pub(in crate::deadlock) fn new(depth: u32) -> Self {
        Self {
            depth,
            owner: Cell::new(0),
            groups: RefCell::default(),
            needs: RefCell::default(),
            given_up: OnceCell::new(),
        }
    }

    /// Sets whose family it is. Called before something joins it.
    pub(in crate::deadlock) fn set_owner(&self, work: &Work) {
        self.owner.set(work.number());
    }

    /// Returns whether the frame needs nothing, and nothing has ended inside it that is not published.
    pub(crate) fn is_alone(&self) -> bool {
        self.groups.borrow().is_empty() && !self.needs_others()
    }

    pub(crate) fn needs_others(&self) -> bool {
        !self.needs.borrow().is_empty()
    }

    /// Adds needs: the frame, or something inside it, has got what needs these.
    pub(in crate::deadlock) fn need(&self, needs: &Needs) {
        self.needs.borrow_mut().add(needs);
    }

    pub(in crate::deadlock) fn draft(&self, work: &Work) -> Option<(Rc<dyn Any>, Needs)> {
        self.groups.borrow().iter().find_map(|group| {
            let mut members = group.members.iter();
            let found = members.find(|member| std::ptr::eq(member.work(), work))?;
            Some((found.draft(), group.needs.clone()))
        })
    }

    /// Shows all members to `see`, which runs no user code.
    pub(in crate::deadlock) fn for_each(&self, mut see: impl FnMut(&dyn Pending)) {
        let groups = self.groups.borrow();
        groups
            .iter()
            .for_each(|group| group.members.iter().for_each(|member| see(&**member)));
    }

    pub(crate) fn given_up(&self) -> Option<&Arc<GivenUpGroup>> {
        self.given_up.get()
    }

    /// Returns the group to add to. `forget` is called when all of that has ended.
    pub(crate) fn given_up_or_new(&self, forget: fn(&Work)) -> &Arc<GivenUpGroup> {
        self.given_up
            .get_or_init(|| Arc::new(GivenUpGroup::new(forget)))
    }

    pub(in crate::deadlock) fn take(&self) -> Vec<Box<dyn Pending>> {
        all_of(self.groups.take())
    }

    /// Moves all to the outer frame: this one has ended but needs others. What needs this one shares its
    /// fate.
    pub(in crate::deadlock) fn join(&self, outer: &Family, own: Box<dyn Pending>) {
        let mut members = Vec::new();
        for mut group in self.groups.take() {
            if group.needs.contains(self.depth) {
                match members.is_empty() {
                    true => members = group.members,
                    false => members.append(&mut group.members),
                }
            } else {
                outer.groups.borrow_mut().push(group);
            }
        }
        members.push(own);
        let mut needs = self.needs.take();
        needs.remove(self.depth);
        outer.groups.borrow_mut().push(Group { members, needs });
    }

    /// Returns what needs this failed frame, to be given up. Others go to the outer frame. Without one, all
    /// are returned.
    #[must_use]
    pub(in crate::deadlock) fn fail(&self, outer: Option<&Family>) -> Vec<Box<dyn Pending>> {
        let groups = self.groups.take();
        match outer {
            None => all_of(groups),
            Some(outer) => {
                let (lost, rest) = groups
                    .into_iter()
                    .partition(|group| group.needs.contains(self.depth));
                outer.groups.borrow_mut().extend::<Vec<_>>(rest);
                all_of(lost)
            }
        }
    }
}

fn all_of(groups: Vec<Group>) -> Vec<Box<dyn Pending>> {
    let members = groups.into_iter().flat_map(|group| group.members);
    members.collect()
}

/// Members of a family that are given up, or published, one by one: user code may ask for those to come.
pub(crate) struct Unfinished<'a> {
    /// Those to come, the next one last.
    members: RefCell<Vec<Box<dyn Pending>>>,
    /// Its owner comes after them.
    family: &'a Family,
}

impl<'a> Unfinished<'a> {
    pub(in crate::deadlock) fn new(family: &'a Family, mut members: Vec<Box<dyn Pending>>) -> Self {
        members.reverse();
        Self {
            members: RefCell::new(members),
            family,
        }
    }

    pub(in crate::deadlock) fn family(&self) -> &'a Family {
        self.family
    }

    pub(in crate::deadlock) fn next(&self) -> Option<Box<dyn Pending>> {
        self.members.borrow_mut().pop()
    }

    /// Enters those to come, in the order in which they ended. They stay: a caller that asks for one of them
    /// meanwhile asks for what is still to do.
    pub(in crate::deadlock) fn enter(&self, mut enter: impl FnMut(&dyn Pending)) {
        let members = self.members.borrow();
        members.iter().rev().for_each(|member| enter(&**member));
    }

    pub(in crate::deadlock) fn owner(&self) -> u64 {
        self.family.owner.get()
    }

    /// Shows those to come to `see`, which runs no user code.
    pub(in crate::deadlock) fn for_each(&self, see: impl FnMut(&dyn Pending)) {
        let members = self.members.borrow();
        members.iter().map(|member| &**member).for_each(see);
    }

    pub(in crate::deadlock) fn has(&self, work: &Work) -> bool {
        let mut found = work.numbered() == Some(self.owner());
        self.for_each(|member| found |= std::ptr::eq(member.work(), work));
        found
    }
}
