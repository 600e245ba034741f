//! Parents and children that know each other without keeping each other.
//!
//! *For whom:* whoever has a document, a widget hierarchy or a chain of links in which a parent owns its children and a child has to find its parent: with two strong pointers neither would ever go.
//!
//! A [`Node`] owns its children, in order, and knows its parent weakly. Dropping the last owner of a root frees all that nobody else owns, however deep, on a short stack. A child that somebody
//! owns lives on; asked for its parent it says that this has [gone](NoParent::Gone), which is something else than being a [root](NoParent::Root).
//!
//! *Modelled after* the doubly linked list inside of Python's `OrderedDict`, whose back links are weak so that it goes at once, and the SAX locator, which knows its parser weakly and fails when
//! that has gone. There a long chain is dropped by recursion; not here.
//!
//! ```
//! use highlander::registries::tree::{NoParent, Node};
//!
//! let root = Node::new("clan");
//! let connor = root.push("Connor");
//! root.push("Duncan");
//! assert_eq!(*connor.parent().unwrap().value(), "clan");
//! assert_eq!(root.children().iter().map(|child| *child.value()).collect::<Vec<_>>(), ["Connor", "Duncan"]);
//!
//! drop(root);                                         // Duncan goes too
//! assert_eq!(connor.parent().unwrap_err(), NoParent::Gone);
//! ```

use super::lock::lock;
use crate::{Watched, WeakWatched};
use std::error::Error;
use std::fmt;
use std::iter;
use std::sync::{Mutex, MutexGuard};

/// An owner of a node of a tree, and so of all below it. See the [module](self). Clones own the same node.
pub struct Node<T>(Watched<Inner<T>>);

/// Knows a node without keeping it.
pub struct WeakNode<T>(WeakWatched<Inner<T>>);

struct Inner<T> {
    value: T,
    /// Held for a few instructions, never two at a time, and never while anything is dropped.
    links: Mutex<Links<T>>,
}

struct Links<T> {
    parent: Option<WeakWatched<Inner<T>>>,
    children: Vec<Node<T>>,
}

/// Why a node has no parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoParent {
    /// It is a root: it never had one, or was taken out of its parent.
    Root,
    /// Nobody owns its parent any more.
    Gone,
}

impl fmt::Display for NoParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "the node is a root",
            Self::Gone => "the parent of the node has gone",
        })
    }
}

impl Error for NoParent {}

/// A node cannot be entered below this one: it has a parent already, or this one is below it. It comes back.
pub struct PlaceError<T>(pub Node<T>);

impl<T> fmt::Debug for PlaceError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaceError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PlaceError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node has a parent already, or the place is below it")
    }
}

impl<T> Error for PlaceError<T> {}

impl<T: 'static> Node<T> {
    /// A root without children.
    pub fn new(value: T) -> Self {
        Self::below(None, value)
    }

    fn below(parent: Option<WeakWatched<Inner<T>>>, value: T) -> Self {
        Self(Watched::new(Inner {
            value,
            links: Mutex::new(Links {
                parent,
                children: Vec::new(),
            }),
        }))
    }

    fn links(&self) -> MutexGuard<'_, Links<T>> {
        // Nothing that may panic runs under it.
        lock(&self.0.links)
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.0.value
    }

    /// The parent.
    ///
    /// # Errors
    /// [`NoParent`] says whether it is a root or its parent has gone.
    pub fn parent(&self) -> Result<Self, NoParent> {
        let parent = self.links().parent.clone().ok_or(NoParent::Root)?;
        parent.upgrade().map(Self).ok_or(NoParent::Gone)
    }

    /// The children, in the order in which they were entered. A copy of the list, at some moment.
    pub fn children(&self) -> Vec<Self> {
        self.links().children.clone()
    }

    /// The child at this place.
    pub fn child(&self, at: usize) -> Option<Self> {
        self.links().children.get(at).cloned()
    }

    /// How many children it has.
    pub fn len(&self) -> usize {
        self.links().children.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes a child, the last one.
    pub fn push(&self, value: T) -> Self {
        let child = Self::below(Some(Watched::downgrade(&self.0)), value);
        self.links().children.push(child.clone());
        child
    }

    /// Enters a root, with all below it, as the last child.
    ///
    /// *Complexity:* the depth of this node, which must not be below the other one. If two threads at once enter two trees below each other, the one
    /// of them that comes second is refused only if it sees the first; do not.
    ///
    /// # Errors
    /// [`PlaceError`] if it is no root, or this node is below it.
    pub fn adopt(&self, root: Self) -> Result<(), PlaceError<T>> {
        let is_below = iter::once(self.clone())
            .chain(self.ancestors())
            .any(|node| node == root);
        if is_below {
            return Err(PlaceError(root));
        }
        let mut links = root.links();
        let is_root = links.parent.is_none();
        if is_root {
            links.parent = Some(Watched::downgrade(&self.0));
        }
        drop(links);
        match is_root {
            true => {
                self.links().children.push(root);
                Ok(())
            }
            false => Err(PlaceError(root)),
        }
    }

    /// Takes it out of its parent: it is a root then, with all below it. False if it is one already, or its parent has gone.
    ///
    /// *Complexity:* linear in the children of the parent.
    pub fn detach(&self) -> bool {
        let Ok(parent) = self.parent() else {
            return false;
        };
        let mut links = parent.links();
        let at = links.children.iter().position(|child| child == self);
        let taken = at.map(|at| links.children.remove(at));
        drop(links);
        if taken.is_some() {
            self.links().parent = None;
        }
        taken.is_some()
    }

    /// The parent, its parent, and so on, as far as they are alive.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        iter::successors(self.parent().ok(), |node| node.parent().ok())
    }

    /// The node itself and all below it, each before its children.
    pub fn descend(&self) -> impl Iterator<Item = Self> {
        let mut open = vec![self.clone()];
        iter::from_fn(move || {
            let node = open.pop()?;
            let children = node.children();
            open.extend(children.into_iter().rev());
            Some(node)
        })
    }

    /// To know it without keeping it.
    pub fn downgrade(&self) -> WeakNode<T> {
        WeakNode(Watched::downgrade(&self.0))
    }
}

impl<T: 'static> WeakNode<T> {
    /// The node, unless it has gone.
    pub fn upgrade(&self) -> Option<Node<T>> {
        self.0.upgrade().map(Node)
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for WeakNode<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Whether both own the very same node.
impl<T> PartialEq for Node<T> {
    fn eq(&self, other: &Self) -> bool {
        Watched::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Node<T> {}

impl<T: fmt::Debug + 'static> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("value", self.value())
            .field("children", &self.len())
            .finish()
    }
}

impl<T> fmt::Debug for WeakNode<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakNode")
    }
}
