use std::sync::Arc;

use super::{
    Block, Corefile, Environment, Error, Errors, Instance, Key, Line, Scheme, SourceFile, Span, Stanza, Token, Warning,
    address,
    import::{Importer, snippet},
    tree::RawLine,
};

/// Reads a whole Corefile.
pub(super) fn parse(file: Arc<SourceFile>, environment: Environment<'_>) -> Result<Corefile, Errors> {
    let mut parser = Parser { importer: Importer::new(environment), blocks: Vec::new() };
    let lines = parser.importer.lines(&file);
    parser.top(lines, 0);
    let Importer { mut errors, warnings, .. } = parser.importer;
    sort(&mut errors);
    if errors.is_empty() { Ok(Corefile { blocks: parser.blocks, warnings }) } else { Err(Errors::new(errors)) }
}

struct Parser<'e> {
    importer: Importer<'e>,
    blocks: Vec<Block>,
}

impl Parser<'_> {
    /// Reads what stands outside of braces: server blocks, snippets, imports.
    fn top(&mut self, lines: Vec<RawLine>, depth: usize) {
        let mut lines = lines.into_iter().peekable();
        while let Some(line) = lines.next() {
            if line.is_import() {
                let imported = self.importer.import(&line, depth);
                self.top(imported, depth + 1);
                continue;
            }
            match (line.block, snippet(&line.words)) {
                (Some(body), Some(_)) => self.importer.define(&line.words[0], body),
                (None, Some(_)) => self.importer.errors.push(line.words[0].error("a snippet needs braces")),
                (Some(body), None) => self.block(&line.words, body),
                // Braces may be left out if the file has exactly one block: the rest of it is that block.
                (None, None) if self.blocks.is_empty() => {
                    let body = lines.by_ref().collect();
                    self.block(&line.words, body);
                }
                (None, None) => {
                    let last = &line.words[line.words.len() - 1];
                    self.importer.errors.push(last.error("expected `{` behind the keys of a server block"));
                    // What follows was meant as its directives: one complaint is enough.
                    while lines.next_if(|next| next.block.is_none() && !next.is_import()).is_some() {}
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
        let wrong = self.importer.errors.len();
        for word in words {
            let text = word.text.strip_suffix(',').unwrap_or(&word.text).to_owned();
            // An empty key comes from a variable without a value, and means nothing.
            if text.is_empty() {
                continue;
            }
            let word = Token { text, ..word.clone() };
            if snippet(std::slice::from_ref(&word)).is_some() {
                self.importer.errors.push(word.error("a snippet has one name, `(name)`, and nothing beside it"));
                continue;
            }
            match address::key(&word, &mut self.importer.warnings) {
                Ok(key) => keys.push(key),
                Err(error) => self.importer.errors.push(error),
            }
        }
        if keys.is_empty() && self.importer.errors.len() == wrong {
            keys.extend(words.first().map(|word| self.root(word)));
        }
        keys
    }

    /// The key of a block whose keys are all empty.
    fn root(&mut self, word: &Token) -> Key {
        let message = "all keys of this block are empty: it answers for the root zone, as in CoreDNS".to_owned();
        self.importer.warnings.push(Warning { span: word.span.clone(), message });
        let token = Token { text: ".".to_owned(), ..word.clone() };
        Key { scheme: Scheme::Dns, zones: vec![token.text.clone()], port: None, token }
    }
}

/// Sorts by place, files in the order in which they were met. What was imported twice is wrong once.
fn sort(errors: &mut Vec<Error>) {
    let mut files: Vec<String> = Vec::new();
    for error in errors.iter() {
        if !files.iter().any(|name| name == error.span().file_name()) {
            files.push(error.span().file_name().to_owned());
        }
    }
    errors.sort_by_key(|error| {
        let Span { line, column, .. } = *error.span();
        (files.iter().position(|name| name == error.span().file_name()), line, column)
    });
    errors.dedup();
}

/// Puts the repeats of each directive together.
fn stanzas(lines: impl Iterator<Item = Line>) -> Vec<Stanza> {
    let mut stanzas: Vec<Stanza> = Vec::new();
    for Line { word, args, lines, braces } in lines {
        let instance = Instance { name: word.clone(), args, lines, braces };
        match stanzas.iter_mut().find(|stanza| stanza.name.text == word.text) {
            Some(stanza) => stanza.instances.push(instance),
            None => stanzas.push(Stanza { name: word, instances: vec![instance], neighbours: Arc::default() }),
        }
    }
    let names: Arc<[String]> = stanzas.iter().map(|stanza| stanza.name.text.clone()).collect();
    for stanza in &mut stanzas {
        stanza.neighbours = Arc::clone(&names);
    }
    stanzas
}
