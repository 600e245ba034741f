//! A tree that is changed everywhere at once. At the end of a round it is a tree, and then nothing.

#![allow(clippy::mutable_key_type)] // nodes are hashed and compared by identity

use super::rounds;
use crate::common::{forever, Dice};
use crate::support::{for_a_while, Counts, Sealed};
use highlander::registries::tree::{AdoptError, NoParent, Node};
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

type Knot = Node<Sealed<'static>>;

struct Scene {
    counts: &'static Counts,
    /// Those that all threads get at.
    nodes: Vec<Mutex<Knot>>,
}

const NODES: usize = 12;
/// Longer than any way up can be.
const FAR: usize = 100_000;

impl Scene {
    fn value(&self) -> Sealed<'static> {
        Sealed::new(3, self.counts)
    }

    fn any(&self, dice: &mut Dice) -> Knot {
        let at = dice.below(NODES);
        let node = self.nodes[at].lock().unwrap().clone();
        node.assert_alive(3);
        node
    }

    fn read(node: &Knot, dice: &mut Dice) {
        match dice.below(6) {
            0 => {
                for above in node.ancestors().take(FAR) {
                    above.assert_alive(3);
                }
            }
            1 => {
                let children: Vec<_> = node.children().collect();
                let distinct: HashSet<_> = children.iter().collect();
                // One that is being moved within this very list may be there twice, for a moment.
                assert!(distinct.len() + 8 >= children.len());
            }
            2 => node
                .descendants()
                .take(200)
                .for_each(|below| below.assert_alive(3)),
            3 => {
                if let Some(next) = node.next_sibling() {
                    next.assert_alive(3);
                }
            }
            4 => {
                if let Some(previous) = node.previous_sibling() {
                    previous.assert_alive(3);
                }
            }
            _ => {
                let ends = (node.first(), node.last());
                ends.0
                    .iter()
                    .chain(&ends.1)
                    .for_each(|end| end.assert_alive(3));
            }
        }
    }

    /// Nobody else changes it now.
    fn check(&self) {
        let roots: Vec<_> = self
            .nodes
            .iter()
            .map(|node| node.lock().unwrap().clone())
            .collect();
        let mut listed = HashSet::new();
        for root in &roots {
            let top = root.ancestors().take(FAR).last();
            assert!(top.is_none_or(|top| top.parent().is_err()), "a way up ends");
        }
        let tops: HashSet<_> = roots
            .iter()
            .map(|root| root.ancestors().last().unwrap_or_else(|| root.clone()))
            .collect();
        for node in tops
            .iter()
            .cloned()
            .chain(tops.iter().flat_map(Node::descendants))
        {
            let children: Vec<_> = node.children().collect();
            assert_eq!(
                (children.len(), children.is_empty()),
                (node.len(), node.is_empty())
            );
            assert_eq!(
                (children.first(), children.last()),
                (node.first().as_ref(), node.last().as_ref())
            );
            for (at, child) in children.iter().enumerate() {
                assert!(
                    listed.insert(child.clone()),
                    "a node is in two lists, or twice in one"
                );
                assert_eq!(child.parent().as_ref(), Ok(&node));
                assert_eq!(child.next_sibling().as_ref(), children.get(at + 1));
                assert_eq!(
                    child.previous_sibling().as_ref(),
                    at.checked_sub(1).map(|at| &children[at])
                );
            }
        }
        for root in &roots {
            assert_eq!(
                root.parent().is_ok(),
                listed.contains(root),
                "who has a parent is in its list"
            );
        }
    }
}

pub(crate) fn tree(limit: Duration) {
    rounds(limit, |limit| {
        let counts: &'static Counts = forever(Counts::default());
        let node = |_| Mutex::new(Node::new(Sealed::new(3, counts)));
        let scene = Scene {
            counts,
            nodes: (0..NODES).map(node).collect(),
        };
        // A node of one's own, which is never where others look for nodes, and a place that others do not know.
        let start = |_| (Node::new(scene.value()), Node::new(scene.value()));
        let work = |(home, own): &mut (Knot, Knot), dice: &mut Dice| {
            let (one, two) = (scene.any(dice), scene.any(dice));
            match dice.below(10) {
                0 | 1 => {
                    let child = one.add(scene.value());
                    if dice.below(2) == 0 {
                        *scene.nodes[dice.below(NODES)].lock().unwrap() = child;
                    }
                }
                2..5 => match one.adopt(&two) {
                    Ok(()) | Err(AdoptError::HasParent) => {}
                    Err(AdoptError::Cycle) => {
                        two.detach();
                    }
                },
                5 => drop(two.detach()),
                6 => drop(two.move_to_end()),
                7 => {
                    // By now some are somebody else's again.
                    for child in one.detach_all() {
                        child.assert_alive(3);
                    }
                }
                8 => {
                    // It is where its thread has put it, but that others may detach all children of `one`.
                    one.adopt(own).unwrap();
                    Scene::read(&one, dice);
                    own.detach();
                    home.adopt(own).unwrap();
                    Scene::read(&two, dice);
                    own.move_to_end();
                    assert_eq!(own.parent().as_ref(), Ok(&*home), "it was taken away");
                    assert_eq!((home.len(), own.detach(), own.detach()), (1, true, false));
                    assert_eq!((home.len(), own.parent()), (0, Err(NoParent::Root)));
                }
                _ => Scene::read(&one, dice),
            }
        };
        for_a_while(limit, 4, start, work);
        scene.check();
        drop(scene);
        counts.assert_balanced();
    });
}
