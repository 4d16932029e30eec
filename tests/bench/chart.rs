//! Charts as plain SVG, legible on light and on dark.

use std::{fmt::Write as _, fs};

use super::{PROGRAMS, SEAMARK, growth::Row, life::Life, page::documents, rounds::Rounds};

const WIDTH: f64 = 760.;
const LEFT: f64 = 170.;
const BAR: f64 = 15.;

/// A bar: what it stands for, whose it is, how long it is, what is written behind it.
struct Bar {
    program: &'static str,
    value: f64,
    text: String,
}

struct Group {
    name: String,
    bars: Vec<Bar>,
}

pub(super) fn write(name: &str, text: &str) {
    fs::write(documents().join(name), text).expect("a chart");
}

pub(super) fn cpu(rounds: &Rounds) -> String {
    let group = |(at, workload): (usize, &super::Workload)| Group {
        name: workload.name.to_owned(),
        bars: PROGRAMS
            .iter()
            .filter_map(|&program| {
                let value = rounds.used(at, program)?;
                Some(Bar { program, value, text: format!("{program} {value:.1}") })
            })
            .collect(),
    };
    draw("CPU per query, microseconds", &rounds.workloads.iter().enumerate().map(group).collect::<Vec<_>>())
}

pub(super) fn memory(lives: &[(&'static str, Life)]) -> String {
    let group = |name: &str, pick: &dyn Fn(&Life) -> u64| Group {
        name: name.to_owned(),
        bars: lives.iter().map(|&(program, ref life)| mebibytes(program, pick(life))).collect(),
    };
    let groups = [
        group("when synced", &|life| life.synced),
        group("after load", &|life| life.loaded),
        group("peak of re-lists", &|life| life.peak),
    ];
    draw("Resident memory, MiB", &groups)
}

pub(super) fn growth(rows: &[Row]) -> String {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        if groups.last().is_none_or(|group| group.name != row.size) {
            groups.push(Group { name: row.size.clone(), bars: Vec::new() });
        }
        if let Some(group) = groups.last_mut() {
            group.bars.push(mebibytes(row.name, row.life.synced));
        }
    }
    draw("Resident memory by Services / endpoints / pods, MiB", &groups)
}

fn mebibytes(program: &'static str, kibibytes: u64) -> Bar {
    let value = kibibytes as f64 / 1024.;
    Bar { program, value, text: format!("{program} {value:.0}") }
}

fn draw(title: &str, groups: &[Group]) -> String {
    let bars = groups.iter().flat_map(|group| &group.bars);
    let most = bars.clone().map(|bar| bar.value).fold(0., f64::max);
    let height = 40. + bars.count() as f64 * BAR + groups.len() as f64 * 12.;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">
<title>{title}</title>
<style>
  text {{ font: 11px sans-serif; fill: #24292f }}
  .title {{ font-size: 13px; font-weight: bold }}
  .own {{ fill: #0b7fab }}
  .floor {{ fill: #57a773 }}
  .other {{ fill: #a8a29a }}
  @media (prefers-color-scheme: dark) {{ text {{ fill: #d8dee4 }} .own {{ fill: #39b3e0 }} .other {{ fill: #77726b }} }}
</style>
<text class=\"title\" x=\"8\" y=\"18\">{title}</text>
"
    );
    let mut y = 34.;
    for Group { name, bars } in groups {
        let middle = y + bars.len() as f64 * BAR / 2. + 4.;
        _ = writeln!(text, "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>", LEFT - 8.);
        for Bar { program, value, text: label } in bars {
            // Room for the label behind the longest bar.
            let width = (value / most * (WIDTH - LEFT - 150.)).max(1.);
            let class = match *program {
                SEAMARK => "own",
                super::FLOOR => "floor",
                _ => "other",
            };
            _ = writeln!(
                text,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\"/>",
                BAR - 3.
            );
            _ = writeln!(text, "<text x=\"{:.1}\" y=\"{}\">{label}</text>", LEFT + width + 5., y + BAR - 5.);
            y += BAR;
        }
        y += 12.;
    }
    text + "</svg>\n"
}
