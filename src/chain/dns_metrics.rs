use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    sync::OnceLock,
    time::Duration,
};

use super::{Recurrence, Tally, Transport};
use crate::{
    metrics::{Counter, CounterFamily, Histogram, HistogramFamily, Registry, SIZE_BUCKETS, TIME_BUCKETS},
    wire::{Rcode, RecordType},
};

/// Types that have a value of their own in the `type` label; all others are `other`.
const TYPES: [RecordType; 19] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::DNSKEY,
    RecordType::DS,
    RecordType::MX,
    RecordType::NS,
    RecordType::NSEC,
    RecordType::NSEC3,
    RecordType::PTR,
    RecordType::RRSIG,
    RecordType::SOA,
    RecordType::SRV,
    RecordType::TXT,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::IXFR,
    RecordType::AXFR,
    RecordType::ANY,
];
const LANES: usize = 4;
const RCODES: usize = 17;
/// Plugins with a handle of their own for each response code; beyond them a look-up is made.
const PLUGINS: usize = 6;

/// The families that count queries and answers of a server (`coredns_dns_*`).
#[derive(Clone)]
pub struct DnsFamilies {
    requests: CounterFamily,
    duration: HistogramFamily,
    request_size: HistogramFamily,
    with_do: CounterFamily,
    response_size: HistogramFamily,
    responses: CounterFamily,
}

/// One query and its answer, as the metrics see them.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// How it came.
    pub transport: Transport,
    /// Who asked.
    pub peer: SocketAddr,
    /// QTYPE.
    pub record_type: RecordType,
    /// DO of the query.
    pub dnssec_ok: bool,
    /// Length of the query in octets.
    pub request_size: usize,
    /// Length of the answer in octets.
    pub response_size: usize,
    /// Response code.
    pub rcode: Rcode,
    /// Who answered.
    pub plugin: &'static str,
    /// From arrival to departure.
    pub duration: Duration,
}

impl DnsFamilies {
    /// Makes the families, or finds them if they are there.
    pub fn register(registry: &Registry) -> Self {
        let place = ["server", "zone", "view"];
        Self {
            requests: registry.counter(
                "coredns_dns_requests_total",
                "DNS requests by server, zone, view, protocol, address family and type.",
                &["server", "zone", "view", "proto", "family", "type"],
            ),
            duration: registry.histogram(
                "coredns_dns_request_duration_seconds",
                "Seconds from the arrival of a request to the departure of its answer.",
                &place,
                &TIME_BUCKETS,
            ),
            request_size: registry.histogram(
                "coredns_dns_request_size_bytes",
                "Size of requests in octets.",
                &["server", "zone", "view", "proto"],
                &SIZE_BUCKETS,
            ),
            with_do: registry.counter("coredns_dns_do_requests_total", "DNS requests with the DO bit set.", &place),
            response_size: registry.histogram(
                "coredns_dns_response_size_bytes",
                "Size of answers in octets.",
                &["server", "zone", "view", "proto"],
                &SIZE_BUCKETS,
            ),
            responses: registry.counter(
                "coredns_dns_responses_total",
                "Answers by response code and by the plugin that gave them.",
                &["server", "zone", "view", "rcode", "plugin"],
            ),
        }
    }

    /// Handles for one server and zone. Series appear when they are first counted.
    pub fn bind(&self, server: &str, zone: &str, view: &str) -> DnsHandles {
        DnsHandles {
            families: self.clone(),
            labels: [server.to_owned(), zone.to_owned(), view.to_owned()],
            requests: std::array::from_fn(|_| OnceLock::new()),
            duration: OnceLock::new(),
            with_do: OnceLock::new(),
            request_size: std::array::from_fn(|_| OnceLock::new()),
            response_size: std::array::from_fn(|_| OnceLock::new()),
            responses: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
        }
    }
}

/// Handles of one server and zone: counting costs no look-up by label once a series is there.
pub struct DnsHandles {
    families: DnsFamilies,
    labels: [String; 3],
    requests: [OnceLock<Counter>; LANES * (TYPES.len() + 1)],
    duration: OnceLock<Histogram>,
    with_do: OnceLock<Counter>,
    request_size: [OnceLock<Histogram>; 2],
    response_size: [OnceLock<Histogram>; 2],
    /// By response code; the plugins that are first seen with a code have a place.
    responses: [[OnceLock<(&'static str, Counter)>; PLUGINS]; RCODES],
}

impl DnsHandles {
    /// Counts an exchange.
    pub fn observe(&self, exchange: &Exchange) {
        self.request(exchange).inc();
        self.duration().observe(exchange.duration.as_secs_f64());
        if exchange.dnssec_ok {
            self.with_do().inc();
        }
        let [request, response] = self.sizes(exchange.transport);
        request.observe(exchange.request_size as f64);
        response.observe(exchange.response_size as f64);
        self.response(exchange, Counter::inc);
    }

    /// Counts exchanges that differ from this one in their duration, and in their sizes within the same buckets.
    pub fn recurring(&self, exchange: &Exchange) -> Tally {
        let (request, response) = (self.request(exchange).clone(), self.response(exchange, Counter::clone));
        let with_do = exchange.dnssec_ok.then(|| self.with_do().clone());
        let duration = self.duration().clone();
        let [request_size, response_size] = self.sizes(exchange.transport).map(Histogram::clone);
        let [request_bucket, response_bucket] = self.size_buckets(exchange);
        let count = move |recurrence: &Recurrence| {
            let Recurrence { times, took, request_octets, response_octets } = *recurrence;
            request.inc_by(times);
            response.inc_by(times);
            if let Some(with_do) = &with_do {
                with_do.inc_by(times);
            }
            duration.observe_times(took.as_secs_f64(), times);
            request_size.observe_within(request_bucket, request_octets as f64, times);
            response_size.observe_within(response_bucket, response_octets as f64, times);
        };
        Tally { identity: self.identity(exchange), count: Box::new(count) }
    }

    fn identity(&self, exchange: &Exchange) -> u64 {
        let Exchange { peer, record_type, dnssec_ok, rcode, plugin, .. } = *exchange;
        let mut hasher = DefaultHasher::new();
        std::ptr::from_ref(self).addr().hash(&mut hasher);
        (peer.ip().to_canonical().is_ipv6(), exchange.transport, record_type, dnssec_ok).hash(&mut hasher);
        (self.size_buckets(exchange), rcode.0, plugin).hash(&mut hasher);
        hasher.finish()
    }

    /// Of the request's and the response's size.
    fn size_buckets(&self, exchange: &Exchange) -> [usize; 2] {
        let [request, response] = self.sizes(exchange.transport);
        [request.bucket(exchange.request_size as f64), response.bucket(exchange.response_size as f64)]
    }

    fn place(&self) -> [&str; 3] {
        self.labels.each_ref().map(String::as_str)
    }

    fn duration(&self) -> &Histogram {
        self.duration.get_or_init(|| self.families.duration.with_label_values(&self.place()))
    }

    fn with_do(&self) -> &Counter {
        self.with_do.get_or_init(|| self.families.with_do.with_label_values(&self.place()))
    }

    /// Of requests and of responses.
    fn sizes(&self, transport: Transport) -> [&Histogram; 2] {
        let tcp = usize::from(transport.is_over_tcp());
        let [server, zone, view] = self.place();
        let labels = [server, zone, view, transport.as_str()];
        let of = |family: &HistogramFamily| family.with_label_values(&labels);
        [
            self.request_size[tcp].get_or_init(|| of(&self.families.request_size)),
            self.response_size[tcp].get_or_init(|| of(&self.families.response_size)),
        ]
    }

    fn request(&self, exchange: &Exchange) -> &Counter {
        let ipv6 = match exchange.peer {
            SocketAddr::V4(_) => false,
            SocketAddr::V6(peer) => peer.ip().to_ipv4_mapped().is_none(),
        };
        let known = TYPES.iter().position(|&known| known == exchange.record_type);
        let lane = usize::from(exchange.transport.is_over_tcp()) * 2 + usize::from(ipv6);
        self.requests[lane * (TYPES.len() + 1) + known.unwrap_or(TYPES.len())].get_or_init(|| {
            let [server, zone, view] = self.place();
            let (proto, family) = (exchange.transport.as_str(), if ipv6 { "2" } else { "1" });
            let kind = known.and_then(|at| TYPES[at].mnemonic()).unwrap_or("other");
            self.families.requests.with_label_values(&[server, zone, view, proto, family, kind])
        })
    }

    fn response<R>(&self, exchange: &Exchange, use_counter: impl FnOnce(&Counter) -> R) -> R {
        let counter = || {
            let ([server, zone, view], rcode) = (self.place(), exchange.rcode.to_string());
            self.families.responses.with_label_values(&[server, zone, view, &rcode, exchange.plugin])
        };
        let places = self.responses.get(usize::from(exchange.rcode.0)).into_iter().flatten();
        for place in places {
            let (plugin, fast) = place.get_or_init(|| (exchange.plugin, counter()));
            if *plugin == exchange.plugin {
                return use_counter(fast);
            }
        }
        use_counter(&counter())
    }
}
