#![doc = include_str!("README.md")]

mod config;
mod data;
mod facts;
mod functions;
mod metrics;
#[cfg(test)]
mod tests;

use regex::{Captures, Regex};

use crate::{
    chain::{Asked, Context, Directive, Labels, Plugin, Rest, Server, Step, ZoneSet},
    expression::{EvaluationError, Expression, Value},
    template::Template,
    wire::{
        Body, Class, Ede, Failure, Name, NameRef, Query, Question, RData, Rcode, Record, RecordType, Records, Response,
    },
    zone::text,
};
use data::Data;
use metrics::{Fails, Metrics};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "template", parse: config::parse };

/// The sections that templates fill, in the order of a message.
const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

/// A `template` stanza.
#[derive(Debug)]
struct Rule {
    /// `None`: any.
    class: Option<Class>,
    record_type: Option<RecordType>,
    zones: ZoneSet,
    matchers: Vec<Matcher>,
    /// Names and what they stand for; each may use those before it.
    variables: Vec<(String, Expression)>,
    /// What must hold besides.
    conditions: Vec<Expression>,
    /// The templates of each section.
    parts: [Vec<Part>; 3],
    rcode: Rcode,
    ede: Option<Ede>,
    fallthrough: ZoneSet,
}

/// What names a rule is for.
#[derive(Debug)]
enum Matcher {
    Everything,
    Pattern(Regex),
}

/// A template that makes a record.
#[derive(Debug)]
struct Part {
    template: Template,
    /// As it stands in the Corefile.
    text: String,
}

struct Templates {
    rules: Vec<Rule>,
    metrics: Metrics,
    server: Server,
    labels: Labels,
}

impl Plugin for Templates {
    fn name(&self) -> &'static str {
        "template"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        // Small letters, made when a rule is for the name.
        let mut name = None;
        for (number, rule) in self.rules.iter().enumerate() {
            let Some((zone_number, zone)) = rule.zone_of(question) else { continue };
            let name: &str = name.get_or_insert_with(|| question.name.to_lowercase().to_string());
            if let Some(pattern) = rule.fitting(name) {
                let Ok(variables) = rule.worked_out(cx, &self.labels, name, pattern.as_ref()) else {
                    return Response::new(Rcode::SERVFAIL).into();
                };
                if let Some(variables) = variables {
                    self.metrics.matched(cx, number, zone_number, zone);
                    let data = Data::new(cx, &self.labels, zone, name, pattern, variables);
                    return self.answer(cx, rule, zone, &data);
                }
            }
            if !rule.fallthrough.contains(&question.name) {
                return Response::new(Rcode::SERVFAIL).into();
            }
        }
        Step::Next
    }
}

impl Rule {
    /// The zone for which this rule answers the question, with its number.
    fn zone_of(&self, question: &Question) -> Option<(usize, &Name)> {
        let fits = self.record_type.is_none_or(|kind| kind == question.record_type)
            && self.class.is_none_or(|class| class == question.class);
        let mut zones = self.zones.iter().enumerate().filter(|_| fits);
        zones.find(|(_, zone)| question.name.is_within(zone))
    }

    /// The first pattern that fits a name, with what its groups hold; `None` if none does.
    fn fitting<'a>(&'a self, name: &'a str) -> Option<Option<Fit<'a>>> {
        self.matchers.iter().find_map(|matcher| match matcher {
            Matcher::Everything => Some(None),
            Matcher::Pattern(pattern) => pattern.captures(name).map(|captures| Some((pattern, captures))),
        })
    }
}

/// A pattern and what its groups hold.
type Fit<'a> = (&'a Regex, Captures<'a>);

impl Rule {
    /// The values of the variables; `None` if a condition does not hold.
    fn worked_out(
        &self,
        cx: &Context,
        labels: &Labels,
        name: &str,
        fit: Option<&Fit<'_>>,
    ) -> Result<Option<Vec<(&str, Value)>>, EvaluationError> {
        let facts = facts::Matched { asked: Asked { cx, labels }, name, fit };
        let mut values = Vec::new();
        for (_, expression) in &self.variables {
            values.push(expression.evaluate_with(&facts, &values)?);
        }
        for condition in &self.conditions {
            if condition.evaluate_with(&facts, &values)? != Value::Bool(true) {
                return Ok(None);
            }
        }
        let names = self.variables.iter().map(|(name, _)| name.as_str());
        Ok(Some(names.zip(values).collect()))
    }
}

impl Templates {
    fn answer(&self, cx: &Context, rule: &Rule, zone: &Name, data: &Data<'_>) -> Step {
        if rule.rcode == Rcode::SERVFAIL {
            return Response { ede: rule.ede.clone(), ..Response::new(Rcode::SERVFAIL) }.into();
        }
        let mut records = Records::default();
        let sections = [&mut records.answer, &mut records.authority, &mut records.additional];
        for (number, (section, parts)) in sections.into_iter().zip(&rule.parts).enumerate() {
            for part in parts {
                match made(part, data, &cx.question().name) {
                    Ok(record) => section.extend(record),
                    Err((fails, text)) => {
                        self.metrics.failed(cx, zone, fails, number, &part.text);
                        let cause = Failure::Server(format!("{}: {text}", SECTIONS[number]).into());
                        return Response::failure(Rcode::SERVFAIL, cause).into();
                    }
                }
            }
        }
        let targets = aliases(cx.question(), &records);
        let body = Body::Records(records);
        let response = Response { authoritative: true, ede: rule.ede.clone(), body, ..Response::new(rule.rcode) };
        if targets.is_empty() { response.into() } else { self.chase(cx, response, targets) }
    }

    /// Asks the whole server for the targets of aliases, as a client would, and appends what it says.
    fn chase(&self, cx: &Context, mut response: Response, targets: Vec<Name>) -> Step {
        let (cx, server) = (cx.clone(), self.server.clone());
        Step::Wait(Box::pin(async move {
            for target in targets {
                let mut inner = cx.clone();
                let asked = cx.question();
                let question = Question { name: target, record_type: asked.record_type, class: asked.class };
                inner.query = Query { question, ..cx.query.clone() };
                let mut found = server.ask(inner.into_fresh()).await;
                if let (Ok(found), Ok(records)) = (found.records_mut(), response.records_mut()) {
                    let found = std::mem::take(&mut found.answer);
                    records.answer.extend(found.into_iter().map(|record| record.spelled_out(&target)));
                }
            }
            response
        }))
    }
}

/// Runs a template and reads what it makes; nothing at all is no record.
fn made(part: &Part, data: &Data<'_>, question: &Name) -> Result<Option<Record>, (Fails, String)> {
    let made = part.template.run(data).map_err(|error| (Fails::Template, error.to_string()))?;
    let record = text::record(&made).map_err(|fault| (Fails::Record, format!("{}: `{made}`", fault.message)))?;
    // The client's spelling comes back.
    Ok(record.map(|record| match &record.owner {
        NameRef::Full(owner) if **owner == *question => Record { owner: NameRef::QUESTION, ..record },
        _ => record,
    }))
}

/// Where the aliases of an answer lead, if addresses were asked for.
fn aliases(question: &Question, records: &Records) -> Vec<Name> {
    if !matches!(question.record_type, RecordType::A | RecordType::AAAA) {
        return Vec::new();
    }
    let target = |record: &Record| match &record.data {
        RData::Cname(target) => Some(target.resolve(&question.name)),
        _ => None,
    };
    records.answer.iter().filter_map(target).collect()
}
