#![doc = include_str!("README.md")]

use crate::{
    chain::{Again, Block, Build, BuildError, Context, Directive, Keys, Plugin, Role, Sent},
    corefile::{Errors, Stanza},
    wire::{RecordType, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "minimal", parse };

struct Minimal;

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    for instance in &stanza.instances {
        instance.no_args()?;
        instance.no_block()?;
    }
    Ok(Box::new(Minimal))
}

impl Build for Minimal {
    fn role(&self) -> Role {
        Role::passes("leaves out what the answer does not need")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.link(*self);
        Ok(())
    }
}

impl Plugin for Minimal {
    fn name(&self) -> &'static str {
        "minimal"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        if !matches!(cx.question().record_type, RecordType::AXFR | RecordType::IXFR) && !response.needs_authority() {
            response.keep_answer_only();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Body, Name, NameRef, Packet, Question, RData, Rcode, Record, Records, Soa};

    fn record(kind: &str) -> Record {
        let name = || NameRef::from(Name::parse("ns.example.org.").unwrap());
        let data = match kind {
            "A" => RData::A([192, 0, 2, 1].into()),
            "NS" => RData::Ns(name()),
            _ => {
                RData::Soa(Soa { mname: name(), rname: name(), serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 1 })
            }
        };
        Record::of_question(60, data)
    }

    /// Types of each section, `A/NS/A`.
    fn shown(response: &Response) -> String {
        let records = response.records().unwrap();
        let types = |section: &[Record]| {
            let types: Vec<String> = section.iter().map(|record| record.data.record_type().to_string()).collect();
            types.join(" ")
        };
        [&records.answer, &records.authority, &records.additional].map(|section| types(section)).join("/")
    }

    fn minimised(rcode: Rcode, kind: RecordType, sections: [&str; 3]) -> String {
        let [answer, authority, additional] =
            sections.map(|types| types.split_whitespace().map(record).collect::<crate::wire::Section>());
        let records = Records { answer, authority, additional };
        let question = Question::new(Name::parse("www.example.org.").unwrap(), kind);
        let made = Response { body: Body::Records(records), ..Response::new(rcode) };
        let packet = Response::packet(Packet::of(&question, &made).unwrap());
        let client = "192.0.2.1:5353".parse().unwrap();
        let query = crate::wire::Query::internal(question);
        let mut cx = Context::new(query, client, client, crate::chain::Transport::Udp, std::time::Instant::now());
        let [made, encoded] = [made, packet].map(|mut response| {
            Minimal.response(&mut cx, &mut response);
            shown(&response)
        });
        assert_eq!(made, encoded, "records and packets");
        made
    }

    #[test]
    fn authority_and_additional_go_where_nobody_needs_them() {
        for (rcode, kind, sections, left) in [
            (Rcode::NOERROR, RecordType::A, ["A A", "NS", "A"], "A A//"),
            (Rcode::NOERROR, RecordType::A, ["A", "", ""], "A//"),
            // The address of whoever asks, as `whoami` gives it.
            (Rcode::NOERROR, RecordType::A, ["", "", "A"], "//"),
            // A denial needs its SOA, a referral its name servers.
            (Rcode::NOERROR, RecordType::A, ["", "SOA", ""], "/SOA/"),
            (Rcode::NOERROR, RecordType::A, ["", "NS", "A"], "/NS/A"),
            (Rcode::NXDOMAIN, RecordType::A, ["", "SOA", "A"], "/SOA/A"),
            (Rcode::SERVFAIL, RecordType::A, ["", "", "A"], "//A"),
            (Rcode::NOERROR, RecordType::AXFR, ["SOA A SOA", "", "A"], "SOA A SOA//A"),
        ] {
            assert_eq!(minimised(rcode, kind, sections), left, "{rcode} {kind} {sections:?}");
        }
    }
}
