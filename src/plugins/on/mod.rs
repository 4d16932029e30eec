#![doc = include_str!("README.md")]

mod command;

use crate::{
    chain::{Block, Build, BuildError, Directive, Keys, Role},
    corefile::{Error, Errors, Instance, Stanza},
};
use command::Command;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "on", parse };

const EVENTS: [&str; 3] = ["startup", "shutdown", "certrenew"];

/// The `on` directives of a server block.
#[derive(Debug, Default, PartialEq, Eq)]
struct Commands {
    startup: Vec<Command>,
    shutdown: Vec<Command>,
}

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let mut commands = Commands::default();
    for instance in &stanza.instances {
        commands.read(instance)?;
    }
    Ok(Box::new(commands))
}

impl Commands {
    fn read(&mut self, instance: &Instance) -> Result<(), Error> {
        instance.no_block()?;
        let mut args = instance.args();
        let event = args.require("an event: `startup` or `shutdown`")?;
        let first = args.require("a command")?;
        let mut words = vec![first.text.as_str()];
        words.extend(args.rest().iter().map(|word| word.text.as_str()));
        let command = Command::read(&words.join(" "));
        let command =
            command.ok_or_else(|| first.error("expected a command: a program, and quotes that are closed"))?;
        match event.text.to_ascii_lowercase().as_str() {
            "startup" => self.startup.push(command),
            "shutdown" => self.shutdown.push(command),
            // Certificates are not got from anybody here.
            "certrenew" => {}
            _ => return Err(event.unknown("event", &EVENTS)),
        }
        Ok(())
    }
}

/// One after the other.
async fn run(commands: Vec<Command>) {
    for command in commands {
        command.run().await;
    }
}

impl Build for Commands {
    fn role(&self) -> Role {
        Role::sets("runs programs when the server starts and ends")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { startup, shutdown } = *self;
        if !startup.is_empty() {
            block.after_start(|_| run(startup));
        }
        if !shutdown.is_empty() {
            block.at_end(run(shutdown));
        }
        Ok(())
    }
}
