//! One request to the API server, one error that a person can act on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{Method, Request};
use kube::Client;
use serde_json::Value;

use super::trouble::{Reason, Trouble};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The API server, and when it was last heard of.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    heard: Arc<Mutex<Option<Instant>>>,
}

/// What a request is about, for its path and for errors.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) path: String,
    /// As RBAC has it: `deployments.apps/scale`.
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What to do with it: the verbs of RBAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Create,
    Update,
}

impl Verb {
    const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
        }
    }
}

impl Api {
    pub(super) fn new(client: Client) -> Self {
        Self { client, heard: Arc::default() }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// How long ago it last answered anything.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map(|heard| now.saturating_duration_since(heard))
    }

    fn hear(&self, heard: bool) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard.then(Instant::now);
    }

    /// Sends a request and takes the object that comes back.
    pub(super) async fn call(&self, verb: Verb, thing: &Thing, body: Option<&Value>) -> Result<Value, Trouble> {
        let method = match verb {
            Verb::Get => Method::GET,
            Verb::Create => Method::POST,
            Verb::Update => Method::PUT,
        };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(&thing.path).header("content-type", "application/json");
        let request = request.body(body);
        let request = request
            .map_err(|error| Trouble::new(Reason::Server, format!("{}: no path of an API: {error}", thing.path)))?;
        let answer = tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await;
        // Also an error is a sign of life, if the server sends it.
        self.hear(matches!(answer, Ok(Ok(_) | Err(kube::Error::Api(_)))));
        match answer {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(error)) => Err(explain(verb.word(), thing, &error)),
            Err(_) => {
                let message =
                    format!("cannot {} {}: no answer within {} s", verb.word(), describe(thing), PATIENCE.as_secs());
                Err(Trouble::new(Reason::Unreachable, message))
            }
        }
    }
}

fn describe(thing: &Thing) -> String {
    let Thing { resource, namespace, name, .. } = thing;
    match (name.is_empty(), namespace.is_empty()) {
        (true, true) => resource.clone(),
        (true, false) => format!("{resource} in namespace {namespace}"),
        (false, true) => format!("{resource} `{name}`"),
        (false, false) => format!("{resource} `{name}` in namespace {namespace}"),
    }
}

/// What went wrong, in the words of somebody who can do something about it.
pub(super) fn explain(verb: &str, thing: &Thing, error: &kube::Error) -> Trouble {
    let what = describe(thing);
    let kube::Error::Api(status) = error else {
        return Trouble::new(Reason::Unreachable, format!("cannot {verb} {what}: {}", with_causes(error)));
    };
    let message = &status.message;
    let (reason, text) = match (status.code, status.reason.as_str()) {
        (403, _) => {
            let place =
                if thing.namespace.is_empty() { String::new() } else { format!(" in namespace {}", thing.namespace) };
            let right = format!("give the ServiceAccount `{verb}` on {}{place}", thing.resource);
            (Reason::Forbidden, format!("forbidden to {verb} {what}: {right} ({message})"))
        }
        (401, _) => {
            (Reason::Forbidden, format!("cannot {verb} {what}: the API server does not accept the credentials (401)"))
        }
        (404, _) => (Reason::Missing, format!("cannot {verb} {what}: it does not exist ({message})")),
        (409, "AlreadyExists") => (Reason::Exists, format!("cannot {verb} {what}: it exists already")),
        (409, _) => (Reason::Conflict, format!("cannot {verb} {what}: somebody else has changed it ({message})")),
        (code, _) => (Reason::Server, format!("cannot {verb} {what}: {code} {message}")),
    };
    Trouble::new(reason, text)
}

/// The error with its causes: the first alone often says only that something failed.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
