//! What is left of a creation that another one, further out on its thread, has adopted.

use super::{Creates, Creation};
use crate::flight::Left;
use crate::frames::Adoptee;
use crate::panics::Panics;
use crate::tie::{Fate, Tied};

/// A creation that is ready, and waits for what it is tied to with the creation that has adopted it. Dropped, it is given up.
pub(super) struct Pending<G: Creates> {
    grip: G,
    hash: u64,
    draft: Option<G::Landed>,
    entered: Option<(G::Landed, G::Rest)>,
    flight: Option<Left<G::Ticket, G::Landed>>,
}

impl<G: Creates> Pending<G> {
    pub(super) fn new(
        grip: G,
        hash: u64,
        draft: G::Landed,
        flight: Left<G::Ticket, G::Landed>,
    ) -> Self {
        Self {
            grip,
            hash,
            draft: Some(draft),
            entered: None,
            flight: Some(flight),
        }
    }

    /// Takes the seat again.
    fn resume<'a>(
        grip: &'a G,
        hash: u64,
        flight: &mut Option<Left<G::Ticket, G::Landed>>,
    ) -> Option<Creation<'a, G>> {
        let seat = grip.flights().resume(flight.take()?);
        Some(Creation {
            map: grip,
            hash,
            seat,
        })
    }

    fn land_now(&mut self) {
        let creation = Self::resume(&self.grip, self.hash, &mut self.flight);
        if let (Some(creation), Some(entered)) = (creation, self.entered.take()) {
            // If the map has been closed, there is nobody to be told.
            let _ = creation.land(entered);
        }
    }
}

impl<G: Creates> Adoptee for Pending<G> {
    fn enter(&mut self) {
        // Not before: what has been entered keeps its seat until it lands.
        let Some(draft) = self.draft.take() else {
            return;
        };
        let Some(mut creation) = Self::resume(&self.grip, self.hash, &mut self.flight) else {
            return;
        };
        if creation.seat.tie().fate() == Fate::Entered {
            // If the map has been closed, there is nobody to be told.
            if let Ok(entered) = creation.enter_draft(draft) {
                self.entered = Some(entered);
                creation.seat.is_in();
                self.flight = Some(creation.seat.leave());
            }
        }
    }

    fn land(mut self: Box<Self>) {
        self.land_now();
    }
}

impl<G: Creates> Drop for Pending<G> {
    /// Gives it up, unless it is too late for that.
    fn drop(&mut self) {
        if self.flight.is_none() {
            return;
        }
        let mut panics = Panics::new();
        panics.catch(|| {
            let creation = Self::resume(&self.grip, self.hash, &mut self.flight);
            if let Some(creation) = creation.filter(|creation| !creation.seat.withdraw()) {
                self.flight = Some(creation.seat.leave());
            }
        });
        panics.catch(|| self.enter());
        panics.catch(|| self.land_now());
    }
}
