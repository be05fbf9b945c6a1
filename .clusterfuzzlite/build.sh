#!/bin/bash -eu
# Every target with its corpus and its options, where ClusterFuzzLite looks for them.
cd "$SRC/rxrpc/fuzz"
cargo fuzz build --release --debug-assertions
for target in packet endpoint pair; do
  cp "target/x86_64-unknown-linux-gnu/release/$target" "$OUT/"
  zip -q -j -r "$OUT/${target}_seed_corpus.zip" "corpus/$target"
  case $target in
    packet) max_len=6000 ;;
    *) max_len=1500 ;;
  esac
  printf '[libfuzzer]\nmax_len = %s\ntimeout = 25\n' "$max_len" > "$OUT/$target.options"
done
