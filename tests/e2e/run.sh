#!/bin/sh
# Builds the live cluster, clients of another make and CoreDNS 1.15.0 (all once), then runs the tests that need them.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p target/e2e
(cd tests/apiserver && go build -o ../../target/e2e/apiserver .)
(cd tests/e2e/callers && go build -o ../../../target/e2e/callers .)
if [ ! -x target/e2e/coredns ]; then
    GOBIN="$PWD/target/e2e" go install github.com/coredns/coredns@v1.15.0
fi
# Encrypted clients that `dig` is none of, against CoreDNS.
SUBJECT="$PWD/target/e2e/coredns" cargo test --test blackbox -- encrypted::every_transport encrypted::clients_show
# The program under load is the one that people run, as `make release` has built it.
SEAMARK="$PWD/target/release/seamark" COREDNS="$PWD/target/e2e/coredns" \
    cargo test --test blackbox -- --ignored --skip bench:: --skip soak:: --test-threads=1 --nocapture
