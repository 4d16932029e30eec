//! The original's tables of the two modes, what Go's decoder lets pass, and what is refused.

use super::{COMPAT, OURS, mk_data, mk_size};
use crate::autoscale::{
    params::{Data, Params, Rules},
    size::{Count, Size},
};

fn count(mode: &str, text: &str, size: Size, rules: Rules) -> i32 {
    let params = Params::read(&mk_data(mode, text), rules).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    params.replicas(size, rules, &mut |_| {}).unwrap_or_else(|unfit| panic!("{text}: {unfit}"))
}

#[test]
fn linear_over_one_dimension() {
    for (x, replicas) in [
        (0, 2),
        (1, 2),
        (2, 2),
        (3, 2),
        (4, 2),
        (6, 3),
        (10, 5),
        (11, 6),
        (19, 10),
        (20, 10),
        (21, 11),
        (30, 15),
        (40, 20),
    ] {
        let cores = r#"{"coresPerReplica": 2, "min": 2, "max": 100}"#;
        assert_eq!(count("linear", cores, mk_size(x, 0), OURS), replicas, "{x} cores");
        let nodes = r#"{"nodesPerReplica": 2, "min": 2, "max": 100}"#;
        assert_eq!(count("linear", nodes, mk_size(0, x), OURS), replicas, "{x} nodes");
    }
}

#[test]
fn linear_over_cores_and_nodes_with_the_guard() {
    let text =
        r#"{"coresPerReplica": 2, "nodesPerReplica": 2.5, "min": 1, "max": 100, "preventSinglePointFailure": true}"#;
    for (cores, nodes, replicas) in [
        (0, 0, 1),
        (1, 2, 2),
        (2, 3, 2),
        (3, 4, 2),
        (4, 4, 2),
        (6, 4, 3),
        (6, 5, 3),
        (8, 5, 4),
        (8, 15, 6),
        (8, 16, 7),
        (19, 21, 10),
        (23, 20, 12),
        (26, 38, 16),
        (30, 49, 20),
        (40, 20, 20),
    ] {
        assert_eq!(count("linear", text, mk_size(cores, nodes), OURS), replicas, "{cores} cores, {nodes} nodes");
    }
}

#[test]
fn linear_over_all_nodes() {
    let text = r#"{"coresPerReplica": 2, "nodesPerReplica": 2, "max": 100, "preventSinglePointFailure": true,
        "includeUnschedulableNodes": true}"#;
    for (all, schedulable, replicas) in
        [(0, 0, 1), (1, 1, 1), (2, 2, 2), (4, 4, 2), (4, 2, 2), (8, 8, 4), (8, 6, 4), (210, 21, 100)]
    {
        let both = Count { all, schedulable };
        let size = Size { nodes: both, cores: both, unready: all - schedulable };
        assert_eq!(count("linear", text, size, OURS), replicas, "{all} nodes, {schedulable} schedulable");
    }
}

/// Division and not multiplication by the reciprocal, in binary64 and not in decimal; the guard behind the limits.
#[test]
fn linear_at_the_edges_of_the_arithmetic() {
    for (text, cores, nodes, replicas) in [
        (r#"{"coresPerReplica": 99}"#, 297, 0, 3),
        (r#"{"nodesPerReplica": 1.4}"#, 0, 42, 31),
        (r#"{"nodesPerReplica": 16, "max": 1, "preventSinglePointFailure": true}"#, 0, 2, 2),
        (r#"{"nodesPerReplica": 16, "max": 1, "preventSinglePointFailure": true}"#, 0, 1, 1),
        (r#"{"nodesPerReplica": 16, "min": 0}"#, 0, 0, 1),
        (r#"{"coresPerReplica": 1e-300, "max": 7}"#, 5, 5, 7),
        // Kubespray's.
        (r#"{"coresPerReplica":256,"min":2,"nodesPerReplica":16,"preventSinglePointFailure":true}"#, 132, 33, 3),
        (r#"{"coresPerReplica":256,"min":2,"nodesPerReplica":16,"preventSinglePointFailure":true}"#, 4, 1, 2),
        (r#"{"coresPerReplica":256,"min":2,"nodesPerReplica":16,"preventSinglePointFailure":true}"#, 3000, 40, 12),
    ] {
        assert_eq!(count("linear", text, mk_size(cores, nodes), OURS), replicas, "{text}");
    }
}

#[test]
fn ladder_over_one_dimension() {
    let rungs = "[[1,1],[2,2],[3,3],[4,4],[10,10],[20,20]]";
    for (x, replicas) in
        [(0, 1), (1, 1), (2, 2), (3, 3), (4, 4), (6, 4), (10, 10), (11, 10), (19, 10), (20, 20), (21, 20), (40, 20)]
    {
        let cores = format!(r#"{{"coresToReplicas": {rungs}}}"#);
        assert_eq!(count("ladder", &cores, mk_size(x, 0), OURS), replicas, "{x} cores");
        let nodes = format!(r#"{{"nodesToReplicas": {rungs}}}"#);
        assert_eq!(count("ladder", &nodes, mk_size(0, x), OURS), replicas, "{x} nodes");
    }
    for rungs in ["[[0,0],[3,3]]", "[[1,0],[3,3]]"] {
        let text = format!(r#"{{"nodesToReplicas": {rungs}}}"#);
        for (x, replicas) in [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3)] {
            assert_eq!(count("ladder", &text, mk_size(0, x), COMPAT), replicas, "{rungs}, {x} nodes");
        }
    }
}

#[test]
fn ladder_over_cores_and_nodes() {
    let rungs = r#""coresToReplicas": [[0,0],[4,1],[8,2],[12,3]], "nodesToReplicas": [[0,0],[1,1],[2,2],[3,3]]"#;
    let nodes = Count { all: 3, schedulable: 1 };
    let cores = Count { all: 12, schedulable: 4 };
    let size = Size { nodes, cores, unready: 2 };
    let all = format!(r#"{{{rungs}, "includeUnschedulableNodes": true}}"#);
    assert_eq!(count("ladder", &all, size, OURS), 3);
    assert_eq!(count("ladder", &format!("{{{rungs}}}"), size, OURS), 1);
}

#[test]
fn ladder_rungs_are_sorted_and_the_later_of_equal_ones_counts() {
    let text = r#"{"nodesToReplicas": [[6,4],[1,1],[3,2],[3,3]]}"#;
    for (nodes, replicas) in [(0, 1), (2, 1), (3, 3), (5, 3), (6, 4)] {
        assert_eq!(count("ladder", text, mk_size(0, nodes), OURS), replicas, "{nodes} nodes");
    }
    // Below the first rung the first rung answers.
    assert_eq!(count("ladder", r#"{"nodesToReplicas": [[6,1]]}"#, mk_size(0, 2), OURS), 1);
}

/// A permission makes zero a number like any other.
#[test]
fn zero_replicas_need_a_permission() {
    let size = mk_size(0, 2);
    let plain = r#"{"nodesToReplicas": [[0,0],[3,3]]}"#;
    let allowed = r#"{"nodesToReplicas": [[0,0],[3,3]], "allowZero": true}"#;
    let params = Params::read(&mk_data("ladder", plain), OURS).unwrap();
    let unfit = params.replicas(size, OURS, &mut |_| {}).unwrap_err().to_string();
    assert!(unfit.contains("allowZero"), "{unfit}");
    assert_eq!(count("ladder", plain, mk_size(0, 3), OURS), 3);
    assert_eq!(count("ladder", plain, size, Rules { compat: false, allow_zero: true }), 0);
    assert_eq!(count("ladder", allowed, size, OURS), 0);
    assert_eq!(count("ladder", plain, size, COMPAT), 0);
}

#[test]
fn a_number_beyond_what_the_api_takes_is_not_used() {
    for (mode, text) in [
        ("linear", r#"{"nodesPerReplica": 1, "min": 3000000000}"#),
        ("linear", r#"{"nodesPerReplica": 1e-300}"#),
        ("ladder", r#"{"nodesToReplicas": [[1, 3000000000]]}"#),
    ] {
        let params = Params::read(&mk_data(mode, text), COMPAT).unwrap();
        let unfit = params.replicas(mk_size(5, 5), COMPAT, &mut |_| {}).unwrap_err();
        assert_eq!(unfit.to_string(), "the parameters give more than 2147483647 replicas", "{text}");
    }
    // As a limit it is harmless.
    assert_eq!(count("linear", r#"{"nodesPerReplica": 1, "max": 3000000000}"#, mk_size(5, 5), OURS), 5);
}

/// What Go's decoder lets pass.
#[test]
fn leniency() {
    for text in [
        r#"{"CORESPERREPLICA": 2, "nodesperreplica": 0}"#,
        r#"{"coresPerReplica": 5, "coresPerReplica": 2}"#,
        r#"{"coresPerReplica": 2, "coresPerReplica": null, "min": null}"#,
        r#"{"coresPerReplica": 2e0, "unknown": {"a": [1, "x"]}, "cores_per_replica": "text"}"#,
        "\n\t {\"coresPerReplica\":\r\n2} \n",
    ] {
        assert_eq!(count("linear", text, mk_size(6, 6), OURS), 3, "{text}");
    }
    for (text, replicas) in [
        (r#"{"nodesToReplicas": [[5,2,8]]}"#, 2),
        (r#"{"nodesToReplicas": [[null,3,"x"]], "coresToReplicas": null, "min": 9}"#, 3),
        (r#"{"nodesToReplicas": [[1,9]], "NODESTOREPLICAS": [[1,4]]}"#, 4),
    ] {
        assert_eq!(count("ladder", text, mk_size(6, 6), OURS), replicas, "{text}");
    }
}

/// What the original reads as zero replicas.
#[test]
fn dangerous_ladders_are_taken_in_the_originals_mode_only() {
    for (text, error) in [
        ("{}", "ladder:1:1: `coresToReplicas` and `nodesToReplicas`: no rungs, so there would be 0 replicas"),
        ("null", "ladder:1:1: `coresToReplicas` and `nodesToReplicas`: no rungs, so there would be 0 replicas"),
        (
            r#"{"nodesToReplicas": [[5]]}"#,
            "ladder:1:22: `nodesToReplicas`: expected a rung [size, replicas], found 1 of two numbers: that would be 0 replicas",
        ),
        (
            r#"{"nodesToReplicas": [null]}"#,
            "ladder:1:22: `nodesToReplicas`: expected a rung [size, replicas], found null: that would be 0 replicas",
        ),
        (
            r#"{"nodesToReplicas": [[5, null]]}"#,
            "ladder:1:22: `nodesToReplicas`: expected a rung [size, replicas], found null for the replicas: that would be 0 replicas",
        ),
    ] {
        assert_eq!(Params::read(&mk_data("ladder", text), OURS).unwrap_err().message, error);
        assert_eq!(count("ladder", text, mk_size(9, 9), COMPAT), 0, "{text}");
    }
}

#[test]
fn errors_name_the_key_and_the_place() {
    for (mode, text, error) in [
        ("linear", "", "linear:1:1: expected a value, found the end"),
        ("linear", "{\"min\": 2,}", "linear:1:11: expected a key in quotes, found `}`"),
        ("linear", "{\"min\": 2} x", "linear:1:12: expected the end, found `x`"),
        ("linear", "[]", "linear:1:1: expected an object with parameters, found a list"),
        (
            "linear",
            "{\n  \"coresPerReplica\": \"256\"\n}",
            "linear:2:22: `coresPerReplica`: expected a number, found the string \"256\"",
        ),
        ("linear", r#"{"min": 2.0}"#, "linear:1:9: `min`: expected an integer without point or exponent, found 2.0"),
        ("linear", r#"{"min": 1e2}"#, "linear:1:9: `min`: expected an integer without point or exponent, found 1e2"),
        ("linear", r#"{"min": 99999999999999999999}"#, "linear:1:9: `min`: 99999999999999999999 is too large"),
        ("linear", r#"{"min": -1}"#, "linear:1:9: `min`: -1 is negative"),
        ("linear", r#"{"min": 5, "max": 2}"#, "linear:1:19: `max`: 2 is less than `min`, 5"),
        ("linear", r#"{"max": -1}"#, "linear:1:9: `max`: -1 is less than `min`, 0"),
        ("linear", "null", "linear:1:1: `coresPerReplica` and `nodesPerReplica`: one of them must be there and not 0"),
        ("linear", r#"{"coresPerReplica": -2}"#, "linear:1:21: `coresPerReplica`: -2 is negative"),
        (
            "linear",
            r#"{"coresPerReplica": 2, "nodesPerReplica": -0.5}"#,
            "linear:1:43: `nodesPerReplica`: -0.5 is negative",
        ),
        ("linear", r#"{"coresPerReplica": 1e999}"#, "linear:1:21: `coresPerReplica`: 1e999 is too large"),
        (
            "linear",
            r#"{"preventSinglePointFailure": "true"}"#,
            "linear:1:31: `preventSinglePointFailure`: expected true or false, found the string \"true\"",
        ),
        (
            "ladder",
            r#"{"nodesToReplicas": {"1": 2}}"#,
            "ladder:1:21: `nodesToReplicas`: expected a list of [size, replicas], found an object",
        ),
        (
            "ladder",
            r#"{"nodesToReplicas": [1, 2]}"#,
            "ladder:1:22: `nodesToReplicas`: expected a rung [size, replicas], found 1",
        ),
        (
            "ladder",
            r#"{"nodesToReplicas": [[1, 2.5]]}"#,
            "ladder:1:26: `nodesToReplicas`: expected an integer without point or exponent, found 2.5",
        ),
        ("ladder", r#"{"coresToReplicas": [[1, 1], [-2, 1]]}"#, "ladder:1:31: `coresToReplicas`: -2 is negative"),
        ("ladder", r#"{"coresToReplicas": [[2, -1]]}"#, "ladder:1:26: `coresToReplicas`: -1 is negative"),
        ("Linear", "{}", "unknown key `Linear`: expected `linear` or `ladder` (small letters)"),
        ("steps", "{}", "unknown key `steps`: expected `linear` or `ladder`"),
    ] {
        for rules in [OURS, COMPAT] {
            let refusal = Params::read(&mk_data(mode, text), rules).unwrap_err();
            assert_eq!(refusal.message, error, "{rules:?}");
        }
    }
    let none = Params::read(&Data::new(), OURS).unwrap_err();
    assert_eq!(none.message, "expected exactly one key, `linear` or `ladder`, found none");
    let mut both = mk_data("linear", "{}");
    both.extend(mk_data("ladder", "{}"));
    let both = Params::read(&both, OURS).unwrap_err();
    assert_eq!(both.message, "expected exactly one key, `linear` or `ladder`, found `ladder`, `linear`");
    let caret = Params::read(&mk_data("linear", "{\n \"min\": -1\n}"), OURS).unwrap_err();
    assert_eq!(caret.excerpt.as_deref(), Some("   \"min\": -1\n          ^"));
}
