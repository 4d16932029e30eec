# The project's commands. Each installs what it needs (Debian packages, crates).
CARGO ?= cargo
PORT ?= 1053

# Another order is another program: the number in its symbols makes Cargo see it.
ORDER = $(shell cat link/cc link/*.awk link/functions | cksum | cut -d' ' -f1)

.PHONY: order run release test lint e2e bench bench-quick bench-growth soak fixtures tools namespaces

## Serve the sample cluster on 127.0.0.1, no Kubernetes needed.
run: tools release
	@sh examples/run.sh target/release/seamark $(PORT)

## The program that people run: alone in its image, without a shared library.
release:
	$(CARGO) rustc --release --bin seamark -- -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs \
		-C linker=link/cc -C link-arg=-Wl,--defsym=seamark_order=$(ORDER)

## Lists anew what runs (root), for the order of functions in the program. Before a release, or when memory has grown.
order: tools namespaces release target/e2e/apiserver
	@sh link/list.sh

## Unit tests and black-box tests of the real binary.
test: tools
	$(CARGO) test

## Formatting, clippy with warnings as errors, licences.
lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check licenses bans sources; else echo "cargo-deny is not installed: licences not checked"; fi

## A real API server, restarts and reloads under load, side by side with CoreDNS; the node cache in network namespaces (root).
e2e: tools namespaces release
	@sh tests/e2e/run.sh

## docs/performance.md: CPU for each query, memory, events, beside the floor, Knot, Unbound and CoreDNS. Ten minutes.
bench: fixtures
	@sh benches/run.sh the_table

## Whether the program is as quick as docs/performance.md says. Three minutes.
bench-quick: fixtures
	@sh benches/run.sh as_the_page_claims

## The same at 1,000 to 50,000 Services.
bench-growth: fixtures
	@sh benches/run.sh growth::costs_stay_and_memory_is_linear

## A minute of full load, with reloads, changes and a re-list: each answer checked against what the API server holds.
soak: fixtures
	SEAMARK="$(CURDIR)/target/release/seamark" $(CARGO) test --test blackbox -- --ignored --nocapture --test-threads=1 soak::

namespaces:
	@command -v ip >/dev/null && command -v nft >/dev/null && command -v iptables >/dev/null || \
	{ apt-get update -qq && apt-get install -y -qq iproute2 nftables iptables >/dev/null; }

tools:
	@command -v dig >/dev/null && command -v dnsperf >/dev/null && command -v curl >/dev/null && \
	command -v etcd >/dev/null && command -v etcdctl >/dev/null || \
	{ apt-get update -qq && apt-get install -y -qq bind9-dnsutils dnsperf curl etcd-server etcd-client >/dev/null; }

fixtures: tools release target/e2e/apiserver target/e2e/soak target/e2e/floor

# Programs of the tests: tests/apiserver/README.md.
target/e2e/apiserver: $(wildcard tests/apiserver/*.go)
	@mkdir -p target/e2e
	cd tests/apiserver && go build -o ../../$@ .

target/e2e/soak: $(wildcard tests/apiserver/soak/*.go)
	@mkdir -p target/e2e
	cd tests/apiserver && go build -o ../../$@ ./soak

target/e2e/floor: benches/floor.c
	@mkdir -p target/e2e
	cc -O2 -o $@ $<
