//! Going through a tree: up, along, and down.

use super::Node;
use std::fmt;

/// The ancestors of a node, the nearest first; see [`Node::ancestors`].
pub struct Ancestors<T: 'static> {
    below: Option<Node<T>>,
}

impl<T: 'static> Ancestors<T> {
    pub(super) fn of(node: Node<T>) -> Self {
        Self { below: Some(node) }
    }
}

impl<T: 'static> Iterator for Ancestors<T> {
    type Item = Node<T>;

    fn next(&mut self) -> Option<Node<T>> {
        self.below = self.below.take()?.parent().ok();
        self.below.clone()
    }
}

impl<T: 'static> std::iter::FusedIterator for Ancestors<T> {}

/// The children that a node had at one moment; see [`Node::children`].
pub struct Children<T: 'static> {
    nodes: std::vec::IntoIter<Node<T>>,
}

impl<T: 'static> Children<T> {
    pub(super) fn new(nodes: Vec<Node<T>>) -> Self {
        Self {
            nodes: nodes.into_iter(),
        }
    }
}

impl<T: 'static> Iterator for Children<T> {
    type Item = Node<T>;

    fn next(&mut self) -> Option<Node<T>> {
        self.nodes.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.nodes.size_hint()
    }
}

impl<T: 'static> DoubleEndedIterator for Children<T> {
    fn next_back(&mut self) -> Option<Node<T>> {
        self.nodes.next_back()
    }
}

impl<T: 'static> ExactSizeIterator for Children<T> {}
impl<T: 'static> std::iter::FusedIterator for Children<T> {}

/// All that is below a node, each node before its children; see [`Node::descendants`].
pub struct Descendants<T: 'static> {
    /// Those that have not been yielded, of each level.
    levels: Vec<Children<T>>,
}

impl<T: 'static> Descendants<T> {
    pub(super) fn of(node: &Node<T>) -> Self {
        Self {
            levels: vec![node.children()],
        }
    }
}

impl<T: 'static> Iterator for Descendants<T> {
    type Item = Node<T>;

    fn next(&mut self) -> Option<Node<T>> {
        loop {
            match self.levels.last_mut()?.next() {
                Some(node) => {
                    self.levels.push(node.children());
                    return Some(node);
                }
                None => drop(self.levels.pop()),
            }
        }
    }
}

impl<T: 'static> std::iter::FusedIterator for Descendants<T> {}

impl<T: 'static> fmt::Debug for Ancestors<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ancestors").finish_non_exhaustive()
    }
}

impl<T: 'static> fmt::Debug for Children<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children")
            .field("left", &self.nodes.len())
            .finish()
    }
}

impl<T: 'static> fmt::Debug for Descendants<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descendants").finish_non_exhaustive()
    }
}
