use std::net::{IpAddr, SocketAddr};

use super::{Context, Labels};
use crate::{
    corefile::{Error, Token, network},
    expression::{EvaluationError, Expression, Facts, Function, Kind, Value},
};

/// What is known of a query when it comes, as expressions ask for it (`view`, `template`).
pub struct Asked<'a> {
    /// The query.
    pub cx: &'a Context,
    /// Its labels.
    pub labels: &'a Labels,
}

type Answer = fn(&Asked<'_>, &[Value]) -> Result<Value, EvaluationError>;

const TABLE: [(Function, Answer); 15] = [
    (fact("bufsize", Kind::Int), |asked, _| Ok((asked.buffer_size() as i64).into())),
    (fact("class", Kind::Text), |asked, _| Ok(asked.cx.question().class.to_string().into())),
    (fact("client_ip", Kind::Text), |asked, _| Ok(host(asked.cx.peer))),
    (fact("do", Kind::Bool), |asked, _| Ok(asked.cx.query.dnssec_ok().into())),
    (fact("id", Kind::Int), |asked, _| Ok(i64::from(asked.cx.query.id).into())),
    (fact("name", Kind::Text), |asked, _| Ok(asked.cx.question().name.to_lowercase().to_string().into())),
    (fact("opcode", Kind::Int), |asked, _| Ok(i64::from(asked.cx.query.flags.opcode().0).into())),
    (fact("port", Kind::Text), |asked, _| Ok(asked.cx.peer.port().to_string().into())),
    (fact("proto", Kind::Text), |asked, _| Ok(asked.cx.transport.as_str().into())),
    (fact("server_ip", Kind::Text), |asked, _| Ok(host(asked.cx.local))),
    (fact("server_port", Kind::Text), |asked, _| Ok(asked.cx.local.port().to_string().into())),
    (fact("size", Kind::Int), |asked, _| Ok((asked.cx.query.size as i64).into())),
    (fact("type", Kind::Text), |asked, _| Ok(asked.cx.question().record_type.to_string().into())),
    (
        Function { name: "incidr", takes: &[Kind::Text, Kind::Text], gives: Kind::Bool },
        |_, arguments| match arguments {
            [Value::Text(address), Value::Text(network)] => within(address, network).map(Value::Bool),
            _ => Err(EvaluationError("expected two strings".to_owned())),
        },
    ),
    (Function { name: "metadata", takes: &[Kind::Text], gives: Kind::Text }, |asked, arguments| match arguments {
        [Value::Text(label)] => Ok(asked.labels.value(asked.cx, label).unwrap_or_default().into()),
        _ => Err(EvaluationError("expected a string".to_owned())),
    }),
];

const fn fact(name: &'static str, gives: Kind) -> Function {
    Function { name, takes: &[], gives }
}

impl Asked<'_> {
    /// The functions that it answers, in the order in which they are numbered.
    pub fn functions() -> [Function; 15] {
        TABLE.map(|(function, _)| function)
    }
}

/// The words of a line as one expression; an error is shown at the word that it begins in. There is a word at least.
///
/// # Errors
/// They are no expression.
pub fn read_expression(
    words: &[Token],
    functions: &[Function],
    variables: &[(String, Kind)],
) -> Result<Expression, Error> {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    Expression::parse_with(&texts.join(" "), functions, variables).map_err(|error| {
        let mut end = 0;
        let holds = |text: &&str| {
            end += text.len() + 1;
            error.at < end
        };
        let word = texts.iter().position(holds).unwrap_or(words.len() - 1);
        words[word].error(error.message)
    })
}

impl Facts for Asked<'_> {
    fn call(&self, function: usize, arguments: &[Value]) -> Result<Value, EvaluationError> {
        let (_, answer) = TABLE.get(function).ok_or_else(|| EvaluationError("no such function".to_owned()))?;
        answer(self, arguments)
    }
}

impl Asked<'_> {
    fn buffer_size(&self) -> usize {
        self.cx.limit()
    }
}

fn host(address: SocketAddr) -> Value {
    address.ip().to_canonical().to_string().into()
}

fn within(address: &str, cidr: &str) -> Result<bool, EvaluationError> {
    let no_address = |_| EvaluationError(format!("`{address}` is no address"));
    let address: IpAddr = address.parse().map_err(no_address)?;
    let (first, length) = network(cidr).ok_or_else(|| EvaluationError(format!("`{cidr}` is no network")))?;
    let equal = |one: u128, two: u128, width: u8| (one ^ two).checked_shr((width - length).into()).unwrap_or(0) == 0;
    Ok(match (address, first) {
        (IpAddr::V4(one), IpAddr::V4(two)) => equal(u32::from(one).into(), u32::from(two).into(), 32),
        (IpAddr::V6(one), IpAddr::V6(two)) => equal(one.into(), two.into(), 128),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        chain::Transport,
        expression::Expression,
        wire::{Edns, Name, Query, Question, RecordType},
    };

    #[test]
    fn what_is_known_of_a_query() {
        let question = Question::new(Name::parse("WWW.example.org.").unwrap(), RecordType::AAAA);
        let query = Query { id: 4711, size: 33, edns: Some(Edns::new(1232, true)), ..Query::internal(question) };
        let (peer, local) = ("[::ffff:10.1.2.3]:5353".parse().unwrap(), "[fd00::53]:53".parse().unwrap());
        let cx = Context::new(query, peer, local, Transport::Udp, Instant::now());
        let asked = Asked { cx: &cx, labels: &Labels::default() };
        for (text, expected) in [
            ("name()", "www.example.org."),
            ("type() + class() + proto()", "AAAAINudp"),
            ("client_ip() + ' ' + port()", "10.1.2.3 5353"),
            ("server_ip() + ' ' + server_port()", "fd00::53 53"),
            ("[bufsize(), do(), id(), opcode(), size()]", "[1232 true 4711 0 33]"),
            ("incidr(client_ip(), '10.0.0.0/8')", "true"),
            ("incidr(client_ip(), '10.1.2.4/31')", "false"),
            ("incidr(server_ip(), 'fd00::/8') and not incidr(server_ip(), '0.0.0.0/0')", "true"),
            ("metadata('kubernetes/namespace')", ""),
        ] {
            let found = Expression::parse(text, &Asked::functions()).unwrap().evaluate(&asked).unwrap();
            assert_eq!(found.to_string(), expected, "{text}");
        }
        for text in
            ["incidr('x', '10.0.0.0/8')", "incidr(client_ip(), '10.0.0.0/33')", "incidr(client_ip(), '10.0.0.0')"]
        {
            assert!(Expression::parse(text, &Asked::functions()).unwrap().evaluate(&asked).is_err(), "{text}");
        }
    }
}
