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
export SEAMARK="$PWD/target/release/seamark" COREDNS="$PWD/target/e2e/coredns"
# What measures time, memory or losses runs alone; all else mostly waits, and beside one another.
alone="upstream_load:: live::no_query autoscale::five_thousand autoscale::changes_are node::a_million node::whatever files:: directives:: profile::"
skips=$(printf -- '--skip %s ' $alone)
status=0
cargo test --test blackbox -- --ignored --skip bench:: --skip soak:: $skips --test-threads=3 --show-output || status=$?
cargo test --test blackbox -- --ignored $alone --test-threads=1 --nocapture || status=$?
exit $status
