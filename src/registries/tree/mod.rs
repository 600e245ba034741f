//! Parents and children that know each other without keeping each other: a parent owns its children, in
//! order, and a child knows its parent weakly.
//!
//! For whoever would write a tree, or a doubly linked list, with `Rc`s forwards and `Weak`s backwards: a
//! document, a directory, a scope of names, a parser and its locator. Any thread may read and change it,
//! nothing leaks, and nothing overflows when it goes.
//!
//! ```
//! use highlander::registries::tree::{NoParent, Node};
//!
//! let root = Node::new("/");
//! let etc = root.add("etc");
//! let hosts = etc.add("hosts");
//! assert_eq!(hosts.parent().unwrap(), etc);
//! assert_eq!(hosts.ancestors().map(|node| *node).collect::<Vec<_>>(), ["etc", "/"]);
//!
//! drop((root, etc));                                          // all goes but what somebody holds
//! assert_eq!(hosts.parent(), Err(NoParent::Gone));            // and that has a clear answer
//! assert_eq!(Node::new("/").parent(), Err(NoParent::Root));
//! ```
//!
//! Modelled after the ring of Python's `OrderedDict` (`next` strong, `prev` weak, the end a weak proxy to the
//! root), and after its SAX parser, whose locator knows the parser by a weak proxy.
//!
//! # Who owns what
//! A [`Node`] is an owner, as a [`Watched`] is, of which it is made: while there is one, the node lives, with
//! all that is below it. A parent is one owner of each of its children. So dropping the last owner of a root
//! frees the tree, but for nodes that somebody else owns, which live on with all that is below them. They are
//! not roots then, but orphans: [`parent`](Node::parent) says [`Gone`](NoParent::Gone). (An orphan keeps the
//! memory of its parent, though not its value, as a `Weak` does, until it is detached or adopted.)
//!
//! Nobody keeps a parent alive by holding a child. What holds a node *and* is owned by something below it
//! keeps both for ever.
//!
//! # Death
//! A node tells of its death ([`Node::on_death`]; it is a [`Pointer`](crate::pointer::Pointer), and leaves
//! all maps and sets at once), as a `Watched` does. A chain of any length, in depth or among siblings, is
//! dropped without a deep stack; from the 64th nested drop on, values are dropped a little later, but before
//! the outermost drop returns.
//!
//! # Changing
//! Children have an order: [`add`](Node::add) and [`adopt`](Node::adopt) put one at the end,
//! [`move_to_end`](Node::move_to_end) takes it there, [`detach`](Node::detach) takes it out; each in constant
//! time on average, but for a search in a list that is sorted already. No node can become its own ancestor:
//! `adopt` refuses that, whatever other threads do at the same time.
//!
//! # Reading
//! [`children`](Node::children) is a snapshot of owners: it may be gone through while the tree changes, and
//! after it has gone. [`descendants`](Node::descendants) takes one such snapshot for each node when it comes
//! to it. A node that is being detached or adopted by another thread may for a moment still be in a list that
//! it says it is not in.
//!
//! # Waiting, your code, panics
//! Every call may wait for others that change or read links of the same node, a few instructions long
//! (`children`: linear in their number); `adopt` waits for other `adopt`s in the process too. None of your
//! code runs under these locks: values are dropped, and callbacks run, outside of them. Nothing panics but
//! those.

mod iter;
mod node;

use crate::pointer::{Watched, WeakWatched};
use std::error::Error;
use std::fmt;

pub use iter::{Ancestors, Children, Descendants};
pub use node::Node;

/// A node, known without being kept alive. Made by [`Node::downgrade`].
pub struct WeakNode<T: 'static> {
    life: WeakWatched<node::NodeInner<T>>,
}

impl<T: 'static> WeakNode<T> {
    fn of(life: WeakWatched<node::NodeInner<T>>) -> Self {
        Self { life }
    }

    /// An owner of the node, if it is alive.
    pub fn upgrade(&self) -> Option<Node<T>> {
        self.life.upgrade().map(Node::of)
    }

    /// Whether it is alive at some moment during the call. It may die right after; [`upgrade`](Self::upgrade)
    /// to be sure.
    pub fn is_alive(&self) -> bool {
        self.life.is_alive()
    }

    /// Whether both know, or knew, the very same node.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.life.ptr_eq(&other.life)
    }
}

impl<T: 'static> Clone for WeakNode<T> {
    fn clone(&self) -> Self {
        Self::of(self.life.clone())
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for WeakNode<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.upgrade() {
            Some(node) => f.debug_tuple("WeakNode").field(node.value()).finish(),
            None => f.write_str("WeakNode(dead)"),
        }
    }
}

/// Why there is no parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoParent {
    /// The node is a root: it never had a parent, or was detached from it.
    Root,
    /// The node has a parent that has died.
    Gone,
}

impl fmt::Display for NoParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "the node has no parent",
            Self::Gone => "the node's parent has gone",
        })
    }
}

impl Error for NoParent {}

/// Why a node was not adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdoptError {
    /// It has a live parent: detach it first.
    HasParent,
    /// It would become its own ancestor.
    Cycle,
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HasParent => "the node has a parent",
            Self::Cycle => "the node would become its own ancestor",
        })
    }
}

impl Error for AdoptError {}

/// What a node is.
type NodeArc<T> = Watched<node::NodeInner<T>>;
