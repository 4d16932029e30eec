use crate::corefile::{Error, Line, Stanza};

/// Limits of what an encrypted listener carries (`https`, `https3`, `quic`, `grpc_server`). What is not said is left to
/// the server; 0 is no limit but the process's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamLimits {
    /// How many connections a listener holds.
    pub connections: Option<u32>,
    /// How many queries of one connection are in work.
    pub streams: Option<u32>,
    /// How many queries of all its connections are in work.
    pub workers: Option<u32>,
}

impl StreamLimits {
    /// Reads a directive of which each property is a number. `known` are the properties with the least that each takes.
    ///
    /// # Errors
    /// Another word, a word twice, or no such number.
    pub fn read(stanza: &Stanza, known: &[(&str, u32)]) -> Result<Self, Error> {
        let mut limits = Self::default();
        for instance in &stanza.instances {
            instance.no_args()?;
            for line in &instance.lines {
                limits.property(line, known).map_err(|error| error.within(&line.word.text))?;
            }
        }
        Ok(limits)
    }

    fn property(&mut self, line: &Line, known: &[(&str, u32)]) -> Result<(), Error> {
        let word = line.word.text.as_str();
        let Some((_, least)) = known.iter().find(|(name, _)| *name == word) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return Err(line.unknown(&names));
        };
        let number = line.args().one("a number")?.integer(word, i64::from(*least)..=i64::from(i32::MAX))?;
        let place = match word {
            "max_connections" => &mut self.connections,
            "max_streams" => &mut self.streams,
            _ => &mut self.workers,
        };
        match place.replace(number as u32) {
            None => Ok(()),
            Some(_) => Err(line.error("may stand only once in a server block")),
        }
    }

    /// These limits, and those of `earlier` where nothing is said.
    #[must_use]
    pub fn or(self, earlier: Self) -> Self {
        Self {
            connections: self.connections.or(earlier.connections),
            streams: self.streams.or(earlier.streams),
            workers: self.workers.or(earlier.workers),
        }
    }
}
