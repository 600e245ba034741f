//! `tree`: behaviours 5.1 to 6.3 of `BEHAVIOURS.md`. The ring of `OrderedDict` is [`OrderedMap`] here, the SAX locator [`Locator`].

mod links;

use crate::common::{panic_of, promptly, Census, Citizen, Dice};
use highlander::map::ByAddress;
use highlander::registries::finalizers::Finalizers;
use highlander::registries::tree::{AdoptError, NoParent, Node, WeakNode};
use highlander::{Registry, WeakSet, WeakValueMap};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

fn values<T: Copy + 'static>(nodes: impl IntoIterator<Item = Node<T>>) -> Vec<T> {
    nodes.into_iter().map(|node| *node).collect()
}

/// An insertion-ordered map: the root owns the links, in order; each link knows the root weakly; the index knows the links weakly.
struct OrderedMap<K: 'static, V: 'static> {
    root: Node<Option<(K, V)>>,
    index: WeakValueMap<K, Node<Option<(K, V)>>>,
}

impl<K: Hash + Eq + Clone + Send + Sync, V: Clone + Send + Sync> OrderedMap<K, V> {
    fn new() -> Self {
        Self {
            root: Node::new(None),
            index: WeakValueMap::new(),
        }
    }

    /// As `setdefault`. The index hashes the key, once, before anything is touched.
    fn insert(&self, key: K, value: V) -> V {
        /// If a comparison panics, the link must not stay.
        struct Undo<T: 'static>(Option<Node<T>>);
        impl<T: 'static> Drop for Undo<T> {
            fn drop(&mut self) {
                self.0.take().map(|node| node.detach());
            }
        }
        let mut undo = Undo(None);
        let link = self.index.get_or_insert_with(key, |key| {
            let link = self.root.add(Some((key.clone(), value)));
            undo.0 = Some(link.clone());
            link
        });
        undo.0 = None;
        link.as_ref().unwrap().1.clone()
    }

    fn get(&self, key: &K) -> Option<V> {
        Some(self.index.get(key)?.as_ref()?.1.clone())
    }

    /// One of several callers takes it out of the index, and that one detaches it.
    fn remove(&self, key: &K) -> Option<V> {
        let link = self.index.remove(key)?;
        link.detach();
        Some(link.as_ref()?.1.clone())
    }

    fn move_to_end(&self, key: &K) -> bool {
        self.index.get(key).is_some_and(|link| link.move_to_end())
    }

    fn keys(&self) -> impl DoubleEndedIterator<Item = K> {
        let key = |link: Node<Option<(K, V)>>| link.as_ref().unwrap().0.clone();
        self.root.children().map(key)
    }
}

fn ordered(keys: &[&'static str]) -> OrderedMap<&'static str, u32> {
    let map = OrderedMap::new();
    for (value, key) in keys.iter().enumerate() {
        map.insert(*key, value as u32);
    }
    map
}

#[test]
fn dropping_the_map_frees_it_and_all_links_at_once() {
    let census = Census::new();
    let map = OrderedMap::new();
    for i in 0..100 {
        map.insert(i, Arc::new(census.citizen()));
    }
    let link = map.index.get(&50).unwrap();
    let root = map.root.downgrade();
    assert_eq!(link.parent().unwrap(), map.root);
    drop(map);
    assert_eq!(census.alive(), 1);
    assert!(!root.is_alive());
    assert_eq!(link.parent(), Err(NoParent::Gone));
    assert!(link.next_sibling().is_none() && link.previous_sibling().is_none());
    drop(link);
    assert_eq!(census.alive(), 0);
}

#[test]
fn order_of_insertion_removal_and_move_to_end() {
    let map = ordered(&["a", "b", "c", "d"]);
    assert_eq!(
        map.insert("b", 9),
        1,
        "what is there stays, and its place too"
    );
    assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert_eq!(
        (map.remove(&"b"), map.remove(&"b"), map.get(&"b")),
        (Some(1), None, None)
    );
    assert!(map.move_to_end(&"a") && !map.move_to_end(&"b"));
    map.insert("b", 5);
    assert_eq!(map.keys().collect::<Vec<_>>(), ["c", "d", "a", "b"]);
    assert_eq!(map.keys().rev().collect::<Vec<_>>(), ["b", "a", "d", "c"]);
    assert_eq!(map.index.len(), map.root.len());
}

#[test]
fn a_removed_link_has_neither_neighbour() {
    let map = ordered(&["a", "b", "c"]);
    let b = map.index.get(&"b").unwrap();
    assert_eq!(b.previous_sibling().unwrap().as_ref().unwrap().0, "a");
    assert_eq!(b.next_sibling().unwrap().as_ref().unwrap().0, "c");
    map.remove(&"b");
    assert!(b.previous_sibling().is_none() && b.next_sibling().is_none());
    assert_eq!(b.parent(), Err(NoParent::Root));
    let (a, c) = (map.index.get(&"a").unwrap(), map.index.get(&"c").unwrap());
    assert_eq!(a.next_sibling().unwrap(), c);
    assert_eq!(c.previous_sibling().unwrap(), a);
}

/// In depth, and among siblings; on a stack of 256 kB.
#[test]
fn a_chain_of_a_million_is_dropped_without_a_deep_stack() {
    let depth = if cfg!(miri) { 300 } else { 1_000_000 };
    let small = thread::Builder::new().stack_size(256 << 10);
    let checks = move || {
        let root = Node::new(0);
        let mut last = root.clone();
        for i in 1..depth {
            last = last.add(i);
        }
        assert_eq!(root.descendants().count(), depth - 1);
        assert_eq!(last.ancestors().count(), depth - 1);
        let bottom = last.downgrade();
        drop(last);
        assert!(bottom.is_alive());
        drop(root);
        assert!(!bottom.is_alive());

        let list = Node::new(0);
        for i in 1..depth {
            list.add(i);
        }
        let last = list.last().unwrap().downgrade();
        drop(list);
        assert!(!last.is_alive());
    };
    small.spawn(checks).unwrap().join().unwrap();
}

#[test]
fn iterating_a_dropped_map_works() {
    let map = ordered(&["a", "b", "c"]);
    let keys = map.keys();
    let below = map.root.descendants();
    drop(map);
    assert_eq!(keys.collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(below.count(), 3);
}

/// bpo-9825: `__del__`, which broke the ring, made a map that contained itself uncollectable. Here nothing breaks a ring; what contains itself lives for ever, so hold it weakly.
#[test]
fn a_map_that_knows_itself_is_freed_if_it_does_so_weakly() {
    type Root = WeakNode<Option<(u32, Any)>>;
    #[derive(Clone)]
    struct Any(#[allow(dead_code)] Option<Root>);
    let map: OrderedMap<u32, Any> = OrderedMap::new();
    let root = map.root.downgrade();
    map.insert(1, Any(Some(root.clone())));
    drop(map);
    assert!(!root.is_alive());
}

/// A hash that panics leaves neither structure changed, nor does a comparison.
#[test]
fn a_panic_of_hash_or_eq_leaves_both_structures_alike() {
    static HASHES: AtomicU32 = AtomicU32::new(0);
    static PANICS: AtomicBool = AtomicBool::new(false);
    #[derive(Clone, Debug)]
    struct Key(u32);
    impl Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            assert!(self.0 != 13, "hash");
            HASHES.fetch_add(1, SeqCst);
            state.write_u32(0);
        }
    }
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            assert!(!PANICS.load(SeqCst), "eq");
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    let map = OrderedMap::new();
    map.insert(Key(1), 1);
    assert_eq!(HASHES.swap(0, SeqCst), 1, "once");
    assert_eq!(panic_of(|| map.insert(Key(13), 13)), "hash");
    assert_eq!((map.root.len(), map.index.len()), (1, 1));
    PANICS.store(true, SeqCst);
    assert_eq!(panic_of(|| map.insert(Key(2), 2)), "eq");
    PANICS.store(false, SeqCst);
    assert_eq!((map.root.len(), map.index.len()), (1, 1));
    map.insert(Key(2), 2);
    assert_eq!(map.keys().map(|key| key.0).collect::<Vec<_>>(), [1, 2]);
}

/// A parser, which owns its handler, whose locator knows the parser.
struct Sax(Mutex<State>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    At(u32, u32),
    Closed,
    /// Closed after an error, whose place it keeps.
    Failed(u32, u32),
}

struct Locator(Node<Sax>);

impl Locator {
    fn state(&self) -> Result<State, NoParent> {
        Ok(*self.0.parent()?.0.lock().unwrap())
    }
}

fn sax(state: State) -> Sax {
    Sax(Mutex::new(state))
}

#[test]
fn the_locator_does_not_keep_the_parser_and_then_says_that_it_has_gone() {
    let parser = Node::new(sax(State::At(1, 0)));
    let locator = Locator(parser.add(sax(State::Closed)));
    assert_eq!(locator.state(), Ok(State::At(1, 0)));
    let weak = parser.downgrade();
    drop(parser);
    assert!(!weak.is_alive());
    assert_eq!(locator.state(), Err(NoParent::Gone));
    assert_eq!(NoParent::Gone.to_string(), "the node's parent has gone");
}

/// Where the parser is during the parse, after `close`, and after an error. (BEHAVIOURS.md 6.3, that an error closes the source, is up to the parser.)
#[test]
fn the_locator_reports_what_the_parser_says() {
    let parser = Node::new(sax(State::At(1, 0)));
    let locator = Locator(parser.add(sax(State::Closed)));
    *parser.0.lock().unwrap() = State::At(7, 3);
    assert_eq!(locator.state(), Ok(State::At(7, 3)));
    *parser.0.lock().unwrap() = State::Failed(7, 9);
    assert_eq!(locator.state(), Ok(State::Failed(7, 9)));
    *parser.0.lock().unwrap() = State::Closed;
    assert_eq!(locator.state(), Ok(State::Closed));
}

#[test]
fn dropping_the_root_frees_all_but_what_is_held_and_that_with_what_is_below() {
    let census = Census::new();
    let root = Node::new(census.citizen());
    let held = root.add(census.citizen()).add(census.citizen());
    held.add(census.citizen()).add(census.citizen());
    root.add(census.citizen());
    assert_eq!(census.alive(), 6);
    drop(root);
    assert_eq!(census.alive(), 3);
    assert_eq!(
        (held.parent().unwrap_err(), held.descendants().count()),
        (NoParent::Gone, 2)
    );
    assert_eq!(held.ancestors().count(), 0);
    drop(held);
    assert_eq!(census.alive(), 0);
}

#[test]
fn detach_and_adopt() {
    let (root, other) = (Node::new(0), Node::new(10));
    let (a, b) = (root.add(1), root.add(2));
    let below = a.add(3);
    assert_eq!(other.adopt(&a), Err(AdoptError::HasParent));
    assert!(a.detach() && !a.detach());
    assert_eq!(
        (values(root.children()), a.parent().unwrap_err()),
        (vec![2], NoParent::Root)
    );
    assert_eq!(below.adopt(&a), Err(AdoptError::Cycle));
    assert_eq!(a.adopt(&a), Err(AdoptError::Cycle));
    other.adopt(&a).unwrap();
    assert_eq!(values(below.ancestors()), [1, 10]);
    assert!(!other.move_to_end() && a.move_to_end());
    drop(root);
    other.adopt(&b).unwrap();
    assert_eq!(values(other.descendants()), [1, 3, 2]);
    assert_eq!(values(other.detach_all()), [1, 2]);
    assert!(other.is_empty() && a.parent() == Err(NoParent::Root));
    assert_eq!(values(a.children()), [3]);
}

#[test]
fn a_detached_node_lives_as_long_as_its_owner() {
    let census = Census::new();
    let root = Node::new(census.citizen());
    let child = root.add(census.citizen());
    child.detach();
    drop(child);
    assert_eq!(census.alive(), 1);
    drop(root);
}

/// Against a plain list, with many holes.
#[test]
fn siblings_stay_in_order_whatever_happens() {
    let rounds = if cfg!(miri) { 300 } else { 20_000 };
    for seed in 0..4 {
        let (mut dice, root) = (Dice::new(seed), Node::new(usize::MAX));
        let mut model: Vec<Node<usize>> = Vec::new();
        for i in 0..rounds {
            let at = dice.below(model.len().max(1));
            match dice.below(6) {
                0 | 1 => model.push(root.add(i)),
                2 if !model.is_empty() => assert!(model.remove(at).detach()),
                3 if !model.is_empty() => assert!(model.remove(0).detach()),
                4 if !model.is_empty() => {
                    let node = model.remove(at);
                    assert!(node.move_to_end());
                    model.push(node);
                }
                _ if !model.is_empty() => {
                    let node = &model[at];
                    assert_eq!(node.next_sibling().as_ref(), model.get(at + 1));
                    let before = at.checked_sub(1).map(|before| &model[before]);
                    assert_eq!(node.previous_sibling().as_ref(), before);
                }
                _ => {}
            }
            assert_eq!(root.len(), model.len());
            assert_eq!(
                (root.first().as_ref(), root.last().as_ref()),
                (model.first(), model.last())
            );
        }
        assert!(root.children().eq(model.iter().cloned()));
        assert!(root.children().rev().eq(model.iter().rev().cloned()));
    }
}

#[test]
fn many_are_taken_from_the_front_in_time() {
    promptly(|| {
        let count = if cfg!(miri) { 300 } else { 200_000 };
        let root = Node::new(0);
        for i in 0..count {
            root.add(i);
        }
        let mut seen = 0;
        while let Some(first) = root.first() {
            assert_eq!(*first, seen);
            first.detach();
            seen += 1;
        }
        assert_eq!(seen, count);
    });
}

#[test]
fn two_threads_cannot_hang_nodes_below_each_other() {
    let rounds = if cfg!(miri) { 20 } else { 5000 };
    let pairs: Vec<_> = (0..rounds)
        .map(|_| (Node::new('a'), Node::new('b')))
        .collect();
    let start = AtomicU32::new(0);
    // Both spin until both have come, as they must be in there at the same moment.
    let meet = |round: usize| {
        start.fetch_add(1, SeqCst);
        while (start.load(SeqCst) as usize) < 2 * (round + 1) {
            thread::yield_now();
        }
    };
    let adopt_all = |turned: bool| -> Vec<bool> {
        let pair = |(round, (a, b)): (usize, &(Node<char>, Node<char>))| {
            meet(round);
            if turned { b.adopt(a) } else { a.adopt(b) }.is_ok()
        };
        pairs.iter().enumerate().map(pair).collect()
    };
    let (ones, twos) = thread::scope(|scope| {
        let one = scope.spawn(|| adopt_all(false));
        (adopt_all(true), one.join().unwrap())
    });
    for (round, ((a, b), (one, two))) in pairs
        .into_iter()
        .zip(ones.into_iter().zip(twos))
        .enumerate()
    {
        assert!(one != two, "round {round}");
        let weak = [a.downgrade(), b.downgrade()];
        drop((a, b));
        assert!(!weak.iter().any(WeakNode::is_alive), "a ring would leak");
    }
}

#[test]
fn threads_change_a_tree_and_nothing_is_lost_or_doubled() {
    promptly(|| {
        let census = Census::new();
        let root: Node<Citizen> = Node::new(census.citizen());
        let branches: Vec<_> = (0..4).map(|_| root.add(census.citizen())).collect();
        thread::scope(|scope| {
            for seed in 0..3 {
                let (branches, census, root) = (&branches, &census, &root);
                scope.spawn(move || {
                    let mut dice = Dice::new(seed);
                    for _ in 0..3000 {
                        let branch = &branches[dice.below(4)];
                        match dice.below(5) {
                            0 => drop(branch.add(census.citizen())),
                            1 => drop(branch.first().map(|node| node.detach())),
                            2 => {
                                branch.move_to_end();
                            }
                            3 => {
                                if let Some(node) = branch.last() {
                                    if node.detach() {
                                        let to = &branches[dice.below(4)];
                                        to.adopt(&node).expect("it is ours alone");
                                    }
                                }
                            }
                            _ => drop(root.descendants().count()),
                        }
                    }
                });
            }
        });
        let mut below: Vec<_> = root.descendants().collect();
        assert_eq!(census.alive() as usize, below.len() + 1);
        for node in &below {
            let parent = node.parent().unwrap();
            assert_eq!(parent.children().filter(|child| child == node).count(), 1);
        }
        let count = below.len();
        below.dedup();
        assert_eq!(below.len(), count);
        drop((root, branches, below));
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn a_node_tells_of_its_death_and_is_a_pointer() {
    static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let set: WeakSet<Node<u32>, ByAddress> = WeakSet::new();
    let (finalizers, names) = (Finalizers::new(), Registry::<&str, u32>::new());
    let root = Node::new(1);
    let child = root.add(2);
    set.insert(&root);
    set.insert(&child);
    child.on_death(|| LOG.lock().unwrap().push("child")).keep();
    finalizers.finalize(&root, || LOG.lock().unwrap().push("root"));
    assert!(set.contains(&child) && names.is_empty());
    drop((child, root));
    assert_eq!((set.entry_count(), finalizers.len()), (0, 0));
    assert_eq!(*LOG.lock().unwrap(), ["root", "child"]);
}
