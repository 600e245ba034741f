//! The second pass: only a sliding window of files stays alive, so that entries come and go.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::crew::{Crew, Shift};
use crate::{Name, NAMES};

/// How often the state is noted during the pass.
const SAMPLES: usize = 10;

pub struct Window {
    /// How many files each worker kept alive.
    pub files: NonZeroUsize,
    /// How often a name was absent and had to be made. When two threads miss the same name at once,
    /// both make it, and one copy goes at once: such a tie, which is rare, counts as two.
    pub created: usize,
    /// The most entries seen after any file.
    pub peak: usize,
    /// In the order of time.
    pub samples: Vec<Sample>,
}

/// The state of the interner while the pass is under way.
#[derive(Clone)]
pub struct Sample {
    pub files_done: usize,
    pub created: usize,
    pub live: usize,
}

impl Window {
    /// Interns all `texts` again; every worker drops its oldest file to make room for the next.
    pub fn slide(crew: &Crew, texts: &[Box<[&str]>], files: NonZeroUsize) -> Self {
        let created = AtomicUsize::new(0);
        let peak = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        let intern = |&name: &&str| -> Name {
            NAMES.intern_with(name, |name| {
                created.fetch_add(1, Relaxed);
                name.into()
            })
        };
        let work = |shift: Shift<'_>| {
            let mut alive: VecDeque<Box<[Name]>> = VecDeque::new();
            let mut samples = Vec::new();
            for file in shift {
                if alive.len() == files.get() {
                    alive.pop_front();
                }
                alive.push_back(texts[file].iter().map(intern).collect());

                let live = NAMES.len();
                peak.fetch_max(live, Relaxed);
                let files_done = done.fetch_add(1, Relaxed) + 1;
                let step = |files: usize| files * SAMPLES / texts.len();
                if step(files_done - 1) < step(files_done) {
                    let created = created.load(Relaxed);
                    samples.push(Sample {
                        files_done,
                        created,
                        live,
                    });
                }
            }
            samples
        };
        let mut samples = crew.run("window", texts.len(), work).concat();
        samples.sort_unstable_by_key(|sample: &Sample| sample.files_done);
        Window {
            files,
            created: created.into_inner(),
            peak: peak.into_inner(),
            samples,
        }
    }
}
