//! The index of a cluster of 5,000 nodes: 8,000 services, one in ten headless with host names, 74,400 endpoints.

use seamark::kubernetes::{
    Details,
    index::{Index, Indexed},
    object::{WatchedPod, WatchedService, WatchedSlice},
};
use serde::de::DeserializeOwned;

use super::{Since, alone};

const SERVICES: usize = 8_000;
const ENDPOINTS: usize = 74_400;

fn decoded<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("an object")
}

fn name(number: usize) -> String {
    format!("{}-{number:05}", ["checkout", "payment-gateway", "redis", "user-profile-api"][number % 4])
}

fn service(number: usize) -> WatchedService {
    let address = match number % 10 {
        0 => "None".to_owned(),
        _ => format!("10.96.{}.{}", number / 250, number % 250),
    };
    decoded(&format!(
        r#"{{"metadata": {{"name": "{}", "namespace": "team-{}", "uid": "2f9c8f0e-6f0b-4a51-9c0e-{number:012}",
            "labels": {{"app": "{}"}}}},
          "spec": {{"clusterIP": "{address}", "clusterIPs": ["{address}"],
            "ports": [{{"name": "http", "port": 80}}, {{"name": "metrics", "port": 9090}}]}}}}"#,
        name(number),
        number % 200,
        name(number),
    ))
}

/// One slice for each hundred endpoints of a service; the first endpoint of all has this number.
fn slice(number: usize, first: usize, count: usize) -> WatchedSlice {
    let endpoints: Vec<String> = (first..first + count)
        .map(|at| {
            let hostname = if number.is_multiple_of(10) {
                format!(r#""hostname": "{}-{at}","#, name(number))
            } else {
                String::new()
            };
            format!(
                r#"{{"addresses": ["10.{}.{}.{}"], {hostname} "conditions": {{"ready": true}}, "zone": "eu-central-1{}",
                   "targetRef": {{"kind": "Pod", "name": "{}-7d4b9c6f5-{at:05}"}}}}"#,
                128 + at / 62_500,
                at / 250 % 250,
                at % 250,
                ["a", "b", "c"][at % 3],
                name(number),
            )
        })
        .collect();
    decoded(&format!(
        r#"{{"metadata": {{"name": "{}-{first:05}", "namespace": "team-{}",
             "labels": {{"kubernetes.io/service-name": "{}"}}}}, "addressType": "IPv4",
           "ports": [{{"name": "http", "port": 8080}}, {{"name": "metrics", "port": 9090}}], "endpoints": [{}]}}"#,
        name(number),
        number % 200,
        name(number),
        endpoints.join(","),
    ))
}

/// Gives the most octets that there were meanwhile.
fn list(index: &Index) -> isize {
    let before = Since::now();
    let mut most = 0;
    WatchedService::begin_relist(index);
    for number in 0..SERVICES {
        service(number).apply(index, 1);
        most = most.max(before.octets());
    }
    WatchedService::end_relist(index, 1);
    WatchedSlice::begin_relist(index);
    let mut first = 0;
    for number in 0..SERVICES {
        // Most services are small, a few large.
        let left = ENDPOINTS - first;
        let count = if number % 80 == 1 { 500 } else { 3 + number % 2 }.min(left);
        for start in (0..count).step_by(100) {
            slice(number, first + start, (count - start).min(100)).apply(index, 1);
            most = most.max(before.octets());
        }
        first += count;
    }
    assert_eq!(first, ENDPOINTS, "all endpoints are dealt out");
    WatchedSlice::end_relist(index, 1);
    most
}

#[test]
fn an_endpoint_takes_few_octets_with_all_that_belongs_to_it() {
    let _alone = alone();
    let before = Since::now();
    let index = Index::new(Details::default());
    let empty = before.octets();
    list(&index);
    let taken = (before.octets() - empty) as usize;
    println!("{taken} octets, {} for each endpoint", taken / ENDPOINTS);
    assert!(taken / ENDPOINTS <= 110, "{taken} octets for {ENDPOINTS} endpoints and {SERVICES} services");

    // A list of the same makes no second copy on the way, and leaves nothing behind.
    let before = Since::now();
    let most = list(&index);
    assert!(most < 64 * 1024, "{most} octets more during the re-list");
    assert!(before.octets().unsigned_abs() < 64 * 1024, "{} octets more behind the re-list", before.octets());
}

#[test]
fn a_pod_takes_few_octets() {
    const PODS: usize = 20_000;
    let _alone = alone();
    let index = Index::new(Details::default());
    let before = Since::now();
    for number in 0..PODS {
        let text = format!(
            r#"{{"metadata": {{"name": "{}-7d4b9c6f5-{number:05}", "namespace": "team-{}", "labels": {{"app": "x"}}}},
               "status": {{"phase": "Running", "podIP": "10.128.{}.{}"}}}}"#,
            name(number),
            number % 200,
            number / 250,
            number % 250,
        );
        decoded::<WatchedPod>(&text).apply(&index, 1);
    }
    let taken = before.octets() as usize / PODS;
    println!("{taken} octets for each pod");
    assert!(taken <= 280, "{taken} octets for each pod");
}
