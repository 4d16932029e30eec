use std::{
    io,
    process::{Command as Process, Stdio},
};

use tokio::task::spawn_blocking;

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    /// Whether nobody waits for it.
    pub(super) apart: bool,
}

impl Command {
    /// Reads the words of a line. `None` if a quote is never closed, or there is no program.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = cut(line)?;
        let apart = words.len() > 1 && words.last().is_some_and(|word| word == "&");
        words.truncate(words.len() - usize::from(apart));
        let mut words = words.into_iter();
        let program = words.next().filter(|word| !word.is_empty())?;
        Some(Self { program, arguments: words.collect(), apart })
    }

    /// Runs it, and waits for its end unless it is to run apart.
    pub(super) async fn run(self) {
        let text = std::iter::once(&self.program).chain(&self.arguments).cloned().collect::<Vec<_>>().join(" ");
        let kind = if self.apart { "Nonblocking" } else { "Blocking" };
        tracing::info!("{kind} Command \"{text}\"");
        let apart = self.apart;
        let ended = spawn_blocking(move || match self.execute() {
            Ok(None) => {}
            Ok(Some(status)) => tracing::warn!(target: "plugin/on", "\"{text}\" has ended with {status}"),
            Err(error) => tracing::error!(target: "plugin/on", "\"{text}\" cannot be run: {error}"),
        });
        if !apart {
            _ = ended.await;
        }
    }

    /// How it has ended, if not well.
    fn execute(&self) -> io::Result<Option<std::process::ExitStatus>> {
        let status = Process::new(&self.program).args(&self.arguments).stdin(Stdio::null()).status()?;
        Ok((!status.success()).then_some(status))
    }
}

/// Words as a shell cuts them. `None` if a quote is never closed.
fn cut(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        end if end == character => break,
                        '\\' if character == '"' => word.push(rest.next()?),
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next()?),
            blank if blank.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_a_shell_cuts_them() {
        for (line, words) in [
            ("echo  hello world", Some(vec!["echo", "hello", "world"])),
            ("sh -c 'echo a; echo \\\\'", Some(vec!["sh", "-c", "echo a; echo \\\\"])),
            (r#"echo "a \" b" c\ d '' e'f g'"#, Some(vec!["echo", "a \" b", "c d", "", "ef g"])),
            ("echo $HOME", Some(vec!["echo", "$HOME"])),
            ("echo 'x", None),
            ("", Some(vec![])),
        ] {
            let words = words.map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(cut(line), words, "{line}");
        }
    }

    #[test]
    fn who_runs_apart() {
        let read = |line| Command::read(line).map(|command| (command.arguments.len(), command.apart));
        assert_eq!(read("true"), Some((0, false)));
        assert_eq!(read("sleep 1 &"), Some((1, true)));
        assert_eq!(read("sleep 1&"), Some((1, false)));
        assert_eq!(read("''"), None);
    }
}
