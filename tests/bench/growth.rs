//! The same at other sizes: what a query costs, what memory each endpoint takes.

use super::{
    COREDNS, FLOOR, SEAMARK, chart,
    life::Life,
    load::WORKLOADS,
    page::{self, Page},
    rounds::Rounds,
    surroundings,
};

/// A program at a size.
pub(super) struct Row {
    pub(super) size: String,
    pub(super) endpoints: usize,
    pub(super) pods: usize,
    pub(super) with_pods: bool,
    pub(super) name: &'static str,
    pub(super) used: f64,
    pub(super) multiple: f64,
    pub(super) life: Life,
}

/// Services, endpoints, pods.
const SIZES: [(usize, usize, usize); 4] =
    [(1_000, 9_300, 0), (8_000, 74_400, 0), (50_000, 1_000_000, 0), (50_000, 1_000_000, 150_000)];

#[test]
#[ignore = "make bench-growth"]
fn costs_stay_and_memory_is_linear() {
    let mut rows = Vec::new();
    for (services, endpoints, pods) in SIZES {
        let size = format!("services={services},endpoints={endpoints},nodes=5000,pods={pods}");
        let (mut cluster, _upstream, mut setting) = surroundings(&size);
        if pods > 0 {
            setting.pods = "verified";
        }
        let programs = [FLOOR, SEAMARK, COREDNS];
        let rounds = Rounds::measure(&setting, &WORKLOADS[..1], &programs, 3);
        for name in [SEAMARK, COREDNS] {
            let life = Life::measure(&mut cluster, &setting, name, 1);
            rows.push(Row {
                size: format!("{services} / {endpoints} / {pods}"),
                endpoints,
                pods,
                with_pods: pods > 0,
                name,
                used: rounds.used(0, name).unwrap_or(0.),
                multiple: rounds.multiple(0, name, FLOOR).unwrap_or(0.),
                life,
            });
        }
        setting.clear();
    }
    let mut page = Page::open();
    page.replace("growth", &page::growth(&rows));
    page.save();
    chart::write("performance-growth.svg", &chart::growth(&rows));
}
