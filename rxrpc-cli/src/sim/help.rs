//! The long part of `--help`.

pub(super) const SIM: &str = "\
Everything is simulated: the endpoints are real, the network, the clocks and the applications are not. A run is
decided by its scenario and its seed alone and repeats to the bit. Oracles watch every run.

Exit codes: 0 all held, 1 something did not, 2 usage, or a scenario that cannot be read.

Examples:
  rxrpc sim run --seeds 0..10000               a campaign in swarm mode
  rxrpc sim run --seeds 4711 --ladder          one seed, and its last packets
  rxrpc sim run --seeds 4711 --html run.html   a page to look at it
  rxrpc sim run --scenario lossy.toml          a scenario of your own
  rxrpc sim check --seeds 0..100               does every seed repeat?";

pub(super) const RUN: &str = "\
In swarm mode each seed draws nodes, links with faults, calls and mishaps. A scenario file fixes them; the format is
described in rxrpc-sim/SCENARIOS.md. In short: times are \"5ms\", \"30 s\" or microseconds, what is left out is as
usual, an [expect] table says what the run must come to:

  about = \"Two calls over a link that loses every tenth packet.\"
  seed = 1
  [[nodes]]
  [[nodes]]
  [[links]]
  from = 0
  to = 1
  delay = \"20ms\"
  elements = [{ kind = { loss = { bernoulli = { p = 0.1 } } } }]
  [[calls]]
  client = 0
  server = 1
  request = { len = 100_000 }
  repeat = 2
  [expect]
  reached = [\"loss loss 3\", \"ack OOS\"]           # KIND NAME [AT LEAST]
  never = [\"packet abort\"]
  outcome = { ok = 2 }                             # exactly these ends at the clients

A seed that fails leaves sim-failures/SEED.toml, which replays it, and SEED-min.toml, the same with everything taken
away that it fails without. Swarm mode with 10000 seeds or more also fails if something was never reached: a fault, a
packet type, a reason of an ACK, a stage of a call, a limit, an end of a call, an error of an operation, and so on.

Examples:
  rxrpc sim run --seeds 0..200_000
  rxrpc sim run --seeds 0..1_000_000 --shard 2/8 --out shard2.json
  rxrpc sim run --seeds 0..10_000 --harness full --coverage
  rxrpc sim run --scenario sim-failures/4711-min.toml --ladder
  rxrpc sim run --seeds 4711 --html run.html --pcap run.pcapng --trace run.jsonl
  rxrpc sim run --scenario lossy.toml --seeds 0..1000 --coverage
  rxrpc sim run --scenario rxrpc-sim/scenarios     every scenario of a folder

Exit codes: 0 all held, 1 a seed failed or something was not reached, 2 usage, or a scenario that cannot be read.";

pub(super) const CHECK: &str = "\
Both runs of a seed go side by side and are compared after every event, so that the first difference is named.

Examples:
  rxrpc sim check --seeds 0..1000
  rxrpc sim check --scenario lossy.toml --seeds 0..100
  rxrpc sim check --scenario rxrpc-sim/scenarios --harness full

Exit codes: 0 all repeat, 1 one does not, 2 usage, or a scenario that cannot be read.";

pub(super) const REPORT: &str = "\
The files may be shards of one campaign or different campaigns. Seeds that two files count are an error, shards that are
missing are noticed. The hash of all files is that of one command that ran all their seeds.

Examples:
  rxrpc sim run --seeds 0..1000000 --shard 0/2 --out 0.json      on one machine
  rxrpc sim run --seeds 0..1000000 --shard 1/2 --out 1.json      on another
  rxrpc sim report 0.json 1.json

Exit codes: 0 all held, 1 a seed failed, was counted twice or, of 10000 seeds of swarm mode, something was not reached, 2 usage.";
