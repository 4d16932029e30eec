//! Black-box tests: the real binary, asked with `dig`. Those marked as ignored need what `make e2e` builds.

mod again;
mod autoscale;
mod bench;
mod check;
mod corefiles;
mod directives;
mod dnstap;
mod docs;
mod encrypted;
mod explain;
mod faults;
mod layers;
mod live;
mod node;
mod node_search;
mod scenarios;
mod serve;
mod soak;
mod stock;
mod support;
mod trace;
mod transfer;
mod tsig;
mod upstream_faults;
mod upstream_load;
mod upstreams;
