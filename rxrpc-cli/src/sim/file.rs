//! Scenarios as TOML files. What is as usual is left out of them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use rxrpc_sim::Scenario;
use rxrpc_sim::scenario::{CallSpec, LinkSpec, NatSpec, NodeSpec, ServiceSpec, VersionSpec};
use serde::Serialize;
use toml::{Table, Value};

use super::samples;
use crate::failure::Failure;

/// Longest line of a value; a longer array is written one entry a line.
const LINE: usize = 100;

/// The scenario in a file. One that is missing or makes no sense is a matter of usage: nothing was run.
pub(super) fn read(path: &Path) -> Result<Scenario, Failure> {
    let failure = |text: String| Failure::Usage(format!("{}: {}", path.display(), text.trim_end()));
    let text = fs::read_to_string(path).map_err(|e| failure(e.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    samples::expand(&text, folder).and_then(|text| parse(&text)).map_err(failure)
}

/// The scenario that a text says. What is wrong with it is said with line and column.
pub(super) fn parse(text: &str) -> Result<Scenario, String> {
    let mut scenario: Scenario = toml::from_str(text).map_err(|e| e.to_string())?;
    scenario.number();
    scenario.check()?;
    Ok(scenario)
}

/// Write the scenario with these lines of comment before it.
pub(super) fn write(path: &Path, comment: &str, scenario: &Scenario) -> Result<(), Failure> {
    let failure = |text: String| Failure::Local(format!("{}: {text}", path.display()));
    let text = to_text(scenario).map_err(failure)?;
    let comment: String = comment.lines().map(|line| format!("# {line}\n")).collect();
    fs::write(path, format!("{comment}\n{text}")).map_err(|e| failure(e.to_string()))
}

/// The scenario as text.
pub(super) fn to_text(scenario: &Scenario) -> Result<String, String> {
    let mut scenario = scenario.clone();
    scenario.unnumber();
    let mut table = table(&scenario)?;
    leave_out_the_usual(&mut table)?;
    let mut text = String::new();
    let (parts, values): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| is_parts(value));
    let (tables, values): (Vec<_>, Vec<_>) = values.into_iter().partition(|(_, value)| value.is_table());
    values.iter().for_each(|(key, value)| entry(&mut text, key, value));
    for (key, value) in tables {
        let _ = writeln!(text, "\n[{key}]");
        value.as_table().into_iter().flatten().for_each(|(key, value)| entry(&mut text, key, value));
    }
    for (key, parts) in parts {
        for part in parts.as_array().into_iter().flatten() {
            let _ = writeln!(text, "\n[[{key}]]");
            part.as_table().into_iter().flatten().for_each(|(key, value)| entry(&mut text, key, value));
        }
    }
    Ok(text)
}

fn table(value: &impl Serialize) -> Result<Table, String> {
    Table::try_from(value).map_err(|e| e.to_string())
}

fn is_parts(value: &Value) -> bool {
    value.as_array().is_some_and(|parts| !parts.is_empty() && parts.iter().all(Value::is_table))
}

fn entry(text: &mut String, key: &str, value: &Value) {
    let line = format!("{key} = {value}\n");
    match value.as_array() {
        Some(entries) if line.len() > LINE => {
            let _ = writeln!(text, "{key} = [");
            entries.iter().for_each(|entry| {
                let _ = writeln!(text, "  {entry},");
            });
            text.push_str("]\n");
        }
        _ => text.push_str(&line),
    }
}

/// Take away what reading would put there again.
fn leave_out_the_usual(scenario: &mut Table) -> Result<(), String> {
    without(scenario, &usual(&Scenario::default())?);
    each(scenario, "nodes", &NodeSpec::default())?;
    let (nat, service) = (usual(&NatSpec::default())?, usual(&ServiceSpec::default())?);
    for node in parts(scenario, "nodes") {
        parts(node, "services").for_each(|part| without(part, &service));
        node.get_mut("nat").and_then(Value::as_table_mut).into_iter().for_each(|part| without(part, &nat));
    }
    each(scenario, "links", &LinkSpec::default())?;
    each(scenario, "calls", &CallSpec::default())?;
    each(scenario, "versions", &VersionSpec::default())
}

fn parts<'a>(table: &'a mut Table, key: &str) -> impl Iterator<Item = &'a mut Table> {
    table.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_table_mut)
}

fn each(scenario: &mut Table, key: &str, default: &impl Serialize) -> Result<(), String> {
    let usual = usual(default)?;
    parts(scenario, key).for_each(|part| without(part, &usual));
    Ok(())
}

/// What need not be said. An id need not if it goes with the place, which is decided elsewhere; who is concerned is
/// always said.
fn usual(default: &impl Serialize) -> Result<Table, String> {
    let mut usual = table(default)?;
    usual.retain(|key, _| !["id", "from", "to", "client", "server"].contains(&key));
    Ok(usual)
}

fn without(table: &mut Table, usual: &Table) {
    for (key, usual) in usual {
        match (table.get_mut(key), usual) {
            (Some(value), usual) if value == usual => drop(table.remove(key)),
            (Some(Value::Table(value)), Value::Table(usual)) => without(value, usual),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxrpc_sim::campaign::run;
    use rxrpc_sim::scenario::{ElementKind, LossModel};
    use rxrpc_sim::{Sim, swarm};

    #[test]
    fn what_swarm_mode_draws_is_read_as_it_was_written() {
        for seed in 0..200 {
            let scenario = swarm::scenario(seed);
            let text = to_text(&scenario).unwrap();
            let read = parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
            assert_eq!(read, scenario, "{text}");
            let trace = |scenario| run(scenario, Sim::new).map(|report| report.trace);
            assert_eq!(trace(&read), trace(&scenario), "{text}");
        }
    }

    #[test]
    fn what_is_as_usual_is_not_written() {
        let mut scenario = Scenario::new(u64::MAX, 2);
        scenario.nodes[1].endpoint.window = 8;
        scenario.call(0, 1, 100, 0).at = 1_500_000;
        let text = "seed = \"0xffffffffffffffff\"\n\n[[nodes]]\n\n[[nodes]]\nendpoint = { window = 8 }\n\n[[calls]]\n\
                    client = 0\nserver = 1\nat = \"1.5s\"\nrequest = { len = 100 }\n";
        assert_eq!(to_text(&scenario).unwrap(), text);
        assert_eq!(parse(text).unwrap(), scenario);
    }

    #[test]
    fn loss_may_be_a_preset() {
        for (name, model) in LossModel::PRESETS {
            let text = format!(
                "nodes = [{{}}, {{}}]\n[[links]]\nfrom = 0\nto = 1\nelements = [{{ kind = {{ loss = {{ preset = \"{name}\" }} }} }}]\n"
            );
            let scenario = parse(&text).unwrap();
            assert_eq!(scenario.links[0].elements[0].kind, ElementKind::Loss(model));
            // It is written with its numbers, which a later version keeps.
            let written = to_text(&scenario).unwrap();
            assert!(written.contains("gilbert") && parse(&written).unwrap() == scenario, "{written}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let text = "seed = 1\n[[nodes]]\n[[nodes]]\nendpont = { window = 8 }\n";
        let error = parse(text).unwrap_err();
        assert!(error.starts_with("TOML parse error at line 4, column 1\n"), "{error}");
        assert!(error.contains("unknown field `endpont`, expected one of `id`, `endpoint`"), "{error}");
        for (line, complaint) in [
            (
                "delay = \"5 parsecs\"",
                "expected a time such as \"250ms\" (units us, ms, s, min, h), or microseconds",
            ),
            ("delay = -5", "invalid value: integer `-5`, expected a time"),
            ("seed = -1", "expected a seed from 0 to 2^64-1"),
            (
                "[expect]\nreached = [\"limit nothing\"]",
                "nothing of kind limit is named 'nothing'; there are calls, ",
            ),
            ("[expect]\noutcome = { good = 1 }", "no call ends with 'good'; they end with ok, "),
            ("[expect]\nreach = []", "unknown field `reach`"),
            (
                "[[links]]\nfrom = 0\nto = 1\nelements = [{ kind = { loss = { preset = \"wlan\" } } }]",
                "no preset is named 'wlan'; there are fibre, wifi, mobile, congested, satellite",
            ),
            (
                "[[calls]]\nending = \"never\"",
                "unknown variant `never`, expected one of `normal`, `client-aborts`",
            ),
        ] {
            let error = parse(line).unwrap_err();
            let place = format!("TOML parse error at line {}, column", line.lines().count());
            assert!(error.starts_with(&place) && error.contains(complaint), "{line}: {error}");
        }
        assert_eq!(parse("[[calls]]").unwrap_err(), "0 nodes are too few or too many");
    }
}
