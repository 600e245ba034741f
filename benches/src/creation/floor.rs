//! One once-cell, and no map around it: whoever waits does no more than sleep and be woken.

use std::sync::Arc;

use once_cell::sync::OnceCell;
use parking_lot::RwLock;

use super::subject::CreationSubject;
use crate::maps::subject::Payload;
use crate::subject::Role;

#[derive(Default)]
pub struct OneCell(RwLock<Arc<OnceCell<Arc<Payload>>>>);

impl CreationSubject for OneCell {
    const NAME: &'static str = "one once-cell";
    const ROLE: Role = Role::Floor;
    const SINGLE: bool = true;
    const IS_A_MAP: bool = false;
    type Value = Arc<Payload>;

    fn build() -> Self {
        OneCell::default()
    }

    fn get_or_create(&self, _key: &str, work: impl FnOnce()) -> Self::Value {
        let cell = Arc::clone(&self.0.read());
        let value = cell.get_or_init(|| {
            work();
            Arc::default()
        });
        Arc::clone(value)
    }

    fn take_out(&self, _key: &str) {
        *self.0.write() = Arc::default();
    }
}
