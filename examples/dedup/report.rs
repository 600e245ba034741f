//! What the program prints.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{presets, CellAlignment, Column, Table};
use indicatif::{DecimalBytes, HumanCount};

use crate::check::Check;
use crate::corpus::Corpus;
use crate::crew::Crew;
use crate::measure::{Cost, Measured};
use crate::window::Window;
use crate::Name;

/// How many of the files that were left out are named.
const NAMED: usize = 3;

pub fn corpus(out: &mut impl Write, corpus: &Corpus) -> io::Result<()> {
    for root in &corpus.roots {
        writeln!(out, "corpus: {root:?}")?;
    }
    if corpus.beyond > 0 {
        writeln!(
            out,
            "left out, beyond the limit: {} files with {}; see --help for more",
            count(corpus.beyond),
            bytes(corpus.bytes_beyond as usize)
        )?;
    }
    left_out(out, "cannot be searched", &corpus.unsearchable)?;
    left_out(out, "cannot be read", &corpus.unreadable)?;
    left_out(out, "not UTF-8", &corpus.not_utf8)
}

fn left_out(out: &mut impl Write, why: &str, which: &[String]) -> io::Result<()> {
    if which.is_empty() {
        return Ok(());
    }
    writeln!(out, "left out, {why}: {}", count(which.len()))?;
    for one in which.iter().take(NAMED) {
        writeln!(out, "  {one}")?;
    }
    match which.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => writeln!(out, "  … and {} more", count(more)),
    }
}

pub fn first_pass(
    out: &mut impl Write,
    crew: &Crew,
    corpus: &Corpus,
    check: &Check,
    [lexing, interning, boxing]: [&Cost; 3],
) -> io::Result<()> {
    let (tokens, distinct) = (check.tokens, check.distinct());
    let without = tokens * size_of::<Box<str>>() + check.token_bytes;
    let with = tokens * size_of::<Name>() + check.distinct_bytes;
    let rate = |elapsed| per_second(tokens, elapsed);

    let table = Figures::new("first pass: all alive")
        .row("files", count(corpus.texts.len()), "read and lexed")
        .row("bytes read", bytes(corpus.bytes()), "UTF-8 text")
        .row(
            "threads",
            count(crew.threads()),
            "sharing one static interner",
        )
        .row(
            "tokens",
            count(tokens),
            "identifiers, with keywords and raw ones",
        )
        .row(
            "distinct",
            count(distinct),
            "entries while every token holds its handle",
        )
        .row(
            "hit rate",
            percent(tokens - distinct, tokens),
            "tokens whose name was there before",
        )
        .row(
            "look-ups per second",
            rate(interning.elapsed),
            "interning alone, lexed beforehand",
        )
        .row(
            "… with lexing",
            rate(lexing.elapsed + interning.elapsed),
            "lexing, then interning",
        )
        .row(
            "… to compare: boxing",
            rate(boxing.elapsed),
            "a Box<str> for each token instead",
        )
        .row(
            "bytes without",
            bytes(without),
            "computed: per token two words and its text",
        )
        .row(
            "bytes with",
            bytes(with),
            "computed: per token one word, per name its text",
        )
        .row(
            "resident without",
            growth(boxing),
            "measured: growth by boxing every token",
        )
        .row(
            "resident with",
            growth(interning),
            "measured: growth by interning every token",
        );
    writeln!(out, "\n{}", table.0)?;

    let owners = |(name, owners): &(String, usize)| format!("{name} {}", count(*owners));
    let frequent: Vec<_> = check.frequent.iter().map(owners).collect();
    if !frequent.is_empty() {
        writeln!(out, "most owners: {}", frequent.join(", "))?;
    }
    let tokens = count(tokens);
    writeln!(
        out,
        "self-check: equal text <=> the same pointer, over all {tokens} tokens: passed"
    )
}

pub fn first_pass_dropped(
    out: &mut impl Write,
    tokens: usize,
    elapsed: Duration,
    left: usize,
) -> io::Result<()> {
    let (rate, left) = (per_second(tokens, elapsed), count(left));
    writeln!(
        out,
        "all dropped, {rate} handles per second on one thread: {left} entries left"
    )
}

/// The second pass, after everything has been dropped and `left` entries are left.
pub fn second_pass(
    out: &mut impl Write,
    check: &Check,
    Measured {
        value: window,
        cost,
    }: &Measured<Window>,
    left: usize,
) -> io::Result<()> {
    let distinct = check.distinct();
    let gone = |live| window.created.saturating_sub(live);
    let peak_share = percent(window.peak, distinct);

    let mut course = table([
        "second pass: files",
        "distinct so far",
        "created",
        "gone",
        "live",
    ]);
    for sample in &window.samples {
        let distinct = check.distinct_in_first(sample.files_done);
        let gone = sample.created.saturating_sub(sample.live);
        course.add_row(
            [
                sample.files_done,
                distinct,
                sample.created,
                gone,
                sample.live,
            ]
            .map(count),
        );
    }
    let end = [distinct, window.created, gone(left), left].map(count);
    course.add_row(["all dropped".to_owned()].into_iter().chain(end));
    course.column_iter_mut().for_each(align_right);
    writeln!(out, "\n{course}")?;

    let rate = per_second(check.tokens, cost.elapsed);
    let table = Figures::new("second pass: a window")
        .row(
            "files alive",
            count(window.files.get()),
            "at most, for each thread",
        )
        .row(
            "distinct ever seen",
            count(distinct),
            "as counted in the first pass",
        )
        .row(
            "peak live",
            count(window.peak),
            "most entries seen after any file",
        )
        .row("peak / distinct", peak_share, "")
        .row(
            "created",
            count(window.created),
            "names that were absent and were made (ties: twice)",
        )
        .row(
            "created again",
            count(gone(distinct)),
            "of these: had been there, and had gone",
        )
        .row(
            "gone",
            count(gone(left)),
            "entries that went with their last owner",
        )
        .row(
            "look-ups per second",
            rate,
            "with all this coming and going",
        )
        .row("left", count(left), "entries after everything was dropped");
    writeln!(out, "\n{}", table.0)
}

/// A table of named figures, each with what it is.
struct Figures(Table);

impl Figures {
    fn new(title: &str) -> Self {
        let mut table = table([title, "", "what it is"]);
        table.column_mut(1).into_iter().for_each(align_right);
        Figures(table)
    }

    fn row(mut self, name: &str, figure: String, what: &str) -> Self {
        self.0.add_row([name, &figure, what]);
        self
    }
}

/// In Markdown: reads well on a terminal, in a file and in a README.
fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_header(header);
    table
}

fn align_right(column: &mut Column) {
    column.set_cell_alignment(CellAlignment::Right);
}

fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

fn bytes(number: usize) -> String {
    DecimalBytes(number as u64).to_string()
}

fn growth(cost: &Cost) -> String {
    cost.growth.map_or("unknown here".to_owned(), |bytes| {
        DecimalBytes(bytes).to_string()
    })
}

fn percent(part: usize, whole: usize) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.2} %", 100.0 * part as f64 / whole as f64),
    }
}

fn per_second(number: usize, elapsed: Duration) -> String {
    // The lower bound keeps an immeasurably short time from yielding infinity.
    count((number as f64 / elapsed.as_secs_f64().max(1e-9)) as usize)
}
