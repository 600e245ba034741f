//! A creation that has ended, and waits for the one around it.

use super::{enter_draft, Creates, Drafted, EnteredDraft, Scope};
use crate::create::flight::LeftFlight;
use crate::deadlock::family::Pending;
use crate::deadlock::work::Work;
use crate::memory::panics::Panics;
use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

/// A draft that is complete, and needs others that are not. Dropped, it is given up.
pub(super) struct PendingCreation<G: Creates> {
    share_map: G,
    hash: u64,
    /// In an `Rc`: to clone the draft is user code, so nothing may be borrowed then.
    draft: Option<Rc<G::LiveEntry>>,
    /// The result of entering it.
    entered: Cell<Option<EnteredDraft<G>>>,
    /// Until it is published, or given up.
    left: Option<LeftFlight<G::PendingKey, G::LiveEntry>>,
    text: String,
}

impl<G: Creates> PendingCreation<G> {
    pub(super) fn new(
        share_map: G,
        hash: u64,
        left: LeftFlight<G::PendingKey, G::LiveEntry>,
        draft: Option<G::LiveEntry>,
        text: String,
    ) -> Self {
        Self {
            share_map,
            hash,
            draft: draft.map(Rc::new),
            entered: Cell::new(None),
            left: Some(left),
            text,
        }
    }

    fn resume<'a>(
        share_map: &'a G,
        hash: u64,
        left: &mut Option<LeftFlight<G::PendingKey, G::LiveEntry>>,
        draft: &mut Option<Rc<G::LiveEntry>>,
    ) -> Option<Drafted<'a, G>> {
        let mut leader = share_map.flights().resume(left.take()?);
        // It is cloned inside the creation around this one, which is over by now.
        leader.set_value(
            draft
                .take()
                .and_then(Rc::into_inner)
                .expect("nobody clones it"),
        );
        Some(Drafted {
            map: share_map,
            hash,
            leader: Some(leader),
            scope: Scope::new(),
            is_complete: true,
        })
    }
}

impl<G: Creates + 'static> Pending for PendingCreation<G> {
    fn work(&self) -> &Work {
        self.left
            .as_ref()
            .expect("until it is published")
            .flight()
            .work()
    }

    fn draft(&self) -> Rc<dyn Any> {
        let draft = self.draft.as_ref().expect("until it is entered");
        Rc::clone(draft) as Rc<dyn Any>
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn enter(&self) {
        let left = self.left.as_ref().expect("until it is published");
        let draft = self.draft.as_ref().expect("until it is published");
        let entered = enter_draft(&self.share_map, self.hash, left.flight(), draft);
        self.entered.set(Some(entered));
    }

    fn publish(mut self: Box<Self>) {
        if let Some(entered) = self.entered.take() {
            let resumed = Self::resume(&self.share_map, self.hash, &mut self.left, &mut self.draft);
            // If the map has been closed, it is given up.
            let _ = resumed.map(|drafted| drafted.publish_after_others(entered));
        }
    }
}

impl<G: Creates> Drop for PendingCreation<G> {
    fn drop(&mut self) {
        let mut panics = Panics::new();
        let entered = self.entered.take();
        let resumed = Self::resume(&self.share_map, self.hash, &mut self.left, &mut self.draft);
        panics.catch(|| match (resumed, entered) {
            // Something else has panicked between entering and publishing.
            (Some(drafted), Some(entered)) => drop(drafted.publish_after_others(entered)),
            (drafted, _) => drop(drafted),
        });
    }
}
