use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::*;
use crate::{
    chain::{Chain, Transport},
    metrics::Registry,
    wire::{Body, Query, RData, Record, RecordType},
};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn names(texts: &str) -> Arc<[Name]> {
    texts.split_whitespace().map(name).collect()
}

fn shown(candidates: Option<Candidates>) -> String {
    candidates.map_or_else(
        || "-".to_owned(),
        |candidates| candidates.map(|name| name.to_string()).collect::<Vec<_>>().join(" "),
    )
}

#[test]
fn what_is_asked_for_a_pod() {
    struct Case {
        /// Namespace of the pod that asks.
        pod: &'static str,
        /// Search list of its node.
        node: &'static str,
        question: &'static str,
        asked: &'static str,
    }
    for Case { pod, node, question, asked } in [
        Case {
            pod: "shop",
            node: "",
            question: "web.shop.svc.cluster.local",
            asked: "web.shop.svc.cluster.local. web.svc.cluster.local. web.cluster.local. web.",
        },
        Case {
            pod: "shop",
            node: "corp.test b.test",
            question: "www.example.org.shop.svc.cluster.local",
            asked: "www.example.org.shop.svc.cluster.local. www.example.org.svc.cluster.local. \
                    www.example.org.cluster.local. www.example.org.corp.test. www.example.org.b.test. www.example.org.",
        },
        Case {
            pod: "shop",
            node: "",
            question: "WWW.Example.org.Shop.SVC.cluster.local",
            asked: "WWW.Example.org.Shop.SVC.cluster.local. WWW.Example.org.SVC.cluster.local. \
                    WWW.Example.org.cluster.local. WWW.Example.org.",
        },
        // Somebody else's namespace, the list's own elements, and names that no list has made.
        Case { pod: "shop", node: "", question: "web.data.svc.cluster.local", asked: "-" },
        Case { pod: "shop", node: "", question: "shop.svc.cluster.local", asked: "-" },
        Case { pod: "shop", node: "", question: "web.svc.cluster.local", asked: "-" },
        Case { pod: "shop", node: "", question: "web.shop.pod.cluster.local", asked: "-" },
        Case { pod: "shop", node: "", question: "cluster.local", asked: "-" },
        Case { pod: "shop", node: "", question: "www.example.org", asked: "-" },
    ] {
        let is_client = |namespace: &[u8]| namespace.eq_ignore_ascii_case(pod.as_bytes());
        let candidates = Candidates::of_pod(&name(question), &name("cluster.local"), &names(node), is_client);
        assert_eq!(shown(candidates), asked, "{question}");
    }
}

#[test]
fn what_is_asked_for_a_list_that_all_have() {
    for (list, question, asked) in [
        ("a.test b.test", "x.a.test", "x.a.test. x.b.test. x."),
        ("a.test", "x.y.a.test", "x.y.a.test. x.y."),
        ("a.test b.test", "x.b.test", "-"),
        ("a.test", "a.test", "-"),
        ("", "x.a.test", "-"),
    ] {
        assert_eq!(shown(Candidates::of_list(&name(question), &names(list))), asked, "{question} with {list}");
    }
    // What grows too long is no name and is passed over.
    let label = "l".repeat(60);
    let (long, element) = (format!("{label}.{label}.{label}.a.test"), format!("{label}m.bbbbbb.test"));
    let asked = format!("{long}. {label}.{label}.{label}.");
    assert_eq!(shown(Candidates::of_list(&name(&long), &names(&format!("a.test {element}")))), asked);
}

/// What stands behind autopath: knows some names, and remembers what it was asked.
struct Stub {
    known: HashMap<Name, &'static str>,
    asked: Arc<Mutex<Vec<String>>>,
    /// Answers only when it is waited for, as an upstream does.
    late: bool,
}

impl Plugin for Stub {
    fn name(&self) -> &'static str {
        "stub"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let asked = cx.question().name;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.to_string());
        let response = match self.known.get(&asked).copied() {
            Some("SERVFAIL") => Response::failure(Rcode::SERVFAIL, Failure::Server("broken".into())),
            Some("nothing") => Response::new(Rcode::NOERROR),
            Some("silence") => return Step::Drop,
            Some(address) => Response::answer([Record::of_question(30, RData::A(address.parse().unwrap()))]),
            None => Response::new(Rcode::NXDOMAIN),
        };
        if self.late { Step::Wait(Box::pin(async move { response })) } else { response.into() }
    }
}

fn shown_answer(response: &Response, question: &Name) -> String {
    let Body::Records(records) = &response.body else { return "a packet".to_owned() };
    let mut text = response.rcode.to_string();
    for record in &records.answer {
        let data = match &record.data {
            RData::A(address) => address.to_string(),
            RData::Cname(target) => target.resolve(question).to_string(),
            other => format!("{other:?}"),
        };
        text += &format!(", {} {} {data}", record.owner.resolve(question), record.ttl);
    }
    text
}

/// Asks with the search list `a.test b.test`; gives the answer, what was asked for it, and what was counted.
async fn ask(known: &[(&'static str, &'static str)], question: &str, late: bool) -> (String, String, u64) {
    let asked = Arc::default();
    let known = known.iter().map(|&(owner, data)| (name(owner), data)).collect();
    let counter = Registry::new().counter("answered", "x", &[]).with_label_values::<&str>(&[]);
    let autopath = Autopath {
        zones: ZoneSet::new(vec![Name::root()]),
        lists: Lists::One(names("a.test b.test")),
        server: Server::default(),
        answered: vec![counter.clone()],
    };
    let panics = Registry::new().counter("panics", "x", &[]).with_label_values::<&str>(&[]);
    let stub = Stub { known, asked: Arc::clone(&asked), late };
    let chain = Arc::new(Chain::new(vec![Box::new(autopath), Box::new(stub)], panics, false));
    let peer: SocketAddr = "10.0.0.1:5353".parse().unwrap();
    let query = Query::internal(Question::new(name(question), RecordType::A));
    let mut cx = Context::new(query, peer, peer, Transport::Udp, Instant::now());
    let answer = match chain.walk(&mut cx) {
        Outcome::Answered(response) => shown_answer(&response, &name(question)),
        Outcome::Parked(parked) => shown_answer(&parked.finish(&mut cx).await, &name(question)),
        Outcome::Dropped => "dropped".to_owned(),
    };
    let asked = asked.lock().unwrap().join(" ");
    (answer, asked, counter.get())
}

#[tokio::test]
async fn the_first_name_that_is_there_answers() {
    for late in [false, true] {
        for (known, question, answer, asked, counted) in [
            (("x.a.test", "10.0.0.1"), "x.a.test", "NOERROR, x.a.test. 30 10.0.0.1", "x.a.test.", 1),
            (
                ("x.b.test", "10.0.0.2"),
                "x.a.test",
                "NOERROR, x.a.test. 30 x.b.test., x.b.test. 30 10.0.0.2",
                "x.a.test. x.b.test.",
                1,
            ),
            (
                ("x.org", "10.0.0.3"),
                "X.org.a.test",
                "NOERROR, X.org.a.test. 30 X.org., X.org. 30 10.0.0.3",
                "X.org.a.test. X.org.b.test. X.org.",
                1,
            ),
            (("x.b.test", "nothing"), "x.a.test", "NOERROR", "x.a.test. x.b.test.", 1),
            (("x.b.test", "SERVFAIL"), "x.a.test", "SERVFAIL", "x.a.test. x.b.test.", 1),
            (("y", "10.0.0.1"), "x.a.test", "NXDOMAIN", "x.a.test. x.b.test. x.", 0),
            (("x.b.test", "10.0.0.1"), "x.c.test", "NXDOMAIN", "x.c.test.", 0),
        ] {
            let found = ask(&[known], question, late).await;
            assert_eq!(found, (answer.to_owned(), asked.to_owned(), counted), "{question}, late: {late}");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_wants_silence_gets_it() {
    assert_eq!(ask(&[("x.b.test", "silence")], "x.a.test", false).await.0, "dropped");
    assert_eq!(ask(&[("x.b.test", "silence")], "x.a.test", true).await.0, "SERVFAIL");
}
