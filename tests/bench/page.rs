//! docs/performance.md: the parts of it that are measured, between two marks each, and what they claim.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    COREDNS, PROGRAMS, SEAMARK, UNBOUND,
    life::Life,
    rounds::{Rounds, Workers},
};

pub(super) struct Page(String);

pub(super) fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

impl Page {
    pub(super) fn open() -> Self {
        Self(fs::read_to_string(documents().join("performance.md")).expect("docs/performance.md"))
    }

    /// Puts a text between the marks of this name.
    pub(super) fn replace(&mut self, name: &str, text: &str) {
        println!("{text}");
        let (begin, end) = (format!("<!-- measured: {name} -->\n"), format!("<!-- end of {name} -->"));
        let from = self.0.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
        let to = self.0.find(&end).unwrap_or_else(|| panic!("no {end}"));
        self.0.replace_range(from..to, text);
    }

    pub(super) fn save(&self) {
        fs::write(documents().join("performance.md"), &self.0).expect("docs/performance.md");
    }

    /// The microseconds of a workload and a program.
    pub(super) fn claim(&self, workload: &str, program: &str) -> f64 {
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let mut lines = self.0.lines().skip_while(|line| !line.starts_with("| us of CPU per query"));
        let header = cells(lines.next().expect("a table"));
        let column = header.iter().position(|cell| cell == program);
        let row = lines.map(cells).find(|row| row.get(1).is_some_and(|cell| cell == workload));
        let cell = row.zip(column).map(|(row, column)| row[column].clone()).unwrap_or_default();
        let number = cell.split(' ').next().and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("docs/performance.md says nothing of {workload} by {program}"))
    }
}

/// The machine, the day, the versions.
pub(super) fn circumstances() -> String {
    let run = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor =
        processor.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let version =
        |text: String| text.lines().next().and_then(|line| line.split(' ').next_back()).unwrap_or_default().to_owned();
    let knot = version(run("knotd", &["-V"]));
    let unbound = version(run("unbound", &["-V"]));
    format!(
        "{}, {cores} cores of {processor}, Linux {}. Knot {knot}, Unbound {unbound}.",
        run("date", &["-u", "+%F"]),
        run("uname", &["-r"]),
    )
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

pub(super) fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1}", kibibytes as f64 / 1024.)
}

fn header(first: &str) -> String {
    format!("| {first} | {} |\n|---|{}\n", PROGRAMS.join(" | "), "---|".repeat(PROGRAMS.len()))
}

/// Everything of `make bench`.
pub(super) fn table(
    rounds: &Rounds,
    lives: &[(&str, Life)],
    nodes: &[(&str, (u64, u64))],
    workers: &[Workers],
) -> String {
    let mut text = format!("{}\n\n", circumstances());
    text += &header("us of CPU per query (multiple of the floor)");
    for (at, workload) in rounds.workloads.iter().enumerate() {
        _ = write!(text, "| {} |", workload.name);
        for name in PROGRAMS {
            let Some(used) = rounds.used(at, name) else {
                text += " |";
                continue;
            };
            match rounds.multiple(at, name, super::FLOOR) {
                Some(multiple) if name != super::FLOOR => _ = write!(text, " {used:.2} ({multiple:.2}) |"),
                _ => _ = write!(text, " {used:.2} |"),
            }
        }
        text += "\n";
    }
    text += "\n![CPU per query](performance-cpu.svg)\n\n";
    text += &header("queries a second");
    for (at, workload) in rounds.workloads.iter().enumerate() {
        _ = write!(text, "| {} |", workload.name);
        for name in PROGRAMS {
            match rounds.rate(at, name) {
                Some((rate, 0.)) => _ = write!(text, " {} |", thousands(rate)),
                Some((rate, lost)) => _ = write!(text, " {} ({} lost) |", thousands(rate), thousands(lost)),
                None => text += " |",
            }
        }
        text += "\n";
    }
    text += "\ndnsperf itself ends at 150,000 to 170,000 queries a second on one core.\n\n";
    for workload in &rounds.workloads {
        _ = writeln!(text, "* {}: {}", workload.name, workload.what);
    }
    text += "\n![Memory](performance-memory.svg)\n\n";
    _ = writeln!(text, "| | {} |", lives.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | "));
    _ = writeln!(text, "|---|{}", "---|".repeat(lives.len()));
    let mut row = |label: &str, cell: &dyn Fn(&Life) -> String| {
        _ = writeln!(
            text,
            "| {label} | {} |",
            lives.iter().map(|(_, life)| cell(life)).collect::<Vec<_>>().join(" | ")
        );
    };
    row("resident when synced, MiB", &|life| mebibytes(life.synced));
    row("resident after load, MiB", &|life| mebibytes(life.loaded));
    row("peak over three re-lists, MiB", &|life| mebibytes(life.peak));
    row("start to first answer, ms", &|life| format!("{:.0}", life.start));
    row("API server's reply to a write until the answer shows it, median and most of 40, ms", &|life| {
        format!("{:.2}, {:.2}", life.events.middle, life.events.most)
    });
    row("the same from when the write was sent, ms", &|life| {
        format!("{:.2}, {:.2}", life.writes.middle, life.writes.most)
    });
    for (label, pick) in [("idle", 0), ("after load", 1)] {
        let cells: Vec<String> =
            nodes.iter().map(|(_, (idle, loaded))| mebibytes(if pick == 0 { *idle } else { *loaded })).collect();
        _ = writeln!(text, "| node cache, {label}, MiB | {} |", cells.join(" | "));
    }
    text += "\n| both cores, shared with dnsperf | | workers | queries a second | us of CPU per query |\n|---|---|---|---|---|\n";
    for Workers { what, name, count, rate, used } in workers {
        _ = writeln!(text, "| {what} | {name} | {count} | {} | {used:.2} |", thousands(*rate));
    }
    text += "\n";
    text += &goals(rounds, lives, nodes);
    text
}

/// The bounds that this project has set itself, on any machine: CPU as a multiple of the floor.
fn goals(rounds: &Rounds, lives: &[(&str, Life)], nodes: &[(&str, (u64, u64))]) -> String {
    let mut text = String::from("| goal | bound | measured | |\n|---|---|---|---|\n");
    let mut goal = |what: &str, bound: f64, found: f64, unit: &str| {
        let verdict =
            if found <= bound { "met".to_owned() } else { format!("missed by {:.0}%", (found / bound - 1.) * 100.) };
        _ = writeln!(text, "| {what} | {bound:.2}{unit} | {found:.2}{unit} | {verdict} |");
    };
    let place = |name: &str| rounds.workloads.iter().position(|workload| workload.name == name).expect("a workload");
    // 4.8 us where the floor takes 4.1.
    for name in ["cluster names", "ndots:5 walk", "cache hits"] {
        goal(name, 4.8 / 4.1, rounds.multiple(place(name), SEAMARK, super::FLOOR).unwrap_or(0.), " x floor");
    }
    // 14 us where the floor takes 4.1 and Unbound 15.9.
    let misses = place("forward misses");
    goal("forward misses", 14. / 4.1, rounds.multiple_of_floor(misses, SEAMARK).unwrap_or(0.), " x floor");
    goal("forward misses", 14. / 15.9, rounds.multiple(misses, SEAMARK, UNBOUND).unwrap_or(0.), " x Unbound");
    let mib = |kibibytes: u64| kibibytes as f64 / 1024.;
    if let Some((_, life)) = lives.iter().find(|(name, _)| *name == SEAMARK) {
        goal("resident when synced", 35., mib(life.synced), " MiB");
        goal("resident after load", 40., mib(life.loaded), " MiB");
        goal("peak over three re-lists", 48., mib(life.peak), " MiB");
        goal("change to answer, median", 0.5, life.events.middle, " ms");
        goal("change to answer, most", 2., life.events.most, " ms");
    }
    if let Some((_, (_, loaded))) = nodes.iter().find(|(name, _)| *name == SEAMARK) {
        goal("node cache after load", 12., mib(*loaded), " MiB");
    }
    text
}

/// A line of the growth table.
pub(super) fn growth(rows: &[super::growth::Row]) -> String {
    let mut text = format!("{}\n\n", circumstances());
    text += "| Services / endpoints / pods | program | us per query (x floor) | synced, MiB | after load | peak of a re-list | start, ms | change to answer, ms |\n|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let Life { start, synced, loaded, peak, events, .. } = &row.life;
        _ = writeln!(
            text,
            "| {} | {} | {:.2} ({:.2}) | {} | {} | {} | {start:.0} | {:.2} |",
            row.size,
            row.name,
            row.used,
            row.multiple,
            mebibytes(*synced),
            mebibytes(*loaded),
            mebibytes(*peak),
            events.middle
        );
    }
    for name in [SEAMARK, COREDNS] {
        let of: Vec<_> = rows.iter().filter(|row| row.name == name && !row.with_pods).collect();
        if let (Some(least), Some(most)) = (of.first(), of.last())
            && most.endpoints > least.endpoints
        {
            let slope =
                (most.life.synced - least.life.synced) as f64 * 1024. / (most.endpoints - least.endpoints) as f64;
            _ = writeln!(
                text,
                "\nSlope of {name}: {slope:.0} octets for each endpoint, its share of Services included."
            );
        }
        if let (Some(with), Some(without)) = (rows.iter().find(|row| row.name == name && row.with_pods), of.last()) {
            let slope = with.life.synced.saturating_sub(without.life.synced) as f64 * 1024. / with.pods as f64;
            _ = writeln!(text, "For each pod {slope:.0} octets.");
        }
    }
    text
}
