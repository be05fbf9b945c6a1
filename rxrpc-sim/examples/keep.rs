//! Shrinks a seed of swarm mode that fails and prints its scenario as code, to be kept in `tests/regressions.rs`:
//! `keep SEED NAME`.

use std::fmt::Debug;

use rxrpc_sim::scenario::{CallSpec, NodeSpec};
use rxrpc_sim::shrink::shrink;
use rxrpc_sim::{Scenario, Sim, campaign, swarm};

/// The fields of a struct, by its debug output: `Name { a: 1, b: C { d: 2 } }`.
fn fields(debug: &str) -> Vec<(String, String)> {
    let Some((_, inner)) = debug.split_once('{') else { return Vec::new() };
    let inner = inner.trim_end_matches('}').trim();
    let (mut parts, mut depth, mut part) = (Vec::new(), 0i32, String::new());
    for c in inner.chars() {
        depth += i32::from("{[(".contains(c)) - i32::from("}])".contains(c));
        if c == ',' && depth == 0 {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
    }
    parts.push(part);
    let split = |part: String| part.trim().split_once(": ").map(|(a, b)| (a.to_string(), b.to_string()));
    parts.into_iter().filter_map(split).collect()
}

/// Debug output as code, with the variants of all enums in scope.
fn code(value: &str) -> String {
    value.replace('[', "vec![").replace("ending: ", "ending: Ending::")
}

/// `is` without what is as in `usual`.
fn differences(is: &impl Debug, usual: &impl Debug) -> Vec<(String, String)> {
    let (is, usual) = (fields(&closed(is)), fields(&closed(usual)));
    is.into_iter().zip(usual).filter(|(a, b)| a != b).map(|(a, _)| a).collect()
}

/// Debug output whose inner braces survive that the outer one is taken off.
fn closed(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(" }").map_or(text.clone(), |t| format!("{t} ,}}"))
}

fn print(s: &Scenario, name: &str) {
    println!("fn {name}() -> Scenario {{");
    println!("    let mut s = base({}, {}, {}, {});", s.seed, s.nodes.len(), s.delay, s.heal_at);
    for (i, node) in s.nodes.iter().enumerate() {
        let usual = NodeSpec { id: node.id, ..NodeSpec::default() };
        for (field, value) in differences(&node.endpoint, &usual.endpoint) {
            println!("    s.nodes[{i}].endpoint.{field} = {value};");
        }
        for (field, value) in differences(node, &usual).iter().filter(|(f, _)| f != "endpoint") {
            println!("    s.nodes[{i}].{field} = {};", code(value));
        }
    }
    for l in s.links.iter().filter(|l| !l.elements.is_empty() || l.delay != s.delay) {
        let kinds: Vec<_> = l.elements.iter().map(|e| (e.id, &e.kind)).collect();
        println!(
            "    link(&mut s, [{}, {}, {}], {}, {});",
            l.id,
            l.from,
            l.to,
            l.delay,
            code(&format!("{kinds:?}"))
        );
    }
    for call in &s.calls {
        let different = differences(call, &CallSpec::default());
        let different: Vec<_> = different.iter().map(|(f, v)| code(&format!("{f}: {v}"))).collect();
        println!("    s.calls.push(CallSpec {{ {}, ..CallSpec::default() }});", different.join(", "));
    }
    s.versions.iter().for_each(|v| println!("    s.versions.push({v:?});"));
    s.actions.iter().for_each(|a| println!("    s.actions.push({});", code(&format!("{a:?}"))));
    println!("    s\n}}");
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seed: u64 = args[0].parse().expect("a seed");
    let mut scenario = swarm::scenario(seed);
    std::panic::set_hook(Box::new(|_| {}));
    let found = match campaign::run(&scenario, Sim::new) {
        Ok(report) => report.violations.first().cloned(),
        Err(violation) => Some(violation),
    };
    if let Some(found) = &found {
        println!("/// Seed {seed}: {:?}: {}", found.oracle, found.text);
        scenario = shrink(&scenario, Sim::new, found.oracle, 4000).scenario;
    }
    print(&scenario, args.get(1).map_or("scenario", String::as_str));
}
