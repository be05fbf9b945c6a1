#!/bin/bash -eu
# Every target, with its seeds and its options, where ClusterFuzzLite looks for them. Needs cargo-fuzz on nightly Rust.
cd "$SRC/rxrpc"
cargo fuzz build --release --debug-assertions
built=${CARGO_TARGET_DIR:-fuzz/target}/x86_64-unknown-linux-gnu/release
for target in $(cargo fuzz list); do
  cp "$built/$target" "fuzz/fuzz_targets/$target.options" "$OUT/"
  rm -f "$OUT/${target}_seed_corpus.zip"
  zip -q -j -r "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target"
done
