//! A creation that has ended, and waits for the one around it.

use super::{Creates, Creation};
use crate::family::Pending;
use crate::flight::Left;
use crate::panics::Panics;
use crate::work::Work;
use std::any::Any;
use std::rc::Rc;

/// A draft that is complete, and needs others that are not. Dropped, it is given up.
pub(super) struct PendingCreation<G: Creates> {
    grip: G,
    hash: u64,
    /// In an `Rc`, so that it can be cloned, which is user code, with nothing borrowed.
    draft: Option<Rc<G::Landed>>,
    entered: Option<(G::Landed, G::Rest)>,
    /// Until it has landed, or is given up.
    left: Option<Left<G::Ticket, G::Landed>>,
    text: String,
}

impl<G: Creates> PendingCreation<G> {
    pub(super) fn new(
        grip: G,
        hash: u64,
        draft: G::Landed,
        left: Left<G::Ticket, G::Landed>,
        text: String,
    ) -> Self {
        Self {
            grip,
            hash,
            draft: Some(Rc::new(draft)),
            entered: None,
            left: Some(left),
            text,
        }
    }

    /// The creation goes on.
    fn resume<'a>(
        grip: &'a G,
        hash: u64,
        left: &mut Option<Left<G::Ticket, G::Landed>>,
    ) -> Option<Creation<'a, G>> {
        let leader = grip.flights().resume(left.take()?);
        Some(Creation {
            map: grip,
            hash,
            leader,
        })
    }
}

impl<G: Creates + 'static> Pending for PendingCreation<G> {
    fn work(&self) -> &Work {
        self.left.as_ref().expect("until it lands").work()
    }

    fn draft(&self) -> Rc<dyn Any> {
        let draft = self.draft.as_ref().expect("until it is entered");
        Rc::clone(draft) as Rc<dyn Any>
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn enter(&mut self) {
        // If the map has been closed, there is nobody to be told: it is given up.
        if self.grip.refused().is_some() {
            return;
        }
        if let Some(draft) = self.draft.take().and_then(Rc::into_inner) {
            let Some(creation) = Self::resume(&self.grip, self.hash, &mut self.left) else {
                return;
            };
            let entered = creation.during(|ticket| self.grip.enter_draft(self.hash, ticket, draft));
            self.entered = Some(entered);
            self.left = Some(creation.leader.leave());
        }
    }

    fn land(mut self: Box<Self>) {
        if let Some(entered) = self.entered.take() {
            let creation = Self::resume(&self.grip, self.hash, &mut self.left);
            // As above.
            let _ = creation.map(|creation| creation.land(entered));
        }
    }
}

impl<G: Creates> Drop for PendingCreation<G> {
    fn drop(&mut self) {
        let mut panics = Panics::new();
        if let Some(draft) = self.draft.take() {
            panics.catch(|| self.grip.abandon(&draft));
            panics.catch(|| drop(draft));
        }
        let entered = self.entered.take();
        let creation = Self::resume(&self.grip, self.hash, &mut self.left);
        panics.catch(|| match (creation, entered) {
            // Something else has panicked between the two.
            (Some(creation), Some(entered)) => drop(creation.land(entered)),
            (creation, _) => drop(creation),
        });
    }
}
