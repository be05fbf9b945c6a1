//! What `QUIRKS.md` and `HAZARDS.md` claim of the code and its tests is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every Rust file below a folder.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The pieces of a text between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The tests that a text names, as file and test.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let lower =
        |s: &str| s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_/.".contains(c));
    quoted(text)
        .filter_map(|piece| piece.split_once("::"))
        .filter(|(file, test)| lower(file) && lower(test) && *file != "file")
        .collect()
}

/// The text of what is called `file` in the documents: a file of the sources, a test file, or a folder of them.
fn text_of(file: &str) -> String {
    if file.starts_with("src/") {
        return read(file);
    }
    let one = root().join("tests").join(file).with_extension("rs");
    if one.exists() {
        return read(one);
    }
    files(root().join("tests").join(file)).into_iter().map(read).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let (quirks, hazards) = (read("QUIRKS.md"), read("HAZARDS.md"));
    let named = [named_tests(&quirks), named_tests(&hazards)].concat();
    assert!(named.len() > 200, "{} tests are named", named.len());
    for (file, test) in named {
        let text = text_of(file);
        let at = text.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("no test {file}::{test}"));
        assert!(text[..at].trim_end().ends_with("#[test]"), "{file}::{test} is no test");
    }
}

/// The names of the entries.
fn entries(quirks: &str) -> BTreeSet<&str> {
    let names: Vec<_> = quirks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let set: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(set.len(), names.len(), "a name twice");
    set
}

#[test]
fn every_entry_names_a_test_and_every_link_an_entry() {
    let quirks = read("QUIRKS.md");
    let entries = entries(&quirks);
    for link in quirks.split("](#").skip(1).filter_map(|rest| rest.split_once(')')) {
        assert!(entries.contains(link.0), "no entry {}", link.0);
    }
    for entry in quirks.split("\n### ").skip(1) {
        let entry = entry.split("\n## ").next().unwrap();
        let name = entry.lines().next().unwrap();
        assert!(entry.contains("**"), "{name} says what we do");
        assert!(!named_tests(entry).is_empty() || entry.contains("No test:"), "{name} names no test");
    }
}

#[test]
fn every_entry_that_the_code_cites_exists() {
    let quirks = read("QUIRKS.md");
    let entries = entries(&quirks);
    let mut cited = 0;
    for path in files(root().join("src")) {
        let text = read(&path);
        for rest in text.split("QUIRKS.md#").skip(1) {
            let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap();
            assert!(entries.contains(name), "{} cites {name}", path.display());
            cited += 1;
        }
    }
    assert!(cited >= 10, "{cited}");
}
