//! What a benchmark of creation needs of a map.

use crate::subject::Role;

/// One map, used as its users use it.
pub trait CreationSubject: Sync + Sized + 'static {
    const NAME: &'static str;
    const ROLE: Role;

    /// Of those who ask for one key at the same time, one creates and the others wait.
    const SINGLE: bool;

    type Value: Send + Sync;

    fn build() -> Self;

    /// The live value, or a new one; `work` is what its creation takes.
    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value;

    /// Takes the key out of a map that would keep it.
    fn take_out(&self, key: &str) {
        let _ = key;
    }

    /// Whether the subject has more than one key.
    const IS_A_MAP: bool = true;
}
