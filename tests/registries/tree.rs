//! §5 and §6.1-3: back links that keep nobody.

use highlander::registries::tree::{NoParent, Node, WeakNode};
use highlander::{StrongMap, Watched};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Counted while it lives.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, SeqCst);
        Self(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// An insertion-ordered map after `OrderedDict`: a chain in which each link owns the next and knows the one before weakly. A link is found by its key.
struct OrderedMap {
    root: Node<Link>,
    last: Node<Link>,
    links: StrongMap<u32, WeakNode<Link>>,
}

struct Link {
    key: u32,
    value: Mutex<Option<Counted>>,
}

impl OrderedMap {
    fn new() -> Self {
        let root = Node::new(Link {
            key: 0,
            value: Mutex::new(None),
        });
        Self {
            last: root.clone(),
            root,
            links: StrongMap::new(),
        }
    }

    fn insert(&mut self, key: u32, value: Counted) {
        let value = Mutex::new(Some(value));
        self.last = self.last.push(Link { key, value });
        self.links.insert(key, self.last.downgrade());
    }

    /// Its successor takes its place below its predecessor.
    fn remove(&mut self, key: u32) -> Option<Counted> {
        let link = self.links.remove(&key)?.upgrade()?;
        let before = link.parent().expect("the root is before all");
        link.detach();
        match link.child(0) {
            Some(after) => {
                assert!(after.detach());
                before.adopt(after).expect("a root now");
            }
            None => self.last = before,
        }
        let value = link.value().value.lock().unwrap().take();
        value
    }

    fn keys(&self) -> impl Iterator<Item = u32> {
        self.root.descend().skip(1).map(|link| link.value().key)
    }
}

/// §5.1, §5.2: dropping the dictionary frees it and all links at once, and not by recursion.
#[test]
fn a_long_chain_goes_at_once_with_its_first_link() {
    let alive = Arc::default();
    let mut map = OrderedMap::new();
    for key in 1..=200_000 {
        map.insert(key, Counted::new(&alive));
    }
    assert_eq!(alive.load(SeqCst), 200_000);
    drop(map);
    assert_eq!(alive.load(SeqCst), 0);
}

/// §5.3: iterating over a dropped dictionary works: the iterator holds it.
#[test]
fn an_iterator_holds_what_it_goes_through() {
    let alive = Arc::default();
    let mut map = OrderedMap::new();
    (1..=3).for_each(|key| map.insert(key, Counted::new(&alive)));
    let keys = map.keys();
    drop(map);
    assert_eq!(keys.collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(alive.load(SeqCst), 0);
}

#[test]
fn a_link_that_is_taken_out_joins_its_neighbours() {
    let alive = Arc::default();
    let mut map = OrderedMap::new();
    (1..=5).for_each(|key| map.insert(key, Counted::new(&alive)));
    for (key, left) in [(3, vec![1, 2, 4, 5]), (5, vec![1, 2, 4]), (1, vec![2, 4])] {
        assert!(map.remove(key).is_some());
        assert_eq!(map.keys().collect::<Vec<_>>(), left);
    }
    map.insert(6, Counted::new(&alive));
    assert_eq!(map.keys().collect::<Vec<_>>(), [2, 4, 6]);
    assert!(map.remove(7).is_none());
    assert_eq!(alive.load(SeqCst), 3);
}

/// §6.1: the handler holds a locator that knows the parser weakly: dropping the parser frees it at once, and the locator says so.
/// §6.2, §6.3, what is reported after closing, are the parser's own business; here the child keeps what it is to say.
#[test]
fn a_child_whose_parent_has_gone_says_so() {
    let alive = Arc::default();
    let parser = Node::new(Some(Counted::new(&alive)));
    let locator = parser.push(None);
    assert!(locator.parent().unwrap() == parser);
    assert_eq!(parser.parent().unwrap_err(), NoParent::Root);
    drop(parser);
    assert_eq!(alive.load(SeqCst), 0, "the locator does not keep it");
    assert_eq!(locator.parent().unwrap_err(), NoParent::Gone);
    assert_eq!(locator.ancestors().count(), 0);
    assert!(!locator.detach());
    assert_eq!(
        NoParent::Gone.to_string(),
        "the parent of the node has gone"
    );
}

#[test]
fn a_part_of_a_tree_that_somebody_owns_stays() {
    let alive = Arc::default();
    let root = Node::new(Counted::new(&alive));
    let branch = root.push(Counted::new(&alive));
    let leaf = branch.push(Counted::new(&alive)).downgrade();
    root.push(Counted::new(&alive));
    drop(root);
    assert_eq!(alive.load(SeqCst), 2);
    let found = leaf.upgrade().unwrap();
    assert!(found.parent().unwrap() == branch);
    drop((branch, found));
    assert!(leaf.upgrade().is_none() && alive.load(SeqCst) == 0);
}

#[test]
fn a_node_has_one_place() {
    let root = Node::new(0);
    let branch = root.push(1);
    let leaf = branch.push(2);
    assert!(
        leaf.adopt(root.clone()).unwrap_err().0 == root,
        "below itself"
    );
    assert!(root.adopt(leaf.clone()).is_err(), "it has a place");
    assert!(root.adopt(root.clone()).is_err());
    assert!(leaf.detach() && leaf.parent() == Err(NoParent::Root) && branch.is_empty());
    root.adopt(leaf.clone()).unwrap();
    let values: Vec<i32> = root.descend().map(|node| *node.value()).collect();
    assert_eq!(values, [0, 1, 2]);
    assert_eq!(format!("{root:?}"), "Node { value: 0, children: 2 }");
}

#[test]
fn trees_are_for_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Node<Watched<u32>>>();
    let root = Node::new(0);
    std::thread::scope(|scope| {
        for n in 1..=4 {
            let root = &root;
            scope.spawn(move || (0..100).for_each(|i| drop(root.push(n * 100 + i))));
        }
    });
    assert_eq!(root.len(), 400);
}
