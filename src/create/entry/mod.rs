//! One key of a map, and all the ways to create its value.

mod key;
mod missed;
mod policy;
#[cfg(feature = "async")]
mod tasks;

use crate::create::claim::Claim;
use crate::create::creator::{create_in_two, create_with_token, never_fails};
use crate::create::creator::{CoreOf, Creator, LiveEntryOf, Tokens};
use crate::create::error::{ClaimError, CreateError, Refused};
use crate::create::steps::Creation;
use crate::memory::panics::after;
use crate::pointer::token::Token;
pub(crate) use key::{Asks, Selects};
pub use key::{BorrowedKey, FromRef, KeyWith, OwnedKey};
use missed::optional;
pub(crate) use missed::Missed;
#[cfg(feature = "serde")]
pub(crate) use policy::StoredKey;
pub use policy::{AnyLive, KeyAndOwner, Output, Owned, ShareErrors, ValidIf, View};
pub(crate) use policy::{Condition, Errors, Gives};
use std::fmt;
#[cfg(feature = "async")]
pub use tasks::EntryFuture;

/// One key of a map: what is to become of it if it has no live value.
///
/// It holds the map and the key, and no lock: so it may be kept, and moved into a future. The call that ends
/// it looks first, and creates on a miss only.
///
/// ```
/// use highlander::WeakValueMap;
/// use std::sync::Arc;
///
/// let lengths: WeakValueMap<String, Arc<usize>> = WeakValueMap::new();
/// let one = lengths.entry("quickening".into()).or_insert_with(|word| Arc::new(word.len()));
/// let same = lengths.entry_ref("quickening").or_insert_with(|_| unreachable!("there can only be one"));
/// assert!(Arc::ptr_eq(&one, &same));
/// ```
///
/// # Creating
/// One factory runs for a key at a time, with no lock held. Others who ask for the same key sleep until it is
/// done, and get its value, even if its creator drops its own at once; a [task](Self::or_insert_with_async)
/// sleeps without holding up its thread. Other keys are not held up. When a factory fails or panics nothing
/// is entered, and one of those who wait runs its own. A hit waits for nobody.
///
/// # Errors and panics
/// A creation is [refused](Refused) when it would wait for itself, directly or through others, on one thread
/// or through several; and when the map is closed. The calls named `…_try_…` return that in a
/// [`CreateError`], beside the factory's own error, which may be of any type. The others panic with its text.
/// A panic of a factory goes to the caller.
///
/// # Borrowed keys
/// [`entry_ref`](crate::Registry::entry_ref) makes the key on a miss only, by [`From`] or as
/// [`key_with`](Self::key_with) says. If that key is not equivalent to the borrowed one or hashes
/// differently, the call panics, since it would never be found.
#[must_use = "an entry does nothing until it is asked for a value"]
pub struct Entry<'a, M, K, C = AnyLive, O = Owned> {
    pub(in crate::create) map: &'a M,
    pub(in crate::create) key: K,
    pub(in crate::create) condition: C,
    pub(in crate::create) output: O,
}

impl<'a, M: Creator> Entry<'a, M, OwnedKey<M::Key>> {
    /// Selects one key of any map: what the map's own `entry` does, for code that is generic over maps.
    ///
    /// ```
    /// use highlander::map::{Creator, Entry};
    /// use highlander::Registry;
    ///
    /// fn default_of<M: Creator<Value: Default, Owner: Clone>>(map: &M, key: M::Key) -> M::Owner {
    ///     Entry::of(map, key).or_default()
    /// }
    ///
    /// let registry: Registry<u32, String> = Registry::new();
    /// assert_eq!(*default_of(&registry, 1), "");
    /// ```
    pub fn of(map: &'a M, key: M::Key) -> Self {
        Self::new(map, OwnedKey(key))
    }
}

impl<'a, M, K> Entry<'a, M, K> {
    #[inline(always)]
    pub(crate) fn new(map: &'a M, key: K) -> Self {
        Self::with_output(map, key, Owned)
    }
}

impl<'a, M, K, O> Entry<'a, M, K, AnyLive, O> {
    #[inline(always)]
    pub(crate) fn with_output(map: &'a M, key: K, output: O) -> Self {
        Self {
            map,
            key,
            condition: AnyLive,
            output,
        }
    }
}

impl<'a, 'q, M, Q: ?Sized, C, O> Entry<'a, M, BorrowedKey<'q, Q>, C, O> {
    /// Makes the key by a function, if there is none.
    ///
    /// ```
    /// use highlander::{Equivalent, Registry};
    ///
    /// #[derive(PartialEq, Eq, Hash)]
    /// struct Name { space: String, local: String }
    ///
    /// #[derive(Hash)]
    /// struct NameRef<'a> { space: &'a str, local: &'a str }
    ///
    /// impl Equivalent<Name> for NameRef<'_> {
    ///     fn equivalent(&self, name: &Name) -> bool {
    ///         self.space == name.space && self.local == name.local
    ///     }
    /// }
    ///
    /// let registry: Registry<Name, usize> = Registry::new();
    /// let query = NameRef { space: "clan", local: "MacLeod" };
    /// let owned = |name: &NameRef| Name { space: name.space.into(), local: name.local.into() };
    /// let held = registry.entry_ref(&query).key_with(owned).or_insert_with(|name| name.local.len());
    /// assert_eq!(*held, 7);
    /// assert!(registry.get(&query).is_some());
    /// ```
    pub fn key_with<K, F: FnOnce(&Q) -> K>(
        self,
        to_key: F,
    ) -> Entry<'a, M, BorrowedKey<'q, Q, KeyWith<F>>, C, O> {
        Entry {
            map: self.map,
            key: BorrowedKey {
                asked: self.key.asked,
                to_key: KeyWith(to_key),
            },
            condition: self.condition,
            output: self.output,
        }
    }
}

#[allow(private_bounds)] // How keys, conditions and outputs work concerns nobody else.
impl<'a, M: Creator, K: Selects<M>, C: Condition<M>> Entry<'a, M, K, C> {
    /// Returns what `view` makes of the value, found or created, instead of an owner: it need not be `Clone`.
    ///
    /// *Runs* `view` with no lock held.
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// struct Page(String);
    ///
    /// let pages: StrongMap<u32, Page> = StrongMap::new();
    /// let length = pages.entry(1).and_view(|page| page.0.len()).or_insert_with(|_| Page("text".into()));
    /// assert_eq!(length, 4);
    /// ```
    pub fn and_view<R, F: FnOnce(&M::Value) -> R>(self, view: F) -> Entry<'a, M, K, C, View<F>> {
        Entry {
            map: self.map,
            key: self.key,
            condition: self.condition,
            output: View(view),
        }
    }
}

#[allow(private_bounds)] // How keys, conditions and outputs work concerns nobody else.
impl<'a, M: Creator, K: Selects<M>, C: Condition<M>, O: Output<M>> Entry<'a, M, K, C, O> {
    /// Counts a live value as absent if `is_valid` says no. The creation takes it out, and puts a new one in
    /// its place; owners of the old one keep it.
    ///
    /// Of several callers who find the same value stale one creates, and the others wait and get what it
    /// makes, without asking `is_valid` again: what is just made counts as valid. It may have been begun
    /// before the caller knew that what there was is stale, and any value may turn stale between this call
    /// and its use. Where that matters, look at what comes back, and ask again. A value is taken out before
    /// the factory runs: if that fails, there is none.
    ///
    /// *Runs* `is_valid` with no lock held, perhaps more than once.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering::SeqCst}};
    ///
    /// let map: WeakValueMap<&str, Arc<AtomicBool>> = WeakValueMap::new();
    /// let connect = |_: &&str| Arc::new(AtomicBool::new(true));
    /// let first = map.get_or_insert_with("db", connect);
    /// first.store(false, SeqCst);                                     // the connection breaks
    /// let second = map.entry("db").valid_if(|c| c.load(SeqCst)).or_insert_with(connect);
    /// assert!(!Arc::ptr_eq(&first, &second));
    /// assert!(Arc::ptr_eq(&second, &map.get("db").unwrap()));
    /// ```
    pub fn valid_if<F: Fn(&M::Owner) -> bool>(
        self,
        is_valid: F,
    ) -> Entry<'a, M, K, ValidIf<F, C>, O> {
        Entry {
            map: self.map,
            key: self.key,
            condition: ValidIf {
                is_valid,
                and: self.condition,
            },
            output: self.output,
        }
    }

    /// Makes the error of a factory one for all who wait: those who have slept for a creation that fails
    /// return a clone of its error, if they share errors of the same type too. The others try in turn, as
    /// they do without this.
    ///
    /// An error is shared by those who wait at that moment, and not kept for those who come later; for that
    /// there is [`RecentErrors`](crate::RecentErrors). A refusal is not shared.
    ///
    /// *Runs* `Clone` of the error, with no lock held.
    ///
    /// ```
    /// use highlander::error::CreateError;
    /// use highlander::Registry;
    ///
    /// let peers: Registry<&str, u32> = Registry::new();
    /// let connect = |_: &_| Err("no answer");         // takes its time
    /// std::thread::scope(|scope| {
    ///     for _ in 0..8 {
    ///         scope.spawn(|| {
    ///             let peer = peers.entry("glen").share_errors().or_try_insert_with(connect);
    ///             assert_eq!(peer.unwrap_err(), CreateError::Failed("no answer"));
    ///         });
    ///     }
    /// });
    /// ```
    pub fn share_errors(self) -> Entry<'a, M, K, ShareErrors<C>, O> {
        Entry {
            map: self.map,
            key: self.key,
            condition: ShareErrors(self.condition),
            output: self.output,
        }
    }

    /// Returns the live value, or enters this one.
    ///
    /// ```
    /// let map: highlander::StrongMap<&str, u32> = highlander::StrongMap::new();
    /// assert_eq!(map.entry("a").or_insert(1), 1);
    /// assert_eq!(map.entry("a").or_insert(2), 1);
    /// ```
    ///
    /// # Panics
    /// See [`or_insert_with`](Self::or_insert_with).
    #[track_caller]
    pub fn or_insert(self, value: M::Value) -> O::Of {
        self.or_insert_with(|_| value)
    }

    /// Returns the live value, or enters the default.
    ///
    /// ```
    /// let map: highlander::StrongMap<&str, Vec<u32>> = highlander::StrongMap::new();
    /// assert!(map.entry("a").or_default().is_empty());
    /// ```
    ///
    /// # Panics
    /// See [`or_insert_with`](Self::or_insert_with).
    #[track_caller]
    pub fn or_default(self) -> O::Of
    where
        M::Value: Default,
    {
        self.or_insert_with(|_| M::Value::default())
    }

    /// Returns the live value, or enters the one that `make` makes.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let sizes = WeakValueMap::new();
    /// let size = sizes.entry("chicken").or_insert_with(|name| Arc::new(name.len()));
    /// assert_eq!(*sizes.entry("chicken").or_insert_with(|_| unreachable!()), *size);
    /// ```
    ///
    /// # Panics
    /// When `make` panics; and with the text of [`Refused`] when the creation is refused.
    #[inline(always)]
    #[track_caller]
    pub fn or_insert_with(self, make: impl FnOnce(&M::Key) -> M::Value) -> O::Of {
        never_fails(self.or_try_insert_with(|key| Ok(make(key))))
    }

    /// Returns the live value, or enters the one that `make` makes, which may fail.
    ///
    /// # Errors
    /// [`CreateError::Failed`] with the error of `make`; [`CreateError::Refused`] when the creation is
    /// refused.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::{fs::File, io, path::{Path, PathBuf}, sync::Arc};
    ///
    /// static FILES: WeakValueMap<PathBuf, Arc<File>> = WeakValueMap::new();
    ///
    /// fn open(path: &Path) -> io::Result<Arc<File>> {
    ///     Ok(FILES.entry_ref(path).or_try_insert_with(|path| File::open(path).map(Arc::new))?)
    /// }
    /// assert_eq!(open(Path::new("no such file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    /// assert_eq!(FILES.entry_count(), 0);
    /// ```
    #[inline(always)]
    pub fn or_try_insert_with<E>(
        self,
        make: impl FnOnce(&M::Key) -> Result<M::Value, E>,
    ) -> Result<O::Of, CreateError<E>>
    where
        C: Errors<E>,
    {
        self.or_create(make, |creation, make| {
            creation.create(|pending_key| M::make(pending_key, make), C::share)
        })
    }

    /// Returns the live value, or enters the one that `make` makes. If it makes none, nothing is entered.
    ///
    /// Nothing is remembered: each of those who wait asks its own `make`.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let rows: Registry<u32, String> = Registry::new();
    /// let load = |id: &u32| (*id < 10).then(|| format!("row {id}"));
    /// assert_eq!(*rows.entry(7).or_optionally_insert_with(load).unwrap(), "row 7");
    /// assert!(rows.entry(70).or_optionally_insert_with(load).is_none());
    /// ```
    ///
    /// # Panics
    /// See [`or_insert_with`](Self::or_insert_with).
    #[track_caller]
    pub fn or_optionally_insert_with(
        self,
        make: impl FnOnce(&M::Key) -> Option<M::Value>,
    ) -> Option<O::Of> {
        optional(self.or_try_insert_with(|key| make(key).ok_or(())))
    }

    /// Returns the live value, or creates it in two steps: `allocate` makes, `initialise` completes it.
    ///
    /// So values may know each other in a circle. What `initialise` creates, on its thread, can ask for this
    /// key again. It gets the same value, a *draft*, instead of a [`CycleError`](crate::error::CycleError).
    /// `get` and every call that creates find the draft there. Everybody else finds the value when it is
    /// complete, and not before; calls that create wait for that.
    ///
    /// What was created with the help of a draft is published with it. When the outermost call returns, all
    /// of that is entered. (One value is entered after the other: a `get`, which waits for nobody, may find
    /// one of them some moments before the next.)
    ///
    /// If `initialise` fails or panics, the draft is given up, and with it all that was created with its
    /// help. The draft is dropped before this returns, at the latest by a look-up that is just looking at it.
    /// Owners that `initialise` has put elsewhere keep it alive; it is found by nobody. Weak handles to a
    /// draft lead to nothing until it is entered, and for ever if it never is. So for maps and sets of
    /// handles a draft is dead: they do not find it, and may take it out again
    /// ([`RemovalCause::Dead`](crate::map::RemovalCause::Dead)). Enter a handle elsewhere when the creation
    /// has returned.
    ///
    /// Two threads that create for each other cannot both go on. The one that asks last is refused; it can
    /// give up, [wait](crate::error::CycleError::wait), and try again. A future is given no drafts. Values
    /// that are inserted are no creations: who inserts one that leads to a draft publishes that. If somebody
    /// inserts another value for this key meanwhile, the caller and those who wait get that one.
    ///
    /// *Complexity:* asking for a draft takes time linear in the number of creations in between. The end of a
    /// circle takes, for each of its values, time linear in its size.
    ///
    /// Modelled after the class map of Jython, which shows unfinished classes to everybody.
    ///
    /// ```
    /// use highlander::{Handle, Registry, WeakHandle};
    /// use std::sync::{Mutex, OnceLock};
    ///
    /// struct Class { friend: OnceLock<WeakHandle<&'static str, Class>> }
    /// static CLASSES: Registry<&str, Class> = Registry::new();
    /// static ALL: Mutex<Vec<Handle<&'static str, Class>>> = Mutex::new(Vec::new());    // their owner
    ///
    /// fn class(name: &'static str, friend_name: &'static str) -> Handle<&'static str, Class> {
    ///     CLASSES.entry(name).or_create_cyclic(
    ///         |_| Class { friend: OnceLock::new() },
    ///         |class| {
    ///             let friend = self::class(friend_name, name);
    ///             class.friend.set(Handle::downgrade(&friend)).ok().unwrap();
    ///             ALL.lock().unwrap().push(friend);
    ///         },
    ///     )
    /// }
    /// # fn main() {
    /// let list = class("List", "Node");                   // asks for Node, whose initialiser asks for List
    /// let node = list.friend.get().unwrap().upgrade().unwrap();
    /// assert!(Handle::ptr_eq(&node.friend.get().unwrap().upgrade().unwrap(), &list));
    /// # }
    /// ```
    ///
    /// Here both sides are weak, so somebody else has to own them. What nobody owns when `initialise` returns
    /// is dead by then.
    ///
    /// # Panics
    /// When `allocate` or `initialise` panics; and with the text of [`Refused`] when the creation is refused.
    #[track_caller]
    pub fn or_create_cyclic(
        self,
        allocate: impl FnOnce(&M::Key) -> M::Value,
        initialise: impl FnOnce(&M::Owner),
    ) -> O::Of {
        never_fails(self.or_try_create_cyclic(
            |key| Ok(allocate(key)),
            |value| {
                initialise(value);
                Ok(())
            },
        ))
    }

    /// Returns the live value, or creates it in two steps that may fail; otherwise like
    /// [`or_create_cyclic`](Self::or_create_cyclic).
    ///
    /// # Errors
    /// [`CreateError::Failed`] with the error of `allocate` or `initialise`; [`CreateError::Refused`] when
    /// the creation is refused: when `allocate` asks for its own key, directly or through others, and when a
    /// creation on another thread waits for one that this call is a part of.
    ///
    /// ```
    /// use highlander::error::CreateError;
    /// use highlander::Registry;
    ///
    /// let classes: Registry<&str, String> = Registry::new();
    /// let allocate = |name: &&str| Ok(format!("class {name}"));
    /// let error = classes.entry("Broken").or_try_create_cyclic(allocate, |_| Err("no superclass"));
    /// assert_eq!(error.unwrap_err(), CreateError::Failed("no superclass"));
    /// assert!(classes.get("Broken").is_none());           // now and later: nobody keeps what is half built
    /// ```
    pub fn or_try_create_cyclic<E>(
        self,
        allocate: impl FnOnce(&M::Key) -> Result<M::Value, E>,
        initialise: impl FnOnce(&M::Owner) -> Result<(), E>,
    ) -> Result<O::Of, CreateError<E>>
    where
        C: Errors<E>,
    {
        self.or_create((allocate, initialise), |creation, steps| {
            create_in_two::<M, E>(creation, steps.0, steps.1, C::share)
        })
    }

    /// Returns the live value, or enters the one that `make` makes, which carries a [`Token`]: its entry goes
    /// when the token is dropped, which is when the value is.
    ///
    /// A plain `Arc` does not tell when it dies; the token in it does. If `make` does not store it, nothing
    /// is wrong: the entry is pruned like that of any `Arc`; see
    /// [`Token`](Token#when-it-does-not-go-as-planned) for what else may happen.
    ///
    /// ```
    /// use highlander::pointer::Token;
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// trait Codec: Send + Sync { fn name(&self) -> &str; }
    /// struct Flac { name: String, _token: Token }
    /// impl Codec for Flac { fn name(&self) -> &str { &self.name } }
    ///
    /// static CODECS: WeakValueMap<String, Arc<dyn Codec>> = WeakValueMap::new();
    ///
    /// let codec = CODECS.entry("flac".into()).or_insert_with_token(|name, token| {
    ///     Arc::new(Flac { name: name.clone(), _token: token })
    /// });
    /// assert_eq!((codec.name(), CODECS.entry_count()), ("flac", 1));
    /// drop(codec);
    /// assert_eq!(CODECS.entry_count(), 0);        // not only invisible, but gone
    /// ```
    ///
    /// # Panics
    /// See [`or_insert_with`](Self::or_insert_with).
    #[track_caller]
    pub fn or_insert_with_token(self, make: impl FnOnce(&M::Key, Token) -> M::Value) -> O::Of
    where
        M: Tokens,
    {
        never_fails(self.or_try_insert_with_token(|key, token| Ok(make(key, token))))
    }

    /// Returns the live value, or enters the one that `make` makes with a [`Token`], which may fail;
    /// otherwise like [`or_insert_with_token`](Self::or_insert_with_token).
    ///
    /// # Errors
    /// See [`or_try_insert_with`](Self::or_try_insert_with).
    pub fn or_try_insert_with_token<E>(
        self,
        make: impl FnOnce(&M::Key, Token) -> Result<M::Value, E>,
    ) -> Result<O::Of, CreateError<E>>
    where
        M: Tokens,
        C: Errors<E>,
    {
        let map = self.map;
        self.or_create(make, |creation, make| {
            create_with_token(map, creation, make, C::share)
        })
    }

    /// Returns the live value, or has `create` create one with `steps`.
    #[inline(always)]
    pub(crate) fn or_create<T, E>(
        self,
        steps: T,
        create: impl FnOnce(Creation<'a, CoreOf<M>>, T) -> Result<LiveEntryOf<M>, CreateError<E>>,
    ) -> Result<O::Of, CreateError<E>>
    where
        C: Errors<E>,
    {
        match self.look() {
            Ok(found) => Ok(after(steps, found)),
            Err(missed) => missed.create(steps, create),
        }
    }

    #[inline(always)]
    fn look(self) -> Result<O::Of, Missed<'a, M, C, O>> {
        let Self {
            map,
            key,
            condition,
            output,
        } = self;
        let hash = key.hash(map);
        let found = output.look_up(map, hash, |stored| key.is_it(stored), &condition);
        match found {
            Ok(found) => Ok(after((key, condition), found)),
            Err(output) => Err(Missed::new(map, hash, key, condition, output)),
        }
    }
}

#[allow(private_bounds)] // How keys and conditions work concerns nobody else.
impl<'a, M, K, C, O> Entry<'a, M, K, C, O>
where
    M: Creator<Owner: Clone>,
    K: Selects<M>,
    C: Condition<M>,
    O: Output<M, Of = M::Owner>,
{
    /// Returns the live value, or the right to create it, for code that cannot pass a closure.
    ///
    /// *Waiting:* none if there is a live value; otherwise for a creation of the key under way, and if that
    /// fails, one of those who wait gets the vacancy.
    ///
    /// ```
    /// use highlander::map::Claim;
    /// use highlander::{Handle, Registry};
    ///
    /// let sessions: Registry<u32, String> = Registry::new();
    /// let session = match sessions.entry(7).claim() {
    ///     Claim::Live(session) => session,
    ///     Claim::Vacant(vacancy) => vacancy.fill("shaken hands".into()),   // now, or later
    /// };
    /// assert!(matches!(sessions.entry(7).claim(), Claim::Live(same) if Handle::ptr_eq(&same, &session)));
    /// ```
    ///
    /// # Panics
    /// With the text of [`Refused`], inside a creation that the one under way waits for, and when the map is
    /// closed.
    #[track_caller]
    pub fn claim(self) -> Claim<'a, M> {
        match self.claim_or_refused() {
            Ok(claim) => claim,
            Err(refused) => refused.panic(),
        }
    }

    /// Claims the key like [`claim`](Self::claim), but returns why it is refused.
    ///
    /// # Errors
    /// [`Refused`], where `claim` panics.
    pub fn claim_or_refused(self) -> Result<Claim<'a, M>, Refused> {
        let map = self.map;
        match self.look() {
            Ok(live) => Ok(Claim::Live(live)),
            Err(missed) => {
                let (begun, output) = missed.begin(None)?;
                Ok(Claim::after(map, begun, |live| output.of(live)))
            }
        }
    }

    /// Claims the key like [`claim`](Self::claim), without waiting.
    ///
    /// # Errors
    /// [`ClaimError::InFlight`] while somebody else is creating the value; [`ClaimError::Refused`] when the
    /// map is closed, and there is no live value. The key is dropped.
    pub fn try_claim(self) -> Result<Claim<'a, M>, ClaimError> {
        let map = self.map;
        match self.look() {
            Ok(live) => Ok(Claim::Live(live)),
            Err(missed) => {
                let (begun, output) = missed.try_begin()?;
                Ok(Claim::after(map, begun, |live| output.of(live)))
            }
        }
    }
}

impl<M, K: fmt::Debug, C, O> fmt::Debug for Entry<'_, M, K, C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
