//! One node: its value, the way to its parent, and the list of its children.

use super::{AdoptError, Ancestors, Children, Descendants, NoParent, NodeArc, WeakNode};
use crate::memory::panics::after;
use crate::pointer::{Notify, Pointer, Registration, Reported, Watched, WeakPointer};
use crate::registries::finalizers::Mortal;
use crate::sync::{global, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// An owner of a node in a tree, and so of all that is below it. Dereferences to the node's value. See
/// [the module](super).
///
/// Two owners are equal if they own the very same node.
pub struct Node<T: 'static> {
    life: NodeArc<T>,
}

/// What the owners share.
///
/// Locks are taken in this order: [`ADOPTING`], a node's `link`, its parent's `list`. None is held while
/// something of the user's can run: a node is let go of, and a weak pointer of one too, after the lock.
pub(super) struct NodeInner<T: 'static> {
    value: T,
    /// The way to the parent, and the number in its list.
    // Invariant: it is set by whoever makes the node, by `adopt`, and by `move_to_end`.
    link: Mutex<Option<(WeakNode<T>, u64)>>,
    list: Mutex<ChildList<T>>,
}

// Held while a node that exists gets a parent: so nothing is hung above or below it meanwhile but leaves.
global! {
    static ADOPTING: Mutex<()> = Mutex::new(());
}

impl<T: 'static> Node<T> {
    /// A root.
    pub fn new(value: T) -> Self {
        Self::linked(value, None)
    }

    pub(super) fn of(life: NodeArc<T>) -> Self {
        Self { life }
    }

    fn linked(value: T, link: Option<(WeakNode<T>, u64)>) -> Self {
        Self::of(Watched::new(NodeInner {
            value,
            link: Mutex::new(link),
            list: Mutex::new(ChildList::default()),
        }))
    }

    fn list(&self) -> MutexGuard<'_, ChildList<T>> {
        self.life.list.lock()
    }

    /// A new node, the last child of this one.
    pub fn add(&self, value: T) -> Self {
        let me = self.downgrade();
        let mut list = self.list();
        let number = list.next();
        let child = Self::linked(value, Some((me, number)));
        list.push(number, child.clone());
        child
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.life.value
    }

    /// The node that this one is a child of.
    ///
    /// # Errors
    /// Whether it has none, or had one that has died.
    pub fn parent(&self) -> Result<Self, NoParent> {
        match self.link() {
            None => Err(NoParent::Root),
            Some((parent, _)) => parent.upgrade().ok_or(NoParent::Gone),
        }
    }

    fn link(&self) -> Option<(WeakNode<T>, u64)> {
        self.life.link.lock().clone()
    }

    /// Its parent, the parent of that, and so on, up to the root, or to one whose parent has gone.
    pub fn ancestors(&self) -> Ancestors<T> {
        Ancestors::of(self.clone())
    }

    /// Its children in order: a snapshot of owners. *Complexity:* linear in their number, now.
    ///
    /// ```
    /// use highlander::registries::tree::Node;
    ///
    /// let list = Node::new(0);
    /// let _one = (list.add(1), list.add(2), list.add(3));
    /// for child in list.children() {
    ///     child.detach();                             // changing the list is fine
    /// }
    /// assert_eq!(list.len(), 0);
    /// ```
    pub fn children(&self) -> Children<T> {
        Children::new(self.list().live().cloned().collect())
    }

    /// All that is below it, each node before its children, without recursion.
    pub fn descendants(&self) -> Descendants<T> {
        Descendants::of(self)
    }

    /// The number of its children.
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Whether it has no children.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its first child. *Complexity:* constant.
    pub fn first(&self) -> Option<Self> {
        self.list().live().next().cloned()
    }

    /// Its last child. *Complexity:* constant.
    pub fn last(&self) -> Option<Self> {
        self.list().live().next_back().cloned()
    }

    /// The child of the same parent that comes after this one. None if it is the last, or has no parent.
    /// *Complexity:* logarithmic in the number of siblings, on average; a walk past many that have left
    /// between the two closes the gap.
    pub fn next_sibling(&self) -> Option<Self> {
        self.sibling(ChildList::after)
    }

    /// The child of the same parent that comes before this one; see [`next_sibling`](Self::next_sibling).
    pub fn previous_sibling(&self) -> Option<Self> {
        self.sibling(ChildList::before)
    }

    fn sibling(&self, find: impl FnOnce(&mut ChildList<T>, u64) -> Option<Self>) -> Option<Self> {
        let (parent, number) = self.link()?;
        let parent = parent.upgrade()?;
        let found = find(&mut parent.list(), number);
        // It may be the last owner of the parent.
        after(parent, found)
    }

    /// Takes it out of its parent: from now on it is a root, with all that is below it. Whether it had a
    /// parent, alive or dead. Of several callers, one gets true.
    ///
    /// If nobody but the parent owned it, it lives as long as this owner.
    pub fn detach(&self) -> bool {
        self.detach_if(|_| true)
    }

    /// The same, if its parent is the one that is meant.
    fn detach_if(&self, is_meant: impl FnOnce(&WeakNode<T>) -> bool) -> bool {
        let link = self
            .life
            .link
            .lock()
            .take_if(|(parent, _)| is_meant(parent));
        let Some((parent, number)) = link else {
            return false;
        };
        if let Some(parent) = parent.upgrade() {
            // A statement of its own: what the list owned is dropped after the lock.
            let listed = parent.list().remove(number);
            drop(listed);
        }
        true
    }

    /// Makes it the last child of its parent. Whether it has one.
    pub fn move_to_end(&self) -> bool {
        let Some((parent, _)) = self.link() else {
            return false;
        };
        // Dropped after the locks, as it may be the last owner.
        let Some(parent) = parent.upgrade() else {
            return false;
        };
        let mut link = self.life.link.lock();
        match &mut *link {
            Some((same, number)) if same.ptr_eq(&parent.downgrade()) => {
                let mut list = parent.list();
                let Some(node) = list.remove(*number) else {
                    return false;
                };
                *number = list.next();
                list.push(*number, node);
                true
            }
            // Somebody else has detached it meanwhile.
            _ => false,
        }
    }

    /// Makes a root, or a node whose parent has gone, the last child of this one, with all that is below it.
    ///
    /// *Complexity:* linear in the number of this node's ancestors. *Waiting:* for all others that adopt.
    ///
    /// # Errors
    /// If it has a live parent, or is this node or an ancestor of it.
    ///
    /// ```
    /// use highlander::registries::tree::{AdoptError, Node};
    ///
    /// let (one, two) = (Node::new(1), Node::new(2));
    /// one.adopt(&two).unwrap();
    /// assert_eq!(two.adopt(&one), Err(AdoptError::Cycle));
    /// assert_eq!(Node::new(3).adopt(&two), Err(AdoptError::HasParent));
    /// two.detach();
    /// two.adopt(&one).unwrap();
    /// ```
    pub fn adopt(&self, node: &Self) -> Result<(), AdoptError> {
        let me = self.downgrade();
        // What may be the last owner of something is dropped after the locks.
        let (mut above, old);
        let adopting = ADOPTING.lock();
        above = vec![self.clone()];
        above.extend(self.ancestors());
        if above.contains(node) {
            drop(adopting);
            return Err(AdoptError::Cycle);
        }
        if let Ok(parent) = node.parent() {
            above.push(parent);
            drop(adopting);
            return Err(AdoptError::HasParent);
        }
        let mut link = node.life.link.lock();
        let mut list = self.list();
        let number = list.next();
        list.push(number, node.clone());
        old = link.replace((me, number));
        drop((list, link, adopting));
        drop(old);
        Ok(())
    }

    /// Detaches all its children, and returns them in order. One that another thread takes away meanwhile is
    /// not among them, and stays where that has put it.
    pub fn detach_all(&self) -> Children<T> {
        let children = self.children();
        let me = self.downgrade();
        let mut mine = Vec::new();
        for child in children {
            if child.detach_if(|parent| parent.ptr_eq(&me)) {
                mine.push(child);
            }
        }
        Children::new(mine)
    }

    /// A weak pointer to the node.
    pub fn downgrade(&self) -> WeakNode<T> {
        WeakNode::of(Watched::downgrade(&self.life))
    }

    /// Runs `callback` at the death of the node, unless the registration is dropped before; see
    /// [`Watched::on_death`].
    pub fn on_death(&self, callback: impl FnOnce() + Send + 'static) -> Registration {
        Watched::on_death(&self.life, callback)
    }

    /// Whether both own the very same node.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Watched::ptr_eq(&self.life, &other.life)
    }
}

impl<T: 'static> Clone for Node<T> {
    /// Another owner of the same node.
    fn clone(&self) -> Self {
        Self::of(self.life.clone())
    }
}

impl<T: 'static> From<T> for Node<T> {
    /// A root.
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default + 'static> Default for Node<T> {
    /// A root.
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: 'static> Deref for Node<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value()
    }
}

impl<T: 'static> PartialEq for Node<T> {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other)
    }
}

impl<T: 'static> Eq for Node<T> {}

impl<T: 'static> Hash for Node<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Watched::as_ptr(&self.life).hash(state);
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for Node<T> {
    /// The value, and how many children there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("value", self.value())
            .field("children", &self.len())
            .finish()
    }
}

impl<T: 'static> Mortal for Node<T> {
    type Weak = WeakNode<T>;

    fn weak(this: &Self) -> WeakNode<T> {
        this.downgrade()
    }

    fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
        this.on_death(callback)
    }
}

impl<T: 'static> Pointer for Node<T> {
    type Target = T;
    type Weak = WeakNode<T>;
    type Death = Reported;

    fn downgrade(this: &Self) -> WeakNode<T> {
        this.downgrade()
    }

    fn target(this: &Self) -> &T {
        this
    }

    fn address(this: &Self) -> *const () {
        Pointer::address(&this.life)
    }

    fn watch(this: &Self, notify: Notify) -> Option<Registration> {
        Pointer::watch(&this.life, notify)
    }
}

impl<T: 'static> WeakPointer for WeakNode<T> {
    type Strong = Node<T>;

    fn upgrade(&self) -> Option<Node<T>> {
        self.upgrade()
    }

    fn is_dead(&self) -> bool {
        !self.is_alive()
    }

    fn address(&self) -> *const () {
        WeakPointer::address(&self.life)
    }
}

/// Children in order. Those that left leave a hole; there are never more holes than children, but for a few,
/// and none that many have to pass.
struct ChildList<T: 'static> {
    // Invariant: the numbers ascend, and neither end is a hole.
    nodes: VecDeque<(u64, Option<Node<T>>)>,
    holes: usize,
    /// How many holes were passed on the way to a sibling since holes were closed last.
    passed: usize,
    next: u64,
}

impl<T: 'static> Default for ChildList<T> {
    fn default() -> Self {
        Self {
            nodes: VecDeque::new(),
            holes: 0,
            passed: 0,
            next: 0,
        }
    }
}

impl<T: 'static> ChildList<T> {
    fn len(&self) -> usize {
        self.nodes.len() - self.holes
    }

    /// A number greater than all there were.
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn push(&mut self, number: u64, node: Node<T>) {
        if self.nodes.is_empty() {
            // Most have one child, or very many.
            self.nodes.reserve_exact(1);
        }
        self.nodes.push_back((number, Some(node)));
    }

    fn remove(&mut self, number: u64) -> Option<Node<T>> {
        let at = self.nodes.binary_search_by_key(&number, |n| n.0).ok()?;
        let node = self.nodes[at].1.take()?;
        self.holes += 1;
        self.tidy();
        Some(node)
    }

    fn tidy(&mut self) {
        while let Some((_, None)) = self.nodes.back() {
            self.nodes.pop_back();
            self.holes -= 1;
        }
        while let Some((_, None)) = self.nodes.front() {
            self.nodes.pop_front();
            self.holes -= 1;
        }
        if self.holes > self.nodes.len() / 2 + 4 {
            self.nodes.retain(|(_, node)| node.is_some());
            self.holes = 0;
        }
        if self.nodes.capacity() > 4 * self.nodes.len() + 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    fn live(&self) -> impl DoubleEndedIterator<Item = &Node<T>> {
        self.nodes.iter().filter_map(|(_, node)| node.as_ref())
    }

    fn after(&mut self, number: u64) -> Option<Node<T>> {
        let from = self.nodes.partition_point(|n| n.0 <= number);
        let mut there = self.nodes.range(from..);
        let to = from + there.position(|(_, node)| node.is_some())?;
        let node = self.nodes[to].1.clone();
        self.pass(from, to);
        node
    }

    fn before(&mut self, number: u64) -> Option<Node<T>> {
        let to = self.nodes.partition_point(|n| n.0 < number);
        let mut there = self.nodes.range(..to);
        let from = 1 + there.rposition(|(_, node)| node.is_some())?;
        let node = self.nodes[from - 1].1.clone();
        self.pass(from, to);
        node
    }

    /// Somebody had to pass these holes. They are closed as soon as that is no more work than passing has
    /// been.
    fn pass(&mut self, from: usize, to: usize) {
        self.passed += to - from;
        let work = from.min(self.nodes.len() - to);
        if from < to && self.passed > work {
            self.nodes.drain(from..to);
            self.holes -= to - from;
            self.passed = 0;
        }
    }
}
