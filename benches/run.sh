#!/bin/sh
# Installs Knot, Unbound and CoreDNS 1.15.0, builds the rest, and runs one of the measurements of tests/bench.
set -eu
cd "$(dirname "$0")/.."
command -v unbound >/dev/null && command -v knotd >/dev/null ||
    { apt-get update -qq && apt-get install -y -qq unbound knot >/dev/null; }
[ -x target/e2e/coredns ] || GOBIN="$PWD/target/e2e" go install github.com/coredns/coredns@v1.15.0
SEAMARK="$PWD/target/release/seamark" COREDNS="$PWD/target/e2e/coredns" FLOOR="$PWD/target/e2e/floor" \
    ${CARGO:-cargo} test --test blackbox -- --ignored --nocapture --exact "bench::$1"
