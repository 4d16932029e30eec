//! What an operator can say in a Corefile. Each plugin is a folder: README, `config.rs`, `mod.rs`.

pub mod acl;
pub mod any;
pub mod auto;
pub mod autopath;
pub mod bind;
pub mod bufsize;
pub mod cache;
pub mod cancel;
pub mod chaos;
pub mod debug;
pub mod dns64;
pub mod dnssec;
pub mod dnstap;
pub mod dynupdate;
pub mod erratic;
pub mod errors;
pub mod etcd;
pub mod file;
pub mod forward;
pub mod geoip;
pub mod grpc;
pub mod grpc_server;
pub mod header;
pub mod health;
pub mod hosts;
pub mod https;
pub mod https3;
pub mod k8s_external;
pub mod kubernetes;
pub mod loadbalance;
pub mod local;
pub mod log;
pub mod loop_guard;
pub mod metadata;
pub mod minimal;
pub mod multisocket;
pub mod nsid;
pub mod on;
pub mod pprof;
pub mod prometheus;
pub mod proxyproto;
pub mod quic;
pub mod ready;
pub mod reload;
pub mod rewrite;
pub mod root;
pub mod secondary;
pub mod shed;
pub mod sign;
pub mod siit;
pub mod template;
pub mod timeouts;
pub mod tls;
pub mod trace;
pub mod transfer;
pub mod tsig;
pub mod view;
pub mod whoami;

use crate::chain::Directive;

/// All directives in the order in which a query meets them, whatever the order in the Corefile. It is CoreDNS
/// 1.15.0's order: what stands higher sees what stands lower, on the way in and on the way out.
pub const DIRECTIVES: &[Directive] = &[
    view::DIRECTIVE,       // which queries come in at all; its name is a label of the metrics of those below
    root::DIRECTIVE,       // before all that name files
    metadata::DIRECTIVE,   // before all that read labels, or keep something for their sake
    geoip::DIRECTIVE,      // knows labels
    cancel::DIRECTIVE,     // bounds the wait for those below
    proxyproto::DIRECTIVE, // who asks, before all that look at clients
    quic::DIRECTIVE,       // only sets limits, as the next three
    grpc_server::DIRECTIVE,
    https::DIRECTIVE,
    https3::DIRECTIVE,
    timeouts::DIRECTIVE,     // only sets limits
    multisocket::DIRECTIVE,  // changes nothing
    reload::DIRECTIVE,       // only sets when the Corefile is read again
    nsid::DIRECTIVE,         // marks every answer
    bufsize::DIRECTIVE,      // what those below may send, and ask upstreams for
    bind::DIRECTIVE,         // before all that name their metrics by listener
    debug::DIRECTIVE,        // only sets a switch
    trace::DIRECTIVE,        // its spans hold all that those below do
    ready::DIRECTIVE,        // an HTTP endpoint
    health::DIRECTIVE,       // an HTTP endpoint
    pprof::DIRECTIVE,        // HTTP endpoints
    shed::DIRECTIVE,         // only sets what sockets do; before those who count queries
    prometheus::DIRECTIVE,   // sees every answer, errors and hits included
    errors::DIRECTIVE,       // sees every failure of those below
    log::DIRECTIVE,          // sees every answer of those below
    dnstap::DIRECTIVE,       // copies of the client's messages and of those to upstreams
    local::DIRECTIVE,        // nobody else is to be asked for these
    dns64::DIRECTIVE,        // asks those below a second time
    siit::DIRECTIVE,         // as dns64, the other way round
    any::DIRECTIVE,          // before anybody makes a long answer
    chaos::DIRECTIVE,        // names of this server itself
    loadbalance::DIRECTIVE,  // shuffles hits of the cache too
    tsig::DIRECTIVE,         // who must prove who he is gets nothing from those below before
    rewrite::DIRECTIVE,      // answers are kept under the question that is in force
    autopath::DIRECTIVE,     // its answers are one client's: the cache below keeps the names of the list instead
    acl::DIRECTIVE,          // who may not ask gets nothing from the cache either
    cache::DIRECTIVE,        // keeps what those below answer
    header::DIRECTIVE,       // its flags are kept by the cache
    dnssec::DIRECTIVE,       // its signatures are kept by the cache
    tls::DIRECTIVE,          // only sets who we are
    minimal::DIRECTIVE,      // its short answers are kept by the cache
    template::DIRECTIVE,     // answers by rule go before answers by data
    transfer::DIRECTIVE,     // asks those below for whole zones
    dynupdate::DIRECTIVE,    // its zones are nobody else's
    hosts::DIRECTIVE,        // an operator's own names go before the cluster's
    k8s_external::DIRECTIVE, // names and addresses outside of the cluster, before those inside
    kubernetes::DIRECTIVE,   // the cluster's names go before the world's
    sign::DIRECTIVE,         // no query meets it; before `file`, which reads what it writes
    file::DIRECTIVE,         // names by hand go before the world's
    auto::DIRECTIVE,         // as file
    secondary::DIRECTIVE,    // as file
    etcd::DIRECTIVE,         // names that others have registered go before the world's
    loop_guard::DIRECTIVE,   // sees what would be forwarded
    forward::DIRECTIVE,      // everything else
    grpc::DIRECTIVE,         // what forward leaves
    erratic::DIRECTIVE,      // answers, or does not
    whoami::DIRECTIVE,       // answers whatever is left
    on::DIRECTIVE,           // runs programs
];

#[cfg(test)]
mod tests {
    use super::DIRECTIVES;

    /// All directives of CoreDNS 1.15.0 in its order, those that are not here included.
    const COREDNS: &str = "root metadata geoip cancel proxyproto quic grpc_server https https3 timeouts multisocket reload \
                           nsid bufsize bind debug trace ready health pprof shed prometheus errors log dnstap local dns64 \
                           siit any chaos loadbalance tsig rewrite autopath acl cache header dnssec tls minimal template \
                           transfer dynupdate hosts route53 azure clouddns k8s_external kubernetes file auto secondary etcd \
                           loop forward grpc erratic whoami on sign view nomad";

    #[test]
    fn directives_act_in_the_order_of_coredns() {
        // A view is looked at before the chain begins, wherever it stands in CoreDNS's list.
        let (first, others) = DIRECTIVES.split_first().unwrap();
        assert_eq!(first.name, "view");
        let mut order = COREDNS.split_whitespace();
        // `sign` answers nothing: it only has to have signed before `file` reads.
        for directive in others.iter().filter(|directive| directive.name != "sign") {
            let name = directive.name;
            assert!(order.any(|known| known == name), "`{name}` is not where CoreDNS has it");
        }
    }
}
