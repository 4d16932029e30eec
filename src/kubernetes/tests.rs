use std::{collections::BTreeMap, net::IpAddr};

use super::{
    index::{Index, Indexed},
    manifests::{Objects, Selection},
    object::{WatchedNamespace, WatchedPod, WatchedService, WatchedSlice},
};
use crate::versions::Seen;

const ALL: Selection = Selection { objects: None, namespaces: None, endpoints: true, pods: true, imports: true };

fn service(name: &str, address: &str) -> WatchedService {
    let text = format!(
        "{{metadata: {{name: {name}, namespace: one}}, spec: {{clusterIP: {address}, ports: [{{port: 80}}]}}}}"
    );
    serde_yaml::from_str(&text).unwrap()
}

fn slice(name: &str, service: &str, addresses: &[&str]) -> WatchedSlice {
    let endpoints: Vec<String> = addresses.iter().map(|address| format!("{{addresses: [{address}]}}")).collect();
    let text = format!(
        "{{metadata: {{name: {name}, namespace: one, labels: {{kubernetes.io/service-name: {service}}}}}, endpoints: [{}]}}",
        endpoints.join(", ")
    );
    serde_yaml::from_str(&text).unwrap()
}

/// All that can be asked of the index, as text.
fn picture(index: &Index) -> String {
    let mut lines = Vec::new();
    for number in 0..6 {
        let name = format!("s{number}");
        let service = index
            .local
            .service(b"one", name.as_bytes(), &mut Seen::default())
            .map(|service| format!("{:?}", service.kind));
        let mut slices: Vec<String> = index
            .local
            .slices(b"one", name.as_bytes(), &mut Seen::default())
            .iter()
            .map(|slice| slice.endpoints.addresses().map(|address| format!("{address} ")).collect::<String>())
            .collect();
        slices.sort();
        lines.push(format!(
            "{name}: {service:?} {slices:?} {}",
            index.local.has_endpoint(b"one", name.as_bytes(), &mut Seen::default())
        ));
    }
    for last in 0..8u8 {
        for address in [IpAddr::from([10, 96, 0, last]), IpAddr::from([10, 244, 0, last])] {
            let owner =
                index.local.service_of(address, &mut Seen::default()).map(|service| service.key.name().to_owned());
            let mut slices: Vec<_> = index
                .local
                .slices_of(address, &mut Seen::default())
                .iter()
                .map(|slice| slice.service.name().to_owned())
                .collect();
            slices.sort();
            lines.push(format!("{address}: {owner:?} {slices:?}"));
        }
    }
    lines.join("\n")
}

/// Any sequence of changes, lists taken anew among them, gives the index that the final set gives.
#[test]
fn the_index_is_that_of_the_final_set() {
    let mut seed = 1u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    for _ in 0..200 {
        let index = Index::default();
        let mut services: BTreeMap<String, String> = BTreeMap::new();
        let mut slices: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        for now in 1..60 {
            let name = format!("s{}", random(6));
            // Each service has addresses of its own, as the API server sees to it.
            let address = ["None".to_owned(), format!("10.96.0.{}", &name[1..])][random(2) as usize].clone();
            let slice_name = format!("slice{}", random(5));
            let addresses: Vec<String> = (0..random(4)).map(|_| format!("10.244.0.{}", random(8))).collect();
            match random(6) {
                0 | 1 => {
                    service(&name, &address).apply(&index, now);
                    services.insert(name, address);
                }
                2 | 3 => {
                    let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
                    slice(&slice_name, &name, &texts).apply(&index, now);
                    slices.insert(slice_name, (name, addresses));
                }
                4 => {
                    service(&name, "None").delete(&index, now);
                    services.remove(&name);
                    slice(&slice_name, "x", &[]).delete(&index, now);
                    slices.remove(&slice_name);
                }
                _ => {
                    // While the connection was down some objects have gone.
                    services.retain(|_, _| random(3) > 0);
                    slices.retain(|_, _| random(3) > 0);
                    relist(&index, &services, &slices, now);
                }
            }
        }
        let fresh = Index::default();
        relist(&fresh, &services, &slices, 1);
        assert_eq!(picture(&index), picture(&fresh), "{services:?} {slices:?}");
    }
}

fn relist(
    index: &Index,
    services: &BTreeMap<String, String>,
    slices: &BTreeMap<String, (String, Vec<String>)>,
    now: u32,
) {
    WatchedService::begin_relist(index);
    for (name, address) in services {
        service(name, address).apply(index, now);
    }
    WatchedService::end_relist(index, now);
    WatchedSlice::begin_relist(index);
    for (name, (service, addresses)) in slices {
        let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
        slice(name, service, &texts).apply(index, now);
    }
    WatchedSlice::end_relist(index, now);
}

#[test]
fn the_serial_moves_only_when_something_changes() {
    let index = Index::default();
    assert_eq!(index.local.serial(&mut Seen::default()), 0);
    service("a", "10.96.0.1").apply(&index, 100);
    assert_eq!(index.local.serial(&mut Seen::default()), 100);
    assert!(!service("a", "10.96.0.1").apply(&index, 200), "the same again");
    WatchedNamespace::named("two").apply(&index, 300);
    assert_eq!(index.local.serial(&mut Seen::default()), 100);
    slice("x", "a", &["10.244.0.1"]).apply(&index, 400);
    assert_eq!((index.local.serial(&mut Seen::default()), index.imported.serial(&mut Seen::default())), (400, 0));
    service("a", "10.96.0.1").delete(&index, 500);
    assert_eq!(index.local.serial(&mut Seen::default()), 500);
}

#[test]
fn absurd_objects_are_taken_for_what_they_are() {
    let text = "
kind: Service
metadata: {name: UPPER, namespace: One}
spec: {clusterIP: not-an-address}
---
kind: Service
metadata: {namespace: one}
---
kind: EndpointSlice
metadata: {name: odd, namespace: one, labels: {kubernetes.io/service-name: odd}}
addressType: FQDN
endpoints: [{addresses: [host.example.org]}]
---
kind: EndpointSlice
metadata: {name: wrong, namespace: one, labels: {kubernetes.io/service-name: wrong}}
endpoints: [{addresses: [10.0.0.300, ''], conditions: {ready: true}}, {}, {addresses: null}]
ports: [{port: 70000, name: p}, {}]
---
kind: EndpointSlice
metadata: {name: nobodys, namespace: one}
endpoints: [{addresses: [10.0.0.1]}]
---
kind: Deployment
metadata: {name: other}
---
# only a comment
";
    let mut objects = Objects::default();
    objects.add("text", text).unwrap();
    let index = Index::default();
    objects.apply(&index, &ALL, 1);
    assert!(index.local.service(b"one", b"upper", &mut Seen::default()).is_some(), "names are in small letters");
    assert!(!index.local.has_endpoint(b"one", b"odd", &mut Seen::default()));
    assert!(!index.local.has_endpoint(b"one", b"wrong", &mut Seen::default()));
    assert!(index.local.slices_of("10.0.0.1".parse().unwrap(), &mut Seen::default()).is_empty());
    assert!(index.has_namespace(b"one", &mut Seen::default()));
}

#[test]
fn wrong_yaml_names_its_line() {
    for (text, place) in [
        ("kind: Service\nmetadata: [\n", "text:2"),
        ("kind: Service\n---\nkind: Service\nmetadata: {name: x}\nspec: 7\n", "text:5"),
    ] {
        let error = Objects::default().add("text", text).unwrap_err().to_string();
        let line: usize = error.split(':').nth(1).unwrap().parse().unwrap();
        let wanted: usize = place.split(':').nth(1).unwrap().parse().unwrap();
        assert!(line.abs_diff(wanted) <= 1, "{error}, expected {place}");
    }
}

#[test]
fn a_slice_of_a_thousand_endpoints_is_found_by_each_address() {
    let addresses: Vec<String> = (0..1000).map(|n| format!("10.{}.{}.1", n / 250, n % 250)).collect();
    let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let index = Index::default();
    slice("big", "big", &texts).apply(&index, 1);
    assert!(texts.iter().all(|text| index.local.slices_of(text.parse().unwrap(), &mut Seen::default()).len() == 1));
    slice("big", "big", &texts[..1]).apply(&index, 2);
    assert_eq!(
        texts
            .iter()
            .filter(|text| !index.local.slices_of(text.parse().unwrap(), &mut Seen::default()).is_empty())
            .count(),
        1
    );
}

/// Who has the address 10.244.0.1, with these pods applied in order: `name namespace created flags`.
#[test]
fn of_pods_with_one_address_the_newest_that_lives_has_it() {
    for (pods, owners) in [
        (&["a one 10"][..], "one"),
        (&["a one 10", "b two 20"], "two"),
        (&["b two 20", "a one 10"], "two"),
        (&["a one 10", "b two 20 deleting"], "one"),
        (&["a one 10 deleting"], "one"),
        (&["a one 10", "b two 20 ended"], "one"),
        (&["a one 10 host", "b two 20 host"], "one two"),
        (&["a one 10 host", "b two 5"], "two"),
        (&["a one 10 ended"], ""),
        (&["a one 10", "a one 10 deleting", "a one 10 ended"], ""),
    ] {
        let index = Index::default();
        for text in pods {
            pod(text, &index);
        }
        let address = IpAddr::from([10, 244, 0, 1]);
        let found: Vec<&str> =
            ["one", "two"].into_iter().filter(|namespace| index.is_client(namespace.as_bytes(), address)).collect();
        assert_eq!(found.join(" "), owners, "{pods:?}");
        assert!(!index.is_client(b"one", IpAddr::from([10, 244, 0, 2])));
    }
}

/// A pod that is first heard of while it is being deleted is not kept, so that it is applied alive before.
fn pod(text: &str, index: &Index) {
    let words: Vec<&str> = text.split(' ').collect();
    let made = |deleting: bool| -> WatchedPod {
        let phase = if words.contains(&"ended") { "Succeeded" } else { "Running" };
        let deletion = if deleting { ", deletionTimestamp: \"2026-01-01T00:00:00Z\"" } else { "" };
        let text = format!(
            "{{metadata: {{name: {}, namespace: {}, creationTimestamp: \"2026-01-01T00:00:{:0>2}Z\"{deletion}}}, \
             spec: {{hostNetwork: {}}}, status: {{phase: {phase}, podIP: 10.244.0.1}}}}",
            words[0],
            words[1],
            words[2],
            words.contains(&"host")
        );
        serde_yaml::from_str(&text).unwrap()
    };
    made(false).apply(index, 1);
    if words.contains(&"deleting") {
        made(true).apply(index, 2);
    }
}

#[test]
fn the_serial_of_the_outside_moves_with_what_is_seen_there() {
    let made = |spec: &str, ingress: &str| -> WatchedService {
        let text = format!(
            "{{metadata: {{name: a, namespace: one}}, spec: {{clusterIP: 10.96.0.1, {spec}}}, \
             status: {{loadBalancer: {{ingress: [{ingress}]}}}}}}"
        );
        serde_yaml::from_str(&text).unwrap()
    };
    let index = Index::default();
    let serials = || (index.local.serial(&mut Seen::default()), index.local.external_serial());
    let owners = |text: &str| index.local.services_at(text.parse().unwrap()).len();
    made("ports: [{port: 80}]", "").apply(&index, 1);
    assert_eq!(serials(), (1, 0), "nothing of it is outside");
    made("ports: [{port: 80}], externalIPs: [192.0.2.1]", "{ip: 192.0.2.1}, {ip: 192.0.2.2}").apply(&index, 2);
    assert_eq!(serials(), (1, 2), "nothing has changed inside");
    assert_eq!((owners("192.0.2.1"), owners("192.0.2.2"), owners("192.0.2.3")), (1, 1, 0));
    made("ports: [{port: 81}], externalIPs: [192.0.2.3]", "{hostname: lb.test}").apply(&index, 3);
    assert_eq!(serials(), (3, 3), "ports are seen on both sides");
    assert_eq!((owners("192.0.2.1"), owners("192.0.2.2"), owners("192.0.2.3")), (0, 0, 1));
    made("ports: [{port: 81}]", "").delete(&index, 4);
    assert_eq!((serials(), owners("192.0.2.3")), ((4, 4), 0));
}
