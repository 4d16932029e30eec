use std::{process::Command, time::Duration};

/// What `dig` was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// `NOERROR`, `NXDOMAIN`, ... or `TIMEOUT`.
    pub(crate) status: String,
    /// `qr aa rd` and so on.
    pub(crate) flags: Vec<String>,
    /// Records of each section: owner, TTL, type and data with single blanks.
    pub(crate) answer: Vec<String>,
    pub(crate) authority: Vec<String>,
    pub(crate) additional: Vec<String>,
    /// Codes of extended errors (RFC 8914).
    pub(crate) ede: Vec<String>,
    /// How long the server took, as `dig` measured it; zero if there was no answer.
    pub(crate) taken: Duration,
    /// The text as it came.
    pub(crate) text: String,
}

/// Asks with the words as `dig` takes them: `["name", "type", "+tcp"]`.
pub(crate) fn ask(port: u16, words: &[&str]) -> Reply {
    let mut command = Command::new("dig");
    // Of several servers `dig` takes the first.
    let named = words.iter().any(|word| word.starts_with('@'));
    command.args((!named).then_some("@127.0.0.1"));
    command.args(["-p", &port.to_string(), "+noidnin", "+noidnout", "+time=6", "+tries=1"]);
    command.args(["+norecurse", "+nocookie", "+multiline", "+nomultiline"]).args(words);
    let output = command.output().expect("dig (Debian package bind9-dnsutils) is needed");
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// The records of a transfer, or `failed`.
pub(crate) fn transfer(port: u16, words: &[&str]) -> Vec<String> {
    let mut command = Command::new("dig");
    command.args(["@127.0.0.1", "-p", &port.to_string(), "+noall", "+answer", "+nocookie", "+time=5", "+tries=1"]);
    let output = command.args(words).output().expect("dig");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let records = text.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
    let records: Vec<String> = records
        .map(|line| line.split_whitespace().filter(|word| *word != "IN").collect::<Vec<_>>().join(" "))
        .collect();
    if text.contains("Transfer failed") || records.is_empty() { vec!["failed".to_owned()] } else { records }
}

fn parse(text: &str) -> Reply {
    let mut reply = Reply { status: "TIMEOUT".to_owned(), text: text.to_owned(), ..Reply::default() };
    let mut section: Option<&mut Vec<String>> = None;
    for line in text.lines() {
        if let Some(status) = line.split("status: ").nth(1) {
            reply.status = status.split(',').next().unwrap_or_default().to_owned();
        } else if let Some(flags) = line.strip_prefix(";; flags: ") {
            let flags = flags.split(';').next().unwrap_or_default();
            reply.flags = flags.split_whitespace().map(str::to_owned).collect();
        } else if let Some(time) = line.strip_prefix(";; Query time: ") {
            let milliseconds = time.split(' ').next().and_then(|number| number.parse().ok());
            reply.taken = Duration::from_millis(milliseconds.unwrap_or_default());
        } else if let Some(error) = line.strip_prefix("; EDE: ") {
            reply.ede.extend(error.split([' ', ':']).next().map(str::to_owned));
        } else if line.starts_with(";; ANSWER SECTION") {
            section = Some(&mut reply.answer);
        } else if line.starts_with(";; AUTHORITY SECTION") {
            section = Some(&mut reply.authority);
        } else if line.starts_with(";; ADDITIONAL SECTION") {
            section = Some(&mut reply.additional);
        } else if line.is_empty() || line.starts_with(';') {
            if line.is_empty() {
                section = None;
            }
        } else if let Some(section) = &mut section {
            section.push(line.split_whitespace().filter(|word| *word != "IN").collect::<Vec<_>>().join(" "));
        }
    }
    reply
}

impl Reply {
    /// Sections sorted, so that the order of records does not count, and the SOA's serial blanked.
    pub(crate) fn normalised(&self) -> Self {
        let sorted = |records: &[String]| {
            let mut records: Vec<String> = records.iter().map(|record| without_serial(record)).collect();
            records.sort();
            records
        };
        Self {
            answer: sorted(&self.answer),
            authority: sorted(&self.authority),
            additional: sorted(&self.additional),
            ede: Vec::new(),
            taken: Duration::ZERO,
            text: String::new(),
            ..self.clone()
        }
    }

    /// Whether a flag is set.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

fn without_serial(record: &str) -> String {
    let mut words: Vec<&str> = record.split(' ').collect();
    if words.get(2) == Some(&"SOA") && words.len() > 5 {
        words[5] = "SERIAL";
    }
    words.join(" ")
}
