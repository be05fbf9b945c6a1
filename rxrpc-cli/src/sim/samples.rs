//! Delays that a scenario takes from a file: `samples-file = "PATH"` becomes `samples = [...]` before it is read.

use std::fs;
use std::ops::Range;
use std::path::Path;

use rxrpc_sim::scenario::time;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const KEY: &str = "samples-file";
/// Samples in one file, at most.
const MOST: usize = 100_000;

/// The text of a scenario with the samples in it. Its lines stay where they are. Paths are relative to the folder.
pub(super) fn expand(text: &str, folder: &Path) -> Result<String, String> {
    let mut named = Vec::new();
    // What is no TOML is for the reader of the scenario to complain of.
    if let Ok(table) = DeTable::parse(text) {
        search(table.get_ref(), &mut named);
    }
    named.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut text = text.to_owned();
    for (place, path) in named {
        let samples = read(&folder.join(path))?;
        text.replace_range(place, &format!("samples = [{samples}]"));
    }
    Ok(text)
}

/// Where files are named, from the key to the end of the value.
fn search(table: &DeTable<'_>, named: &mut Vec<(Range<usize>, String)>) {
    for (key, value) in table {
        match value.get_ref() {
            DeValue::String(path) if key.get_ref() == KEY => {
                named.push((key.span().start..value.span().end, path.to_string()));
            }
            value => search_value(value, named),
        }
    }
}

fn search_value(value: &DeValue<'_>, named: &mut Vec<(Range<usize>, String)>) {
    match value {
        DeValue::Table(table) => search(table, named),
        DeValue::Array(parts) => {
            parts.iter().map(Spanned::get_ref).for_each(|part| search_value(part, named));
        }
        _ => {}
    }
}

/// The samples in a file, as an array has them: times with units, by lines or commas; after a `#` comes a comment.
fn read(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut samples = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        for word in line.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            if time(word).is_none() {
                let place = format!("{}:{number}", path.display());
                return Err(format!(
                    "{place}: '{word}' is no time such as \"12.5ms\" (units us, ms, s, min, h)"
                ));
            }
            samples.push(format!("\"{word}\""));
        }
    }
    match samples.len() {
        0 => Err(format!("{}: there are no samples", path.display())),
        n if n > MOST => Err(format!("{}: {n} samples are too many, {MOST} will do", path.display())),
        _ => Ok(samples.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_where_they_are_named() {
        let folder = std::env::temp_dir().join(format!("rxrpc-samples-{}", std::process::id()));
        fs::create_dir_all(folder.join("more")).unwrap();
        fs::write(folder.join("a.txt"), "# recorded\n12.5ms\n\n 3us, 1 s # slow\n").unwrap();
        fs::write(folder.join("more/b.csv"), "1ms,2ms\n").unwrap();
        let text = "# samples-file = \"none\"\nx = [{ by = { samples-file = \"a.txt\" } }]\ny = \"samples-file = 1\"\n\
                    [[z]]\nsamples-file = 'more/b.csv' # \u{e9}\n";
        let expanded = "# samples-file = \"none\"\nx = [{ by = { samples = [\"12.5ms\", \"3us\", \"1 s\"] } }]\n\
                        y = \"samples-file = 1\"\n[[z]]\nsamples = [\"1ms\", \"2ms\"] # \u{e9}\n";
        assert_eq!(expand(text, &folder).unwrap(), expanded);
        assert_eq!(expand("x = ", &folder).unwrap(), "x = ");
        fs::write(folder.join("a.txt"), "1ms\nfast\n").unwrap();
        let error = expand(text, &folder).unwrap_err();
        assert!(
            error.ends_with("a.txt:2: 'fast' is no time such as \"12.5ms\" (units us, ms, s, min, h)"),
            "{error}"
        );
        fs::write(folder.join("a.txt"), "# nothing\n").unwrap();
        assert!(expand(text, &folder).unwrap_err().ends_with("a.txt: there are no samples"));
        fs::remove_file(folder.join("a.txt")).unwrap();
        assert!(expand(text, &folder).unwrap_err().contains("a.txt: No such file"));
        fs::remove_dir_all(folder).unwrap();
    }
}
