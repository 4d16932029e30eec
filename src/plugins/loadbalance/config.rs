use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use super::weights::Weights;
use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Error, Errors, Line, Stanza},
};

/// The `loadbalance` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) prefer: Vec<(IpAddr, u8)>,
    pub(super) weights: Option<PathBuf>,
    pub(super) reload: Duration,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self { prefer: Vec::new(), weights: None, reload: Duration::from_secs(30) };
        for instance in &stanza.instances {
            let mut args = instance.args();
            match args.next() {
                None => {}
                Some(word) if word.text == "round_robin" => {}
                Some(word) if word.text == "weighted" => {
                    config.weights = Some(PathBuf::from(&args.require("a file with weights")?.text));
                }
                Some(word) => return Err(word.unknown("policy", &["round_robin", "weighted"])),
            }
            args.finish()?;
            for line in &instance.lines {
                config.property(line).map_err(|error| error.within(&line.word.text))?;
            }
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "prefer" => {
                line.args().require("a network")?;
                line.no_block()?;
                for word in &line.args {
                    self.prefer.push(word.cidr()?);
                }
                Ok(())
            }
            "reload" if self.weights.is_none() => {
                Err(line.error("it is about the file of `weighted`, which is not here"))
            }
            "reload" => {
                self.reload = line.args().one("a duration")?.duration()?;
                Ok(())
            }
            _ => Err(line.unknown(&["prefer", "reload"])),
        }
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("changes the order of addresses")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let mut weights = None;
        if let Some(path) = self.weights.map(|file| block.path(&file)) {
            let table = Arc::new(RwLock::new(Arc::new(Weights::load(&path).map_err(BuildError)?)));
            if !self.reload.is_zero() {
                block.task(follow(path, self.reload, Arc::clone(&table)));
            }
            weights = Some(table);
        }
        block.link(super::LoadBalance { prefer: self.prefer, weights });
        Ok(())
    }
}

/// Reads the file again and again; one with an error changes nothing.
async fn follow(path: PathBuf, every: Duration, table: Arc<RwLock<Arc<Weights>>>) {
    let mut told = None;
    loop {
        tokio::time::sleep(every).await;
        match Weights::load(&path) {
            Ok(weights) => {
                told = None;
                *table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(weights);
            }
            Err(error) if told.as_ref() != Some(&error) => {
                tracing::error!(target: "plugin/loadbalance", "{error}; the last good weights go on");
                told = Some(error);
            }
            Err(_) => {}
        }
    }
}
