use std::sync::Arc;

use super::{
    Block, Corefile, Environment, Errors, Instance, Key, Line, SourceFile, Stanza, Token, address,
    import::{Importer, is_import},
    tree::RawLine,
};

/// Reads a whole Corefile.
pub(super) fn parse(file: Arc<SourceFile>, environment: Environment<'_>) -> Result<Corefile, Errors> {
    let mut parser = Parser { importer: Importer::new(environment), blocks: Vec::new() };
    let lines = parser.importer.lines(&file);
    parser.top(lines, 0);
    let Importer { errors, warnings, .. } = parser.importer;
    if errors.is_empty() { Ok(Corefile { blocks: parser.blocks, warnings }) } else { Err(Errors::new(errors)) }
}

struct Parser<'e> {
    importer: Importer<'e>,
    blocks: Vec<Block>,
}

impl Parser<'_> {
    /// Reads what stands outside of braces: server blocks, snippets, imports.
    fn top(&mut self, lines: Vec<RawLine>, depth: usize) {
        let mut lines = lines.into_iter();
        while let Some(line) = lines.next() {
            if is_import(&line) {
                let imported = self.importer.import(&line, depth);
                self.top(imported, depth + 1);
                continue;
            }
            match (line.block, snippet(&line.words)) {
                (Some(body), true) => self.importer.define(&line.words[0], body),
                (None, true) => self.importer.errors.push(line.words[0].error("a snippet needs braces")),
                (Some(body), false) => self.block(&line.words, body),
                // Braces may be left out if the file has exactly one block: the rest of it is that block.
                (None, false) if self.blocks.is_empty() => {
                    let body = lines.by_ref().collect();
                    self.block(&line.words, body);
                }
                (None, false) => {
                    let last = &line.words[line.words.len() - 1];
                    self.importer.errors.push(last.error("expected `{` behind the keys of a server block"));
                }
            }
        }
    }

    fn block(&mut self, words: &[Token], body: Vec<RawLine>) {
        let keys = self.keys(words);
        let body = self.importer.resolve(body, 0);
        let lines = body.into_iter().filter_map(RawLine::into_line);
        self.blocks.push(Block { keys, stanzas: stanzas(lines) });
    }

    fn keys(&mut self, words: &[Token]) -> Vec<Key> {
        let mut keys = Vec::with_capacity(words.len());
        for word in words {
            let text = word.text.strip_suffix(',').unwrap_or(&word.text).to_owned();
            // An empty key comes from a variable without a value, and means nothing.
            if text.is_empty() {
                continue;
            }
            let word = Token { text, ..word.clone() };
            match address::key(&word, &mut self.importer.warnings) {
                Ok(key) => keys.push(key),
                Err(error) => self.importer.errors.push(error),
            }
        }
        keys
    }
}

fn snippet(words: &[Token]) -> bool {
    matches!(words, [only] if only.text.starts_with('(') && only.text.ends_with(')'))
}

/// Puts the repeats of each directive together.
fn stanzas(lines: impl Iterator<Item = Line>) -> Vec<Stanza> {
    let mut stanzas: Vec<Stanza> = Vec::new();
    for Line { word, args, lines, braces } in lines {
        let instance = Instance { name: word.clone(), args, lines, braces };
        match stanzas.iter_mut().find(|stanza| stanza.name.text == word.text) {
            Some(stanza) => stanza.instances.push(instance),
            None => stanzas.push(Stanza { name: word, instances: vec![instance] }),
        }
    }
    stanzas
}
