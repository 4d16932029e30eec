use super::Ask;
use crate::wire::{Flags, Packet, encode_query, message_id};

/// Room for a query without options: header, the longest name, type and class, OPT record.
const PLAIN: usize = 12 + 255 + 4 + 11;
/// What is passed on of the client's flags: the opcode, RD, AD, CD.
const PASSED: u16 = 0x7800 | Flags::RD | Flags::AD | Flags::CD;

/// A query in wire form.
pub(super) fn encoded(ask: &Ask, id: u16) -> Vec<u8> {
    // RFC 6891 section 6.2.3: a size below 512 counts as 512.
    let edns = ask.edns.clone().map(|mut edns| {
        edns.udp_size = edns.udp_size.max(512);
        edns
    });
    let mut bytes = vec![0; PLAIN + edns.as_ref().map_or(0, |edns| edns.options.len())];
    let length = encode_query(id, Flags(ask.flags.0 & PASSED), &ask.question, edns.as_ref(), &mut bytes);
    bytes.truncate(length);
    bytes
}

/// The answer in these bytes, if they are one to this query (RFC 5452 section 9.1). Whatever else arrives may have
/// been sent by anybody, and must not end the wait.
pub(super) fn answer_to(ask: &Ask, id: u16, bytes: &[u8]) -> Option<Packet> {
    let flags = Flags::of_message(bytes);
    if message_id(bytes) != Some(id) || !flags.is_response() || flags.opcode() != ask.flags.opcode() {
        return None;
    }
    Packet::parse(bytes).ok().filter(|packet| packet.answers(&ask.question))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        Edns, Message, Name, Opcode, Query, Question, RData, Rcode, Record, RecordType, Response, encode,
    };

    fn ask(name: &str) -> Ask {
        let question = Question::new(Name::parse(name).unwrap(), RecordType::A);
        Ask { question, flags: Flags(Flags::RD | Flags::CD | Flags::AA), edns: None }
    }

    fn reply(ask: &Ask, id: u16) -> Vec<u8> {
        let query = Query { id, flags: Flags(ask.flags.0 & PASSED), ..Query::internal(ask.question.clone()) };
        let response = Response::answer([Record::of_question(30, RData::A([192, 0, 2, 1].into()))]);
        let mut bytes = vec![0; 512];
        let length = encode(&query, &response, 512, &mut bytes);
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn only_the_answer_to_the_query_is_taken() {
        let asked = ask("www.example.org");
        let good = reply(&asked, 7);
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        for (what, bytes, taken) in [
            ("the answer", good.clone(), true),
            ("in another spelling", reply(&ask("WWW.example.ORG"), 7), true),
            ("with another id", reply(&asked, 8), false),
            ("to another name", reply(&ask("www.example.net"), 7), false),
            ("a query", changed(2, 0x01), false),
            ("another opcode", changed(2, 0xA0), false),
            ("without a question", [&[0, 7, 0x81, 0x80], [0; 8].as_slice()].concat(), false),
            ("with two questions", changed(5, 2), false),
            ("cut in the middle", good[..good.len() - 3].to_vec(), false),
            ("cut in the middle, and says so", changed(2, 0x83)[..good.len() - 3].to_vec(), true),
            ("nothing", Vec::new(), false),
        ] {
            assert_eq!(answer_to(&asked, 7, &bytes).is_some(), taken, "{what}");
        }
    }

    #[test]
    fn a_query_passes_on_what_the_client_said() {
        let mut edns = Edns::new(100, true);
        edns.options.extend_from_slice(&[0, 10, 0, 2, 1, 2]);
        let message = Message::parse(&encoded(&Ask { edns: Some(edns), ..ask("www.example.org") }, 7)).unwrap();
        assert_eq!((message.id, message.flags.0), (7, Flags::RD | Flags::CD));
        assert_eq!((message.flags.opcode(), message.flags.rcode()), (Opcode::QUERY, Rcode::NOERROR));
        let edns = message.edns.unwrap();
        assert_eq!((edns.udp_size, edns.dnssec_ok, edns.option(10)), (512, true, Some([1, 2].as_slice())));
    }
}
