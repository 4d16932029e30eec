use super::{
    TemplateError,
    functions::{BUILT_IN, Function},
    lexer::{Token, tokens},
};

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// `{{ pipeline }}`.
    Print(Pipeline),
    If {
        condition: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    With {
        value: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Range {
        list: Pipeline,
        body: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Break,
    Continue,
}

/// Commands, each handed the value of the one before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    /// Variables that it sets; whether they are new.
    pub(super) variables: Vec<String>,
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Operand>>,
    pub(super) at: usize,
}

/// A value or something to call, with the fields taken from it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
    pub(super) at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Function(Function),
    Pipeline(Box<Pipeline>),
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Nil,
}

/// How deep blocks and parentheses may nest.
const DEEPEST: usize = 50;

pub(super) fn parse(text: &str, functions: &[Function]) -> Result<Vec<Node>, TemplateError> {
    let tokens = tokens(text)?;
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens: &tokens, functions, end, variables: vec!["".to_owned()], loops: 0, depth: 0 };
    let (nodes, stop) = parser.nodes()?;
    match stop {
        Stop::End(at) => Err(error(at, "`end` without a beginning")),
        Stop::Else(at) => Err(error(at, "`else` without `if`, `with` or `range`")),
        Stop::Text => Ok(nodes),
    }
}

/// What ended a list of nodes.
enum Stop {
    Text,
    End(usize),
    Else(usize),
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    functions: &'a [Function],
    end: usize,
    /// Names of the variables that can be seen.
    variables: Vec<String>,
    loops: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.first().map(|(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.first().map_or(self.end, |(at, _)| *at)
    }

    fn advance(&mut self) {
        self.tokens = &self.tokens[1..];
    }

    fn take(&mut self, token: &Token) -> bool {
        let there = self.peek() == Some(token);
        if there {
            self.advance();
        }
        there
    }

    fn word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(token) = self.peek() {
            if let Token::Text(text) = token {
                nodes.push(Node::Text(text.clone()));
                self.advance();
                continue;
            }
            let at = self.at();
            self.advance();
            let node = match self.word() {
                Some("end") => {
                    self.advance();
                    self.close("end")?;
                    return Ok((nodes, Stop::End(at)));
                }
                Some("else") => {
                    self.advance();
                    return Ok((nodes, Stop::Else(at)));
                }
                Some("if") => self.block(at, Kind::If)?,
                Some("with") => self.block(at, Kind::With)?,
                Some("range") => self.block(at, Kind::Range)?,
                Some(word @ ("break" | "continue")) => {
                    if self.loops == 0 {
                        return Err(error(at, format!("`{word}` outside of `range`")));
                    }
                    let node = if word == "break" { Node::Break } else { Node::Continue };
                    self.advance();
                    self.close("break or continue")?;
                    node
                }
                Some(word @ ("define" | "template" | "block")) => {
                    return Err(error(at, format!("`{word}` has no use in a template for one record")));
                }
                _ => {
                    let pipeline = self.pipeline()?;
                    self.close("a pipeline")?;
                    Node::Print(pipeline)
                }
            };
            nodes.push(node);
        }
        Ok((nodes, Stop::Text))
    }

    fn close(&mut self, behind: &str) -> Result<(), TemplateError> {
        if self.take(&Token::Close) {
            Ok(())
        } else {
            Err(error(self.at(), format!("expected `}}}}` behind {behind}")))
        }
    }

    fn deeper(&mut self, at: usize) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(error(at, "too deeply nested")) } else { Ok(()) }
    }

    /// `if`, `with` or `range`, its keyword not yet read, up to the `end` that belongs to it.
    fn block(&mut self, at: usize, kind: Kind) -> Result<Node, TemplateError> {
        self.advance();
        self.deeper(at)?;
        let known = self.variables.len();
        let subject = self.pipeline()?;
        if subject.variables.len() > 1 && !matches!(kind, Kind::Range) {
            return Err(error(at, "two variables are for `range` only"));
        }
        self.close("the pipeline of a block")?;
        self.loops += usize::from(matches!(kind, Kind::Range));
        let (then, stop) = self.nodes()?;
        self.loops -= usize::from(matches!(kind, Kind::Range));
        let otherwise = match stop {
            Stop::End(_) => Vec::new(),
            Stop::Text => return Err(error(at, "a block without its `end`")),
            Stop::Else(at) => match (self.word(), kind) {
                // `else if` is an `if` in the `else`, closed by the same `end`.
                (Some("if"), Kind::If) => vec![self.block(at, Kind::If)?],
                (Some("with"), Kind::With) => vec![self.block(at, Kind::With)?],
                _ => {
                    self.close("else")?;
                    match self.nodes()? {
                        (nodes, Stop::End(_)) => nodes,
                        (_, Stop::Else(at)) => return Err(error(at, "a second `else`")),
                        (_, Stop::Text) => return Err(error(at, "a block without its `end`")),
                    }
                }
            },
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(match kind {
            Kind::If => Node::If { condition: subject, then, otherwise },
            Kind::With => Node::With { value: subject, then, otherwise },
            Kind::Range => Node::Range { list: subject, body: then, otherwise },
        })
    }

    fn pipeline(&mut self) -> Result<Pipeline, TemplateError> {
        let at = self.at();
        let (variables, declares) = self.assignment()?;
        let mut commands = Vec::new();
        loop {
            let command = self.command()?;
            let first = command.first().map(|operand: &Operand| (&operand.base, operand.fields.is_empty(), operand.at));
            // Only what can be called may stand behind `|`.
            if let Some((base, bare, at)) = first
                && !commands.is_empty()
                && bare
                && !matches!(base, Base::Function(_) | Base::Variable(_) | Base::Pipeline(_))
            {
                return Err(error(at, "what stands behind `|` must be a function or a method"));
            }
            commands.push(command);
            if !self.take(&Token::Mark('|')) {
                break;
            }
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, declares, commands, at })
    }

    /// `$x :=`, `$x =` or `$i, $x :=` in front of a pipeline.
    fn assignment(&mut self) -> Result<(Vec<String>, bool), TemplateError> {
        let mut names = Vec::new();
        let mut ahead = self.tokens;
        while let [(_, Token::Variable(name)), (_, mark), rest @ ..] = ahead {
            names.push(name.clone());
            ahead = rest;
            match mark {
                Token::Mark(',') if names.len() == 1 => {}
                Token::Mark(kind @ (':' | '=')) => {
                    let declares = *kind == ':';
                    if let Some(unknown) = names.iter().find(|name| !declares && !self.variables.contains(name)) {
                        return Err(error(self.at(), format!("unknown variable `${unknown}`")));
                    }
                    self.tokens = ahead;
                    return Ok((names, declares));
                }
                _ => break,
            }
        }
        Ok((Vec::new(), false))
    }

    fn command(&mut self) -> Result<Vec<Operand>, TemplateError> {
        let mut operands = Vec::new();
        while let Some(operand) = self.operand()? {
            operands.push(operand);
        }
        if operands.is_empty() {
            return Err(error(self.at(), "expected a value or a function"));
        }
        Ok(operands)
    }

    fn operand(&mut self) -> Result<Option<Operand>, TemplateError> {
        let at = self.at();
        let Some(token) = self.peek().cloned() else { return Ok(None) };
        let mut fields = Vec::new();
        let base = match token {
            Token::Dot => Base::Dot,
            Token::Field { name, .. } => {
                fields.push(name);
                Base::Dot
            }
            Token::Variable(name) if !self.variables.contains(&name) => {
                return Err(error(at, format!("unknown variable `${name}`")));
            }
            Token::Variable(name) => Base::Variable(name),
            Token::String(text) => Base::String(text),
            Token::Integer(number) => Base::Integer(number),
            Token::Float(number) => Base::Float(number),
            Token::Word(word) => match word.as_str() {
                "true" => Base::Bool(true),
                "false" => Base::Bool(false),
                "nil" => Base::Nil,
                _ => Base::Function(self.function(&word, at)?),
            },
            Token::Mark('(') => {
                self.advance();
                self.deeper(at)?;
                let inner = self.pipeline()?;
                self.depth -= 1;
                if self.peek() != Some(&Token::Mark(')')) {
                    return Err(error(at, "a parenthesis that is never closed"));
                }
                Base::Pipeline(Box::new(inner))
            }
            Token::Text(_) | Token::Open | Token::Close | Token::Mark('|' | ')') => return Ok(None),
            Token::Mark(mark) => return Err(error(at, format!("unexpected `{mark}`"))),
        };
        self.advance();
        while let Some(Token::Field { name, chained: true }) = self.peek().cloned() {
            fields.push(name);
            self.advance();
        }
        Ok(Some(Operand { base, fields, at }))
    }

    fn function(&self, word: &str, at: usize) -> Result<Function, TemplateError> {
        let mut known = self.functions.iter().chain(BUILT_IN);
        known
            .find(|function| function.name == word)
            .copied()
            .ok_or_else(|| error(at, format!("unknown function `{word}`")))
    }
}

#[derive(Clone, Copy)]
enum Kind {
    If,
    With,
    Range,
}

fn error(at: usize, message: impl Into<String>) -> TemplateError {
    TemplateError { at, message: message.into() }
}
