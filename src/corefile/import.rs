use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Environment, Error, SourceFile, Token, Warning, lexer,
    tree::{self, BELOW, RawLine},
};

/// How many times anything may be imported while one Corefile is read.
const EXPANSIONS: usize = 10_000;
/// How many lines all imports together may bring in.
const LINES: usize = 1_000_000;
/// How deep imports may stand inside each other.
const DEPTH: usize = 50;

/// Puts what `import` names in its place: snippets first, then files.
pub(super) struct Importer<'e> {
    environment: Environment<'e>,
    snippets: HashMap<String, Vec<RawLine>>,
    /// Names of the snippets in the files read so far, whether or not the reading has come to them.
    ahead: HashSet<String>,
    expansions: usize,
    lines: usize,
    /// A bound was met and reported: nothing is imported any more.
    exhausted: bool,
    /// What is wrong so far.
    pub(super) errors: Vec<Error>,
    /// What may surprise so far.
    pub(super) warnings: Vec<Warning>,
}

impl<'e> Importer<'e> {
    pub(super) fn new(environment: Environment<'e>) -> Self {
        Self {
            environment,
            snippets: HashMap::new(),
            ahead: HashSet::new(),
            expansions: 0,
            lines: 0,
            exhausted: false,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The lines of a file, imports inside not yet resolved.
    pub(super) fn lines(&mut self, file: &Arc<SourceFile>) -> Vec<RawLine> {
        let (words, errors) = lexer::words(file, self.environment);
        let tree = tree::build(words);
        self.errors.extend(errors.into_iter().chain(tree.errors));
        self.warnings.extend(tree.warnings);
        self.ahead.extend(tree.lines.iter().filter_map(|line| snippet(&line.words)).map(str::to_owned));
        tree.lines
    }

    /// Remembers a snippet, `(name) { ... }`.
    pub(super) fn define(&mut self, name: &Token, lines: Vec<RawLine>) {
        let Some(key) = snippet(std::slice::from_ref(name)) else { return };
        if key.is_empty() {
            return self.errors.push(name.error("a snippet needs a name, such as `(common)`"));
        }
        if self.snippets.contains_key(key) {
            return self.errors.push(name.error(format!("snippet `{key}` is defined already")));
        }
        let mut lines = lines;
        if imports(&lines, key) {
            self.errors.push(name.error(format!("snippet `{key}` imports itself")));
            // Known from now on, but empty: the bounds below need not complain as well.
            lines.clear();
        }
        self.snippets.insert(key.to_owned(), lines);
    }

    /// All lines with imports resolved, nested ones too.
    pub(super) fn resolve(&mut self, lines: Vec<RawLine>, depth: usize) -> Vec<RawLine> {
        let mut resolved = Vec::with_capacity(lines.len());
        for mut line in lines {
            if line.is_import() {
                let imported = self.import(&line, depth);
                resolved.extend(self.resolve(imported, depth + 1));
            } else {
                if let Some(brace) = &line.brace_below {
                    self.errors.push(brace.error(BELOW));
                }
                line.block = line.block.map(|block| self.resolve(block, depth));
                resolved.push(line);
            }
        }
        resolved
    }

    /// What one `import` line brings in, imports inside not yet resolved.
    pub(super) fn import(&mut self, line: &RawLine, depth: usize) -> Vec<RawLine> {
        match self.try_import(line, depth) {
            Ok(lines) => lines,
            Err(error) => {
                self.errors.push(error);
                Vec::new()
            }
        }
    }

    fn try_import(&mut self, line: &RawLine, depth: usize) -> Result<Vec<RawLine>, Error> {
        let [word, pattern] = line.words.as_slice() else {
            let place = line.words.get(2).unwrap_or(&line.words[0]);
            return Err(place.error("import takes exactly one argument: a snippet, a file or a pattern"));
        };
        if line.block.is_some() {
            return Err(word.error("import takes no block"));
        }
        if pattern.text.is_empty() {
            return Err(pattern.error("import of nothing: is a variable empty?"));
        }
        // Without these bounds a cycle would go on for ever. One message is enough.
        if self.exhausted {
            return Ok(Vec::new());
        }
        self.expansions += 1;
        if depth > DEPTH || self.expansions > EXPANSIONS {
            self.exhausted = true;
            return Err(pattern.error("too many imports: does a file or snippet import itself?"));
        }
        let lines = match self.snippets.get(&pattern.text) {
            Some(lines) => lines.clone(),
            None => self.lines_of_files(pattern)?,
        };
        self.lines += lines.iter().map(RawLine::count).sum::<usize>();
        if self.lines > LINES {
            self.exhausted = true;
            return Err(pattern.error(format!("imports bring in more than {LINES} lines")));
        }
        Ok(lines)
    }

    /// The lines of all files that a pattern means.
    fn lines_of_files(&mut self, pattern: &Token) -> Result<Vec<RawLine>, Error> {
        let mut lines = Vec::new();
        for path in self.files(pattern)? {
            let bytes = std::fs::read(&path)
                .map_err(|error| pattern.error(format!("{} cannot be read: {error}", path.display())))?;
            let directory = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
            let name = std::path::absolute(&path).unwrap_or(path);
            let file = SourceFile::new(&name.display().to_string(), &directory, &String::from_utf8_lossy(&bytes));
            lines.extend(self.lines(&file));
        }
        Ok(lines)
    }

    /// The files that a pattern means, in lexical order.
    fn files(&mut self, pattern: &Token) -> Result<Vec<PathBuf>, Error> {
        let text = pattern.text.as_str();
        let path = pattern.span.file.directory().join(text);
        let count = |wanted| text.chars().filter(|&c| c == wanted).count();
        if text.contains(['[', ']']) || count('*') > 1 || count('?') > 1 {
            return Err(pattern.error("a pattern may hold one `*` and one `?`, and no brackets"));
        }
        if count('*') + count('?') == 0 {
            return match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() => Err(pattern.error(format!("`{text}` is a directory"))),
                Ok(_) => Ok(vec![path]),
                Err(_) if self.ahead.contains(text) => {
                    Err(pattern.error(format!("snippet `{text}` is defined further down: move it above this import")))
                }
                Err(error) => Err(pattern.error(format!("no snippet and no file `{text}`: {error}"))),
            };
        }
        let files = matching(&path);
        if files.is_empty() {
            let message = format!("no file matches `{text}`");
            self.warnings.push(Warning { span: pattern.span.clone(), message });
        }
        Ok(files)
    }
}

/// The name of the snippet that the words in front of a block define.
pub(super) fn snippet(words: &[Token]) -> Option<&str> {
    let [only] = words else { return None };
    only.text.strip_prefix('(')?.strip_suffix(')')
}

fn imports(lines: &[RawLine], name: &str) -> bool {
    lines.iter().any(|line| {
        line.is_import() && line.words.get(1).is_some_and(|word| word.text == name)
            || line.block.as_ref().is_some_and(|block| imports(block, name))
    })
}

/// Files that match a path with wildcards, sorted. Directories and dot names are passed over: a ConfigMap mount holds
/// `..data`, which nobody means. A pattern that starts with a dot asks for them.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        let text = part.to_string_lossy();
        if text.contains(['*', '?']) {
            found = found.iter().flat_map(|directory| entries(directory, &text)).collect();
        } else {
            found.iter_mut().for_each(|path| path.push(part));
        }
    }
    found.retain(|path| path.is_file());
    found.sort();
    found
}

fn entries(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let place = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(listing) = std::fs::read_dir(place) else { return Vec::new() };
    let names = listing.filter_map(|entry| entry.ok().map(|entry| entry.file_name()));
    let fits = |name: &OsString| {
        let name = name.to_string_lossy();
        (pattern.starts_with('.') || !name.starts_with('.')) && wildcard(pattern, &name)
    };
    names.filter(fits).map(|name| directory.join(name)).collect()
}

/// Matches a file name against a pattern with `*` and `?`.
fn wildcard(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => name.is_empty(),
        Some('*') => {
            (0..=name.len()).filter(|&at| name.is_char_boundary(at)).any(|at| wildcard(pattern.as_str(), &name[at..]))
        }
        Some(wanted) => {
            let mut name = name.chars();
            name.next().is_some_and(|found| wanted == '?' || wanted == found)
                && wildcard(pattern.as_str(), name.as_str())
        }
    }
}
