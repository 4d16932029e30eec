//! Scenario files, run against seamark by `make test` and against CoreDNS 1.15.0 by `make e2e`.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::scenario::{Subject, has_cluster, run};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "scenario"))
        .collect();
    files.sort();
    // SCENARIO=part-of-a-name runs those alone.
    if let Ok(part) = std::env::var("SCENARIO") {
        files.retain(|path| path.to_string_lossy().contains(&part));
    }
    files
}

/// How many run at once; they mostly wait. Those with a cluster run one by one: each may have an API server.
const AT_ONCE: usize = 6;

fn run_all(subject: &Subject) {
    let (clusters, others): (Vec<PathBuf>, Vec<PathBuf>) = files().into_iter().partition(|file| has_cluster(file));
    let (suspects, questions) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    for (files, at_once) in [(clusters, 1), (others, AT_ONCE)] {
        let queue = Mutex::new(files.into_iter());
        let next = || queue.lock().expect("no panic").next();
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    while let Some(file) = next() {
                        let (failures, asked) = run(&file, subject);
                        questions.fetch_add(asked, Ordering::Relaxed);
                        if !failures.is_empty() {
                            suspects.lock().expect("no panic").push(file);
                        }
                    }
                });
            }
        });
    }
    // Scenarios have clocks, and the machine is busy with others: what is wrong is wrong alone as well.
    let mut wrong = Vec::new();
    for file in suspects.into_inner().expect("no panic") {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        println!("once more, alone: {name}");
        wrong.extend(run(&file, subject).0.into_iter().map(|failure| format!("--- {name}: {failure}")));
    }
    println!("{} scenarios, {} questions", files().len(), questions.into_inner());
    assert!(wrong.is_empty(), "{} things are not as expected:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn scenarios_on_seamark() {
    run_all(&Subject::Seamark);
}

#[test]
#[ignore = "make e2e"]
fn scenarios_on_coredns() {
    run_all(&Subject::CoreDns(crate::live::coredns()));
}
