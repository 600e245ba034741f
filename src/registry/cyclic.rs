//! Creation of values that know themselves.

use super::Registry;
use crate::create::creator::never_fails;
use crate::create::entry::{Condition, Entry, Errors, Output, Selects};
use crate::create::error::CreateError;
use crate::registry::handle::WeakHandle;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

#[allow(private_bounds)] // How keys, conditions and outputs work concerns nobody else.
impl<'a, K, V, S, Q, C, O> Entry<'a, Registry<K, V, S>, Q, C, O>
where
    K: Hash + Eq + 'static,
    V: 'static,
    S: BuildHasher,
    Q: Selects<Registry<K, V, S>>,
    C: Condition<Registry<K, V, S>>,
    O: Output<Registry<K, V, S>>,
{
    /// Returns the live value, or enters the one that `make` makes, which gets the value's own weak handle,
    /// as in [`Arc::new_cyclic`]. The handle leads to nothing until the value is entered; and for ever, if it
    /// never is.
    ///
    /// ```
    /// use highlander::{Handle, Registry, WeakHandle};
    ///
    /// struct Window { buttons: Vec<Button> }
    /// struct Button { window: WeakHandle<u32, Window> }
    ///
    /// let windows: Registry<u32, Window> = Registry::new();
    /// let window = windows.entry(1).or_insert_cyclic(|_, me| {
    ///     assert!(me.upgrade().is_none());                            // not yet
    ///     Window { buttons: vec![Button { window: me.clone() }] }
    /// });
    /// assert!(Handle::ptr_eq(&window.buttons[0].window.upgrade().unwrap(), &window));
    /// ```
    ///
    /// # Panics
    /// See [`or_insert_with`](Self::or_insert_with).
    #[track_caller]
    pub fn or_insert_cyclic(self, make: impl FnOnce(&K, &WeakHandle<K, V>) -> V) -> O::Of {
        never_fails(self.or_try_insert_cyclic(|key, me| Ok(make(key, me))))
    }

    /// Returns the live value, or enters the one that `make` makes, which may fail: see
    /// [`or_insert_cyclic`](Self::or_insert_cyclic).
    ///
    /// # Errors
    /// See [`or_try_insert_with`](Self::or_try_insert_with).
    pub fn or_try_insert_cyclic<E>(
        self,
        make: impl FnOnce(&K, &WeakHandle<K, V>) -> Result<V, E>,
    ) -> Result<O::Of, CreateError<E>>
    where
        C: Errors<E>,
    {
        self.or_create(make, |creation, make| {
            creation.create(
                |reserved| {
                    let me = WeakHandle::pending();
                    let watch = Arc::clone(me.watch());
                    Registry::<K, V, S>::make_value(reserved, Some(watch), |key| make(key, &me))
                },
                C::share,
            )
        })
    }
}
