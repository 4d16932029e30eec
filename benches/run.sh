#!/bin/sh
# CPU per query of seamark and CoreDNS 1.15.0 for cluster names of examples/cluster, dnsperf on the other core.
# Prints a line per program; figures of one run compare, figures of two runs do not.
set -eu
cd "$(dirname "$0")/.."
mkdir -p target/e2e
(cd tests/apiserver && go build -o ../../target/e2e/apiserver .)
[ -x target/e2e/coredns ] || GOBIN="$PWD/target/e2e" go install github.com/coredns/coredns@v1.15.0
COREDNS="$PWD/target/e2e/coredns" cargo test --release --test blackbox -- --ignored --nocapture --exact bench::cluster_names
