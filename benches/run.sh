#!/bin/sh
# CPU of the server per query, kernel included, beside a floor in C, Unbound and CoreDNS 1.15.0: cluster names, cache hits
# and forward misses. The server has one core, dnsperf and the upstream the other. Prints each round and the medians;
# figures of one run compare, figures of two runs do not.
set -eu
cd "$(dirname "$0")/.."
mkdir -p target/e2e
command -v unbound >/dev/null || { apt-get update -qq && apt-get install -y -qq unbound >/dev/null; }
(cd tests/apiserver && go build -o ../../target/e2e/apiserver .)
[ -x target/e2e/coredns ] || GOBIN="$PWD/target/e2e" go install github.com/coredns/coredns@v1.15.0
cc -O2 -o target/e2e/floor benches/floor.c
SEAMARK="$PWD/target/release/seamark" COREDNS="$PWD/target/e2e/coredns" FLOOR="$PWD/target/e2e/floor" \
    cargo test --test blackbox -- --ignored --nocapture --exact bench::cpu_per_query
