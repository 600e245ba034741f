//! Rows of a table that are read from JSON, shared while somebody has them, changed, and written back.
//!
//! ```text
//! cargo run --features serde --example rows_serde -- --help
//! ```

use highlander::WeakValueMap;
use lexopt::prelude::*;
use serde::{de::DeserializeSeed, Serialize};
use serde_json::Value as Json;
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::{fs, path::PathBuf};

const HELP: &str = "\
Changes fields of rows in a JSON file of the form {\"ID\": {\"FIELD\": VALUE, ...}, ...}, and prints the result.

Usage: rows_serde [OPTIONS] [FILE]

Without a file it takes a small table of its own, and changes something in it.

Options:
  -s, --set ID.FIELD=VALUE   VALUE is JSON; if it is not, it is taken as text; may be given more than once
  -d, --drop ID              leave this row out; may be given more than once
  -o, --output FILE          write to this file, which may be the one that is read
  -h, --help                 print this

Exit code: 0 when done, 1 when the file is not what it should be or a row is missing, 2 for a fault of the command line.
";

const SAMPLE: &str = r#"{
    "1518": {"name": "Connor MacLeod", "born": "Glenfinnan", "heads": 12},
    "896": {"name": "Ramírez", "born": "Egypt", "heads": 37},
    "1": {"name": "The Kurgan", "born": "by the Caspian Sea", "heads": 118}
}"#;

/// A row, with whatever fields there are. All who have it have the same one.
#[derive(Serialize)]
#[serde(transparent)]
struct Row(Mutex<serde_json::Map<String, Json>>);

/// The one row of each id, while somebody has it. It keeps none alive.
static ROWS: WeakValueMap<String, Arc<Row>> = WeakValueMap::new();

/// Somebody who has rows: each is changed for all who have it, and none knows of the others.
struct Change {
    row: Arc<Row>,
    field: String,
    value: Json,
}

impl Change {
    /// Of the form `ID.FIELD=VALUE`.
    fn parse(text: &str) -> Result<Self, Box<dyn Error>> {
        let wrong = || format!("{text}: not of the form ID.FIELD=VALUE");
        let (place, value) = text.split_once('=').ok_or_else(wrong)?;
        let (id, field) = place.split_once('.').ok_or_else(wrong)?;
        Ok(Self {
            row: ROWS
                .get(id)
                .ok_or_else(|| format!("there is no row {id}"))?,
            field: field.into(),
            value: serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        })
    }

    fn apply(self) {
        self.row.0.lock().unwrap().insert(self.field, self.value);
    }
}

#[derive(Default)]
struct Options {
    set: Vec<String>,
    drop: Vec<String>,
    input: Option<PathBuf>,
    output: Option<PathBuf>,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('s') | Long("set") => options.set.push(arguments.value()?.string()?),
            Short('d') | Long("drop") => options.drop.push(arguments.value()?.string()?),
            Short('o') | Long("output") => options.output = Some(arguments.value()?.into()),
            Value(file) if options.input.is_none() => options.input = Some(file.into()),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn run(mut options: Options) -> Result<(), Box<dyn Error>> {
    let text = match &options.input {
        Some(file) => fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?,
        None => SAMPLE.into(),
    };
    if options.input.is_none() && options.set.is_empty() && options.drop.is_empty() {
        options.set = vec![
            "1518.heads=13".into(),
            "1518.title=There can only be one".into(),
        ];
        options.drop = vec!["1".into()];
    }

    // What is read needs owners, since the map is none: the seed returns them, one for each entry that it
    // reads.
    let mut json = serde_json::Deserializer::from_str(&text);
    let seed = ROWS.seed(|_, fields| Arc::new(Row(Mutex::new(fields))));
    let mut owners: Vec<Arc<Row>> = seed.deserialize(&mut json)?;
    json.end()?;
    let read = owners.len();
    if ROWS.len() < read {
        // The first row of an id stays, and came back for the second one too.
        return Err(format!("{} ids are there twice", read - ROWS.len()).into());
    }

    // All or nothing: what is wrong is found before anything changes.
    let changes = options.set.iter().map(|text| Change::parse(text));
    let changes: Vec<Change> = changes.collect::<Result<_, _>>()?;
    let count = changes.len();
    changes.into_iter().for_each(Change::apply);

    for id in &options.drop {
        let row = ROWS
            .get(id)
            .ok_or_else(|| format!("there is no row {id}"))?;
        owners.retain(|owner| !Arc::ptr_eq(owner, &row));
        drop(row);
        assert!(ROWS.get(id).is_none(), "its last owner has gone");
    }

    // Rows are written as what they lead to. By way of a value, which has the ids in order.
    let mut written = serde_json::to_string_pretty(&serde_json::to_value(&ROWS)?)?;
    written.push('\n');
    match &options.output {
        None => print!("{written}"),
        Some(file) => {
            // Under another name first: so nothing is lost if it cannot be written.
            let mut new = file.clone().into_os_string();
            new.push(".new");
            let done = fs::write(&new, written).and_then(|()| fs::rename(&new, file));
            done.map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    eprintln!(
        "{read} rows read, {count} fields set, {} rows written",
        owners.len()
    );
    drop(owners);
    assert!(ROWS.is_empty());
    Ok(())
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("rows_serde: {error}; try --help");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rows_serde: {error}");
            ExitCode::FAILURE
        }
    }
}
