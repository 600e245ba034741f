//! The entering of values.

use crate::memory::grace::reading;
use crate::memory::node::NodePtr;
use crate::memory::panics::Panics;
use crate::table::index::{Compared, Link, Place, FEW};
use crate::table::node_ref::{NodeRef, UnlinkedNode};
use crate::table::payload::Payload;
use crate::table::shared::Shared;
use crate::table::Table;
use smallvec::SmallVec;

impl<B: Payload> Table<B> {
    /// Enters a value, unless a live one with an equal key is there, or the table is sealed: then the value
    /// comes back. It was counted as an entry when its node was allocated.
    #[inline]
    pub(crate) fn insert(
        &self,
        new: UnlinkedNode<B>,
        hash: u64,
        same: impl Fn(&B::Key, &B::Key) -> bool,
    ) -> Result<NodeRef<B>, Rejected<B>> {
        let Entered {
            entering,
            strangers,
        } = self.enter(new.node(), hash, |other| same(new.key(), other));
        let existing = match entering {
            Entering::Linked => None,
            Entering::Occupied(existing) => Some(Some(existing)),
            Entering::Sealed => Some(None),
        };
        let result = match existing {
            // SAFETY: linked, and its count is ours.
            None => Ok(unsafe { new.entered() }),
            Some(existing) => Err(Rejected {
                existing,
                rejected: new,
            }),
        };
        drop(strangers);
        result
    }

    /// Links a complete node of this table, unless a live value's key `is_it`. One of its counts is then the
    /// caller's.
    #[inline]
    pub(crate) fn enter(
        &self,
        node: NodePtr,
        hash: u64,
        is_it: impl Fn(&B::Key) -> bool,
    ) -> Entered<B> {
        let shared = self.shared_or_new();
        // Before linking: nothing may go wrong between that and the caller's taking over of its count. And
        // outside of the guard, which would hold back what is retired.
        if shared.graveyard.is_occupied() {
            shared.graveyard.collect();
        }
        let (index, graveyard) = (&shared.index, &shared.graveyard);
        let live = || shared.pool.live();
        let link = reading(|guard| index.link(node, hash, live, graveyard, guard));
        match Entering::of(link) {
            Some(entering) => Entered {
                entering,
                strangers: Vec::new(),
            },
            None => Self::enter_beside(shared, node, &is_it),
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_beside(
        shared: &Shared<B>,
        node: NodePtr,
        is_it: &dyn Fn(&B::Key) -> bool,
    ) -> Entered<B> {
        let mut compared = Compared {
            place: Place::START,
            in_slots: Vec::new(),
        };
        let mut strangers: Vec<NodeRef<B>> = Vec::new();
        loop {
            let (mut slotted, mut listed) = (Few::new(), Few::new());
            let mut see = |node, in_slot| {
                // SAFETY: as in `find_of`.
                let node = unsafe { NodeRef::adopt(node) };
                if in_slot {
                    slotted.push(node);
                } else {
                    listed.push(node);
                }
            };
            let (index, graveyard) = (&shared.index, &shared.graveyard);
            let live = || shared.pool.live();
            let compared = &mut compared;
            let link = reading(|guard| {
                index.link_beside(node, compared, &mut see, &live, graveyard, guard)
            });
            if let Some(entering) = Entering::of(link) {
                return Entered {
                    entering,
                    strangers,
                };
            }
            while let Some(node) = slotted.pop() {
                if is_it(node.key()) {
                    return Self::occupied(node, strangers, [slotted, listed]);
                }
                compared.in_slots.push(node.node());
                strangers.push(node);
            }
            while let Some(node) = listed.pop() {
                if is_it(node.key()) {
                    return Self::occupied(node, strangers, [slotted, listed]);
                }
                // Some are kept for the caller, which takes out dead ones.
                if strangers.len() < MANY_STRANGERS {
                    strangers.push(node);
                }
            }
        }
    }

    fn occupied(
        existing: NodeRef<B>,
        mut strangers: Vec<NodeRef<B>>,
        few: [Few<B>; 2],
    ) -> Entered<B> {
        few.into_iter().for_each(|few| few.move_to(&mut strangers));
        let entering = Entering::Occupied(existing);
        Entered {
            entering,
            strangers,
        }
    }
}

/// From this number on there may be more strangers than an insertion has kept.
pub(crate) const MANY_STRANGERS: usize = 2 * FEW;

/// The outcome for a node that was to be entered.
pub(crate) enum Entering<B: Payload> {
    Linked,
    /// There is a value already.
    Occupied(NodeRef<B>),
    /// Nothing is entered any more.
    Sealed,
}

impl<B: Payload> Entering<B> {
    /// Returns the outcome, or none if there are rivals to be compared.
    #[inline]
    fn of(link: Link) -> Option<Self> {
        match link {
            Link::Linked => Some(Self::Linked),
            Link::Sealed => Some(Self::Sealed),
            Link::Rivals => None,
        }
    }
}

/// The outcome, and the nodes that have been compared.
pub(crate) struct Entered<B: Payload> {
    pub(crate) entering: Entering<B>,
    /// Values with the same hash and other keys, all of them or [`MANY_STRANGERS`] at least. Dropped when the
    /// caller has taken over its own: the destructor of one of them may panic.
    pub(crate) strangers: Vec<NodeRef<B>>,
}

/// A value that could not be entered, and the one that is there; none if the table is sealed.
pub(crate) struct Rejected<B: Payload> {
    pub(crate) existing: Option<NodeRef<B>>,
    pub(crate) rejected: UnlinkedNode<B>,
}

/// Values with one hash, which are compared one after the other. Whatever panics, all are released.
pub(super) struct Few<B: Payload>(SmallVec<[NodeRef<B>; FEW]>);

impl<B: Payload> Few<B> {
    pub(super) fn new() -> Self {
        Self(SmallVec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, node: NodeRef<B>) {
        self.0.push(node);
    }

    pub(super) fn pop(&mut self) -> Option<NodeRef<B>> {
        self.0.pop()
    }

    fn move_to(mut self, strangers: &mut Vec<NodeRef<B>>) {
        strangers.extend(self.0.drain(..));
    }
}

impl<B: Payload> Drop for Few<B> {
    fn drop(&mut self) {
        if !self.is_empty() {
            let mut panics = Panics::new();
            while let Some(node) = self.pop() {
                panics.catch(|| drop(node));
            }
        }
    }
}
