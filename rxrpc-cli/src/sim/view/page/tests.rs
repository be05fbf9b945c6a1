use rxrpc_sim::scenario::{ElementKind, LossModel, Match, Mishap, Rule};
use rxrpc_sim::{Sim, swarm};
use serde_json::Value;

use super::super::Shared;
use super::*;

fn page(scenario: &Scenario, about: &str) -> (String, Report) {
    let page = Shared::new(Page::new(scenario, about));
    let mut sim = Sim::new(scenario.clone());
    sim.observe(Box::new(page.clone()));
    let report = sim.run();
    let mut out = Vec::new();
    page.take().unwrap().finish(&mut out, Some(&report)).unwrap();
    (String::from_utf8(out).unwrap(), report)
}

/// What lies in the page.
fn data(html: &str) -> Value {
    let (_, rest) = html.split_once(r#"<script type="application/json" id="run">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn rows<'a>(data: &'a Value, name: &str) -> &'a Vec<Value> {
    data[name].as_array().unwrap()
}

fn second_data_packet(mishap: Mishap) -> Scenario {
    let mut scenario = Scenario::new(4, 2);
    let packets = Match { seq: Some(2), ..Match::default() };
    let rule = Rule { packets, nth: 1, count: 1, mishap };
    scenario.link(0, 1, [ElementKind::Script(vec![rule])]);
    scenario.call(0, 1, 5_000, 100);
    scenario
}

#[test]
fn every_packet_is_there_with_what_became_of_it() {
    let (html, report) = page(&second_data_packet(Mishap::Drop), "one is lost");
    let data = data(&html);
    let packets = rows(&data, "packets");
    assert_eq!(packets.len() as u64, report.datagrams);
    let ends = || packets.iter().flat_map(|packet| packet[8].as_array().unwrap());
    let lost: Vec<_> = ends().filter(|end| end[1] != -1).collect();
    assert_eq!(lost.len(), 1);
    let reason = lost[0][1].as_u64().unwrap() as usize;
    assert_eq!(data["losses"][reason], "by the script");
    assert_eq!(ends().count(), packets.len());
    let again = packets.iter().filter(|p| p[6][3] == 1 && p[7][0][5] == 1).count();
    assert_eq!(again, 1, "it was sent again");
}

#[test]
fn both_sides_of_a_call_have_their_values_over_time() {
    let (html, _) = page(&second_data_packet(Mishap::Drop), "");
    let data = data(&html);
    assert_eq!(rows(&data, "calls").len(), 1);
    assert_eq!(data["calls"][0]["request"][0], 5_000);
    assert_eq!((&data["calls"][0]["client_node"], &data["calls"][0]["server_node"]), (&0.into(), &1.into()));
    let series = rows(&data, "series");
    let last = |client: bool| {
        let side = series.iter().find(|side| side["client"] == client).unwrap();
        assert_eq!((&side["call"], &side["outcome"]), (&0.into(), &"ok".into()));
        rows(side, "rows").last().unwrap().clone()
    };
    let (client, server) = (last(true), last(false));
    assert_eq!([&client[7], &client[8], &client[9]], [&5_000, &5_000, &100], "sent, acknowledged, received");
    assert_eq!([&server[7], &server[9]], [&100, &5_000]);
    assert!(client[1].as_u64().unwrap() < 10, "a loss has shrunk the window");
    assert!(client[5].as_u64().unwrap() >= 10_000, "the round trip in microseconds");
}

#[test]
fn damage_and_copies_are_described() {
    let (html, _) = page(&second_data_packet(Mishap::Duplicate), "");
    let copied = data(&html);
    let packet = rows(&copied, "packets").iter().find(|p| p[8].as_array().unwrap().len() == 2).unwrap();
    assert_eq!(packet[9][0]["copied"], packet[1]);
    assert_eq!(packet[8].as_array().unwrap().iter().filter(|end| end[2] == 1).count(), 1);
    assert_eq!(difference(&[1, 2, 3], &[1, 9, 3]), "octet 1 from 0x02 to 0x09");
    assert_eq!(difference(&[1, 2, 3], &[1]), "length from 3 to 1");
    assert_eq!(difference(&[1, 2, 3], &[9, 2, 9, 9]), "2 octets from 0 on, length from 3 to 4");
    assert_eq!(difference(&[1], &[1]), "");
}

#[test]
fn nothing_that_is_named_can_end_the_script_or_the_title() {
    let name = "</script><script>alert(1)</script> <!-- & \u{2028}";
    let (html, _) = page(&Scenario::new(1, 2), name);
    assert!(!html.contains("alert(1)</script>"));
    assert!(!html.contains("<!--"));
    assert_eq!(data(&html)["about"], name);
    assert!(html.contains("<title>&lt;/script&gt;&lt;script&gt;alert(1)"));
    assert_eq!(html.matches("</script>").count(), 3);
}

#[test]
fn the_page_needs_nothing_else() {
    let (html, _) = page(&Scenario::new(1, 2), "");
    for outside in ["http:", "https:", "src=", "@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn every_kind_of_run_makes_a_page() {
    let mut seen = [false; 4];
    for seed in 0..40 {
        let (html, report) = page(&swarm::scenario(seed), "swarm");
        let data = data(&html);
        let packets = rows(&data, "packets");
        assert!(packets.len() as u64 >= report.datagrams);
        seen[0] |= packets.iter().any(|p| p[2][0] == -1);
        seen[1] |= packets.iter().any(|p| p[9].to_string().contains("damaged"));
        seen[2] |= packets.iter().any(|p| p[8].as_array().unwrap().iter().any(|end| end[3] != p[3][0]));
        seen[3] |= !rows(&data, "errors").is_empty();
    }
    assert_eq!(seen, [true; 4], "attackers, damage, translated addresses, errors");
}

#[test]
fn a_lossy_run_shows_as_many_losses_as_there_were() {
    struct Count(std::rc::Rc<std::cell::Cell<usize>>);
    impl Observer for Count {
        fn datagram(&mut self, _: Instant, _: &Packet, fate: Fate) {
            self.0.set(self.0.get() + usize::from(matches!(fate, Fate::Lost(_))));
        }
    }
    let mut scenario = Scenario::new(8, 3);
    scenario.link(0, 1, [ElementKind::Loss(LossModel::Bernoulli { p: 0.1 })]);
    scenario.call(0, 1, 200_000, 10);
    scenario.call(2, 1, 2_000, 10);
    let count = std::rc::Rc::default();
    let mut sim = Sim::new(scenario.clone());
    sim.observe(Box::new(Count(std::rc::Rc::clone(&count))));
    sim.run();
    let data = data(&page(&scenario, "").0);
    let ends = rows(&data, "packets").iter().flat_map(|p| p[8].as_array().unwrap());
    assert!(count.get() > 5);
    assert_eq!(ends.filter(|end| end[1] != -1).count(), count.get());
}
