//! The self-check of the first pass: equal text if and only if the same pointer.

use std::collections::{HashMap, HashSet};

use crate::{Name, NAMES};

/// How many of the most frequent names are kept.
const FREQUENT: usize = 5;

/// What the interner must look like, counted without it.
pub struct Check {
    pub tokens: usize,
    /// Bytes of text, over all tokens.
    pub token_bytes: usize,
    /// Bytes of text, over all distinct names.
    pub distinct_bytes: usize,
    /// For each file: how many distinct names there are up to its end.
    distinct_so_far: Vec<usize>,
    /// The most frequent names, with the number of their owners.
    pub frequent: Vec<(String, usize)>,
}

impl Check {
    /// Compares each handle with the text that it came from, and the interner with a count by hand.
    ///
    /// # Errors
    ///
    /// Says which promise is broken, if any.
    pub fn of(texts: &[Box<[&str]>], handles: &[Box<[Name]>]) -> Result<Self, String> {
        let mut canonical: HashMap<&str, &Name> = HashMap::new();
        let mut distinct_so_far = Vec::with_capacity(texts.len());
        for (texts, handles) in texts.iter().zip(handles) {
            for (&text, handle) in texts.iter().zip(handles) {
                if **handle != *text {
                    return Err(format!("interning {text:?} gave {:?}", &**handle));
                }
                if !Name::ptr_eq(canonical.entry(text).or_insert(handle), handle) {
                    return Err(format!("{text:?} is alive twice"));
                }
            }
            distinct_so_far.push(canonical.len());
        }
        let distinct = canonical.len();
        let addresses: HashSet<_> = canonical.values().map(|name| name.as_ptr()).collect();
        expect("addresses of distinct names", addresses.len(), distinct)?;
        expect("length of the interner", NAMES.len(), distinct)?;

        // Every token owns its name, so the owners of a name are its occurrences. One more is the
        // iterator's own.
        let with_owners = |name: Name| (Name::strong_count(&name) - 1, name);
        let mut entries: Vec<_> = NAMES.iter().map(with_owners).collect();
        let tokens = texts.iter().map(|file| file.len()).sum();
        let owners = entries.iter().map(|(owners, _)| owners).sum();
        expect("names found by iterating", entries.len(), distinct)?;
        expect("owners of all names", owners, tokens)?;

        entries.sort_unstable_by(|(a, x), (b, y)| b.cmp(a).then_with(|| str::cmp(x, y)));
        entries.truncate(FREQUENT);
        Ok(Check {
            tokens,
            token_bytes: texts.iter().flatten().map(|text| text.len()).sum(),
            distinct_bytes: canonical.keys().map(|text| text.len()).sum(),
            distinct_so_far,
            // As strings: handles would keep their entries alive.
            frequent: entries
                .iter()
                .map(|(owners, name)| (name.to_string(), *owners))
                .collect(),
        })
    }

    pub fn distinct(&self) -> usize {
        self.distinct_so_far.last().copied().unwrap_or(0)
    }

    /// How many distinct names the first `files` files have; `files` is at least 1.
    pub fn distinct_in_first(&self, files: usize) -> usize {
        self.distinct_so_far[files - 1]
    }
}

fn expect(what: &str, found: usize, expected: usize) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found} instead of {expected}")),
    }
}
