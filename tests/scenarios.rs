//! Scenario files, run against seamark by `make test` and against CoreDNS 1.15.0 by `make e2e`.

use std::path::{Path, PathBuf};

use crate::support::scenario::{Subject, run};

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

fn run_all(subject: &Subject) {
    let (mut wrong, mut questions) = (Vec::new(), 0);
    for file in files() {
        let (failures, asked) = run(&file, subject);
        questions += asked;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        wrong.extend(failures.into_iter().map(|failure| format!("--- {name}: {failure}")));
    }
    println!("{} scenarios, {questions} questions", files().len());
    assert!(wrong.is_empty(), "{} answers are not as expected:\n{}", wrong.len(), wrong.join("\n"));
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
