//! The loop step by step: the original's beside ours.

use std::time::{Duration, Instant};

use super::{COMPAT, OURS, mk_data, mk_size};
use crate::autoscale::{
    hold::Caution,
    params::Data,
    round::{Ask, Autoscaler, Config, Current, Note, Outcome, Policy, Reply},
    trouble::{Reason, Trouble},
};

/// A cluster of a ConfigMap and targets that does what it is told, and keeps a record of what it was asked.
struct Cluster {
    scaler: Autoscaler,
    start: Instant,
    config: Result<Config, Trouble>,
    create: Result<(), Trouble>,
    targets: Vec<Result<i32, Trouble>>,
    /// What the next writes of scale say, before they work.
    set: Vec<Trouble>,
    asked: Vec<String>,
}

impl Cluster {
    fn new(compat: bool, replicas: &[i32], defaults: Option<Data>) -> Self {
        let rules = if compat { COMPAT } else { OURS };
        let caution = if compat { Caution::NONE } else { Caution { window: Duration::ZERO, ..Caution::default() } };
        let policy = Policy { rules, caution };
        Self {
            scaler: Autoscaler::new(policy, replicas.len(), defaults),
            start: Instant::now(),
            config: Err(mk_trouble(Reason::Missing)),
            create: Ok(()),
            targets: replicas.iter().map(|replicas| Ok(*replicas)).collect(),
            set: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn write(&mut self, version: u32, mode: &str, text: &str) {
        self.config = Ok(Config { version: version.to_string(), data: mk_data(mode, text) });
    }

    fn poll(&mut self, cores: i64, nodes: i64) -> Outcome {
        self.asked.clear();
        let mut round = self.scaler.begin(mk_size(cores, nodes), self.start, true);
        while let Some(ask) = round.ask() {
            let reply = match ask {
                Ask::Config => {
                    self.asked.push("read config".to_owned());
                    Reply::Config(self.config.clone())
                }
                Ask::CreateConfig(data) => {
                    self.asked.push("create config".to_owned());
                    let created = self.create.clone().map(|()| Config { version: "created".to_owned(), data });
                    if created.is_ok() {
                        self.config = created.clone();
                    }
                    Reply::Config(created)
                }
                Ask::Scale { target, fresh } => {
                    self.asked.push(format!("read {target}"));
                    Reply::Scale(self.targets[target].clone().map(|replicas| Current { replicas, fresh }))
                }
                Ask::SetScale { target, replicas } => {
                    self.asked.push(format!("set {target} to {replicas}"));
                    Reply::Set(match self.set.pop() {
                        Some(trouble) => Err(trouble),
                        None => {
                            self.targets[target] = Ok(replicas);
                            Ok(())
                        }
                    })
                }
            };
            round.answer(reply);
        }
        round.finish()
    }

    fn replicas(&self) -> Vec<i32> {
        self.targets.iter().map(|target| *target.as_ref().unwrap_or(&-1)).collect()
    }
}

fn mk_trouble(reason: Reason) -> Trouble {
    Trouble::new(reason, reason.label())
}

/// The original's own run test, one object that lives through all of it.
#[test]
fn a_run_through_edits_a_missing_config_and_another_mode() {
    let rungs = |third: i32, top: i32| {
        format!(
            r#"{{"coresToReplicas": [[1,1],[2,2],[3,{third}],[512,5],[1024,7],[2048,10],[4096,15],[8192,20],[12288,30],
            [16384,40],[20480,50],[24576,60],[28672,70],[32768,80],[65535,{top}]], "nodesToReplicas": [[1,1],[2,2]]}}"#
        )
    };
    let linear = r#"{"coresPerReplica": 100, "nodesPerReplica": 10, "min": 1, "max": 100}"#;
    for compat in [true, false] {
        let mut cluster = Cluster::new(compat, &[1], None);
        cluster.write(1, "ladder", &rungs(3, 100));
        let mut step = |change: &mut dyn FnMut(&mut Cluster), cores, nodes, expected| {
            change(&mut cluster);
            cluster.poll(cores, nodes);
            assert_eq!(cluster.replicas(), [expected], "{cores} cores, {nodes} nodes, compat {compat}");
        };
        let same: &mut dyn FnMut(&mut Cluster) = &mut |_| {};
        // Cores / nodes as the original's table has them.
        step(same, 0, 0, 1);
        step(same, 800, 1, 5);
        step(same, 1, 3, 2);
        step(same, 200_000, 50_000, 100);
        step(&mut |cluster| cluster.write(2, "ladder", &rungs(4, 200)), 200_000, 50_000, 200);
        step(same, 500, 100, 4);
        step(&mut |cluster| cluster.config = Err(mk_trouble(Reason::Missing)), 2000, 400, 4);
        step(&mut |cluster| cluster.write(2, "ladder", &rungs(4, 200)), 2000, 400, 7);
        step(&mut |cluster| cluster.write(3, "linear", linear), 2000, 400, 40);
        step(same, 1600, 100, 16);
        step(same, 100_000, 20_000, 100);
    }
}

/// One row for each way in which `--compat` differs: what is asked, and what the targets have in the end.
#[test]
fn compat_and_our_defaults_side_by_side() {
    const GOOD: &str = r#"{"nodesPerReplica": 10}"#;
    const BAD: &str = r#"{"nodesPerReplica": "10"}"#;
    struct Row {
        what: &'static str,
        prepare: fn(&mut Cluster),
        compat: (&'static str, [i32; 2]),
        ours: (&'static str, [i32; 2]),
    }
    let rows = [
        Row {
            what: "a bad text: the last good parameters are dropped, or kept",
            prepare: |cluster| cluster.write(2, "linear", BAD),
            compat: ("read config", [1, 1]),
            ours: ("read config, read 0, read 0, set 0 to 5, read 1, read 1, set 1 to 5", [5, 5]),
        },
        Row {
            what: "the first target fails: the poll ends, or goes on",
            prepare: |cluster| cluster.targets[0] = Err(mk_trouble(Reason::Missing)),
            compat: ("read config, read 0", [-1, 1]),
            ours: ("read config, read 0, read 1, read 1, set 1 to 5", [-1, 5]),
        },
        Row {
            what: "the ConfigMap cannot be read: it is created all the same, or left alone",
            prepare: |cluster| {
                cluster.config = Err(mk_trouble(Reason::Unreachable));
                cluster.create = Err(mk_trouble(Reason::Exists));
            },
            compat: ("read config, create config", [1, 1]),
            ours: ("read config", [1, 1]),
        },
        Row {
            what: "the ConfigMap may not be read: the same",
            prepare: |cluster| {
                cluster.config = Err(mk_trouble(Reason::Forbidden));
                cluster.create = Err(mk_trouble(Reason::Exists));
            },
            compat: ("read config, create config", [1, 1]),
            ours: ("read config", [1, 1]),
        },
        Row {
            what: "the ConfigMap is missing: both create it",
            prepare: |cluster| cluster.config = Err(mk_trouble(Reason::Missing)),
            compat: ("read config, create config, read 0, set 0 to 25, read 1, set 1 to 25", [25, 25]),
            ours: ("read config, create config, read 0, read 0, set 0 to 25, read 1, read 1, set 1 to 25", [25, 25]),
        },
        Row {
            what: "another writer was faster: a failure, or read again",
            prepare: |cluster| cluster.set = vec![mk_trouble(Reason::Conflict)],
            compat: ("read config, read 0, set 0 to 5", [1, 1]),
            ours: ("read config, read 0, read 0, set 0 to 5, read 0, set 0 to 5, read 1, read 1, set 1 to 5", [5, 5]),
        },
        Row {
            what: "a ladder without rungs: no replicas at all, or refused",
            prepare: |cluster| cluster.write(2, "ladder", "{}"),
            compat: ("read config, read 0, set 0 to 0, read 1, set 1 to 0", [0, 0]),
            ours: ("read config, read 0, read 0, set 0 to 5, read 1, read 1, set 1 to 5", [5, 5]),
        },
        Row {
            what: "a ladder that gives 0: done, or not used",
            prepare: |cluster| cluster.write(2, "ladder", r#"{"nodesToReplicas": [[0,0],[500,1]]}"#),
            compat: ("read config, read 0, set 0 to 0, read 1, set 1 to 0", [0, 0]),
            ours: ("read config", [1, 1]),
        },
        Row {
            what: "nothing is amiss: ours writes over what it has just read",
            prepare: |_| {},
            compat: ("read config, read 0, set 0 to 5, read 1, set 1 to 5", [5, 5]),
            ours: ("read config, read 0, read 0, set 0 to 5, read 1, read 1, set 1 to 5", [5, 5]),
        },
    ];
    for row in rows {
        for (compat, (asked, replicas)) in [(true, row.compat), (false, row.ours)] {
            let defaults = mk_data("linear", r#"{"nodesPerReplica":2}"#);
            let mut cluster = Cluster::new(compat, &[1, 1], Some(defaults));
            cluster.write(1, "linear", GOOD);
            cluster.poll(10, 10);
            (row.prepare)(&mut cluster);
            cluster.poll(50, 50);
            assert_eq!(
                (cluster.asked.join(", ").as_str(), cluster.replicas().as_slice()),
                (asked, &replicas[..]),
                "compat {compat}: {}",
                row.what
            );
        }
    }
}

#[test]
fn the_original_reads_a_bad_text_at_every_poll_and_stays_without_parameters() {
    let mut cluster = Cluster::new(true, &[1], None);
    cluster.write(1, "linear", r#"{"nodesPerReplica": 10}"#);
    cluster.poll(50, 50);
    cluster.write(2, "linear", "{");
    for _ in 0..3 {
        let outcome = cluster.poll(90, 90);
        assert!(outcome.is_failure());
        assert!(matches!(outcome.notes.as_slice(), [Note::Refused { kept: false, .. }]));
        assert_eq!(cluster.replicas(), [5]);
    }
    cluster.write(3, "linear", r#"{"nodesPerReplica": 10}"#);
    assert!(!cluster.poll(90, 90).is_failure());
    assert_eq!(cluster.replicas(), [9]);
}

#[test]
fn last_good_parameters_go_on_and_the_trouble_is_told() {
    let mut cluster = Cluster::new(false, &[1], None);
    cluster.write(1, "linear", "{");
    let outcome = cluster.poll(50, 50);
    assert!(outcome.is_failure(), "there is no last good text yet");
    cluster.write(2, "linear", r#"{"nodesPerReplica": 10}"#);
    cluster.poll(50, 50);
    cluster.write(3, "linear", "{");
    let outcome = cluster.poll(90, 90);
    assert!(!outcome.is_failure() && outcome.on_last_good);
    assert!(matches!(outcome.notes.first(), Some(Note::Refused { kept: true, .. })));
    let error = outcome.error().unwrap();
    assert!(error.contains("linear:1:2: expected a key in quotes") && error.contains("the last good parameters go on"));
    assert_eq!(cluster.replicas(), [9]);
    // It is noted once and told as long as it is so.
    let outcome = cluster.poll(90, 90);
    assert!(!outcome.notes.iter().any(|note| matches!(note, Note::Refused { .. })));
    assert!(outcome.error().is_some());
}

#[test]
fn bad_default_parameters_are_not_written() {
    let defaults = mk_data("linear", "{}");
    let mut ours = Cluster::new(false, &[1], Some(defaults.clone()));
    let error = ours.poll(50, 50).error().unwrap();
    assert!(error.contains("it is not made from the default parameters: linear:1:1:"), "{error}");
    assert_eq!(ours.asked, ["read config"]);
    let mut original = Cluster::new(true, &[1], Some(defaults));
    assert!(original.poll(50, 50).is_failure());
    assert_eq!(original.asked, ["read config", "create config"]);
}

#[test]
fn a_conflict_without_end_is_a_failure_of_this_poll() {
    let mut cluster = Cluster::new(false, &[1], None);
    cluster.write(1, "linear", r#"{"nodesPerReplica": 10}"#);
    cluster.set = vec![mk_trouble(Reason::Conflict); 9];
    let outcome = cluster.poll(50, 50);
    assert_eq!(outcome.troubles.len(), 1);
    assert_eq!(cluster.asked.iter().filter(|asked| asked.starts_with("set")).count(), 3);
    assert!(!outcome.notes.iter().any(|note| matches!(note, Note::Scaled { .. })));
}

#[test]
fn a_copy_that_does_not_lead_thinks_and_does_not_touch() {
    let mut cluster = Cluster::new(false, &[1], Some(mk_data("linear", r#"{"nodesPerReplica":10}"#)));
    for config in [
        cluster.config.clone(),
        Ok(Config { version: "1".to_owned(), data: mk_data("linear", r#"{"nodesPerReplica":10}"#) }),
    ] {
        let mut round = cluster.scaler.begin(mk_size(50, 50), cluster.start, false);
        assert_eq!(round.ask(), Some(Ask::Config));
        round.answer(Reply::Config(config.clone()));
        assert_eq!(round.ask(), None);
        assert_eq!(round.finish().wanted, config.is_ok().then_some(5));
    }
}
