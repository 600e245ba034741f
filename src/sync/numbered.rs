//! Values in the order in which they came, any of which may be taken out by its number.

/// A list whose numbers rise. Adding takes O(1), finding O(log n), and removing O(log n), amortised.
///
/// A removed value leaves a hole until half of the list is holes. (A `BTreeMap` takes several times the code,
/// which every map of a user would compile anew.)
pub(crate) struct Numbered<T> {
    /// By rising numbers.
    values: Vec<(u64, Option<T>)>,
    present: usize,
    next: u64,
}

impl<T> Numbered<T> {
    pub(crate) const fn new() -> Self {
        Self {
            values: Vec::new(),
            present: 0,
            next: 0,
        }
    }

    /// Adds a value, and returns its number, which is not used again.
    pub(crate) fn push(&mut self, value: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.values.push((number, Some(value)));
        self.present += 1;
        number
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.values
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.values[self.find(number)?].1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let at = self.find(number)?;
        self.values[at].1.as_mut()
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.find(number)?;
        let removed = self.values[at].1.take()?;
        self.present -= 1;
        if self.present <= self.values.len() / 2 {
            self.values.retain(|(_, value)| value.is_some());
            self.values.shrink_to(2 * self.present);
        }
        Some(removed)
    }

    /// Removes all of them, first come first.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.present = 0;
        let values = std::mem::take(&mut self.values);
        values.into_iter().filter_map(|(_, value)| value)
    }
}

#[cfg(all(test, not(highlander_loom)))]
mod tests {
    use super::Numbered;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Remove(u64),
        Get(u64),
        TakeAll,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => Just(Step::Push),
            6 => (0..40_u64).prop_map(Step::Remove),
            2 => (0..40_u64).prop_map(Step::Get),
            1 => Just(Step::TakeAll),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn does_as_an_ordered_map_with_rising_keys(steps in steps()) {
            let mut list = Numbered::new();
            let mut model = BTreeMap::new();
            let mut count = 0_u64;
            for step in steps {
                match step {
                    Step::Push => {
                        let number = list.push(count * 10);
                        prop_assert_eq!(number, count);
                        model.insert(number, count * 10);
                        count += 1;
                    }
                    Step::Remove(number) => {
                        prop_assert_eq!(list.remove(number), model.remove(&number));
                    }
                    Step::Get(number) => {
                        prop_assert_eq!(list.get(number), model.get(&number));
                        prop_assert_eq!(list.get_mut(number), model.get_mut(&number));
                    }
                    Step::TakeAll => {
                        let all: Vec<_> = list.take_all().collect();
                        prop_assert_eq!(all, std::mem::take(&mut model).into_values().collect::<Vec<_>>());
                    }
                }
                prop_assert!(list.values.len() <= 2 * model.len().max(1));
            }
        }
    }
}
