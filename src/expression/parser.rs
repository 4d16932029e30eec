use super::{
    ExpressionError, Function, Kind, Value,
    builtin::Builtin,
    evaluate::{Each, Node, Operator, operate},
    lexer::{Lexeme, Token, tokens},
};
use crate::pattern;

/// How deep parentheses and the like may stand in one another.
const DEEPEST: usize = 64;
/// How tightly unary operators bind.
const NOT: u16 = 50;
const MINUS: u16 = 90;

/// Binary operators and how tightly they bind. The pipe, which is no operator on two values, binds least.
const OPERATORS: [(&str, Operator, u16); 24] = [
    ("or", Operator::Or, 10),
    ("||", Operator::Or, 10),
    ("and", Operator::And, 15),
    ("&&", Operator::And, 15),
    ("==", Operator::Equal, 20),
    ("!=", Operator::Unequal, 20),
    ("<", Operator::Less, 20),
    (">", Operator::Greater, 20),
    ("<=", Operator::AtMost, 20),
    (">=", Operator::AtLeast, 20),
    ("in", Operator::In, 20),
    ("contains", Operator::Contains, 20),
    ("startsWith", Operator::StartsWith, 20),
    ("endsWith", Operator::EndsWith, 20),
    ("matches", Operator::Matches, 20),
    ("..", Operator::Range, 25),
    ("+", Operator::Add, 30),
    ("-", Operator::Subtract, 30),
    ("*", Operator::Multiply, 60),
    ("/", Operator::Divide, 60),
    ("%", Operator::Remainder, 60),
    ("**", Operator::Power, 100),
    ("^", Operator::Power, 100),
    ("??", Operator::Coalesce, 500),
];

const EACH: [(&str, Each, Kind); 9] = [
    ("all", Each::All, Kind::Bool),
    ("any", Each::Any, Kind::Bool),
    ("one", Each::One, Kind::Bool),
    ("none", Each::None, Kind::Bool),
    ("filter", Each::Filter, Kind::List),
    ("map", Each::Map, Kind::List),
    ("count", Each::Count, Kind::Int),
    ("find", Each::Find, Kind::Any),
    ("findIndex", Each::FindIndex, Kind::Any),
];

type Result<T> = std::result::Result<T, ExpressionError>;
/// A part with the kind of its value.
type Typed = (Node, Kind);

pub(super) fn parse(text: &str, functions: &[Function], variables: &[(String, Kind)]) -> Result<Typed> {
    let tokens = tokens(text)?;
    let variables = variables.iter().map(|(name, kind)| (Some(name.clone()), *kind)).collect();
    let mut parser = Parser { tokens, next: 0, functions, variables, depth: 0 };
    let whole = parser.sequence()?;
    match parser.peek() {
        Lexeme::End => Ok(whole),
        _ => parser.unexpected(),
    }
}

/// Words of the language that are neither operators nor functions.
const WORDS: [&str; 7] = ["true", "false", "nil", "let", "if", "else", "not"];

/// Whether a word is an operator, a function or the like.
pub(super) fn means_something(word: &str) -> bool {
    WORDS.contains(&word)
        || OPERATORS.iter().any(|(sign, ..)| *sign == word)
        || EACH.iter().any(|(name, ..)| *name == word)
        || Builtin::find(word).is_some()
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    functions: &'a [Function],
    /// What was given by name, what `let` has named, and elements of lists, which have no name.
    variables: Vec<(Option<String>, Kind)>,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Lexeme {
        &self.tokens[self.next].lexeme
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    fn take(&mut self) -> Lexeme {
        let lexeme = self.peek().clone();
        // The end stays.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        lexeme
    }

    fn error<T>(at: usize, message: impl Into<String>) -> Result<T> {
        Err(ExpressionError { message: message.into(), at })
    }

    fn unexpected<T>(&self) -> Result<T> {
        let what = match self.peek() {
            Lexeme::End => return Self::error(self.at(), "the expression ends too early"),
            Lexeme::Int(number) => number.to_string(),
            Lexeme::Float(number) => number.to_string(),
            Lexeme::Text(text) => text.clone(),
            Lexeme::Word(word) => word.clone(),
            Lexeme::Sign(sign) => (*sign).to_owned(),
        };
        Self::error(self.at(), format!("unexpected `{what}`"))
    }

    /// Whether an operator, a bracket, or an operator that is a word comes next.
    fn is(&self, wanted: &str) -> bool {
        matches!(self.peek(), Lexeme::Sign(sign) if *sign == wanted)
            || matches!(self.peek(), Lexeme::Word(word) if word == wanted)
    }

    fn take_if(&mut self, wanted: &str) -> bool {
        let found = self.is(wanted);
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<()> {
        if self.take_if(wanted) { Ok(()) } else { self.unexpected() }
    }

    fn word(&mut self) -> Result<String> {
        match self.peek() {
            Lexeme::Word(word) => {
                let word = word.clone();
                self.take();
                Ok(word)
            }
            _ => self.unexpected(),
        }
    }

    /// `a; b`: the value is the last one's.
    fn sequence(&mut self) -> Result<Typed> {
        let (mut node, mut kind) = self.expression(0)?;
        while self.take_if(";") {
            if matches!(self.peek(), Lexeme::End) {
                break;
            }
            let (next, next_kind) = self.expression(0)?;
            node = Node::Sequence(Box::new([node, next]));
            kind = next_kind;
        }
        Ok((node, kind))
    }

    fn expression(&mut self, binding: u16) -> Result<Typed> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Self::error(self.at(), "too many parts in one another");
        }
        let found = match () {
            () if binding == 0 && self.is("let") => self.variable(),
            () if binding == 0 && self.is("if") => self.choice(),
            () => self.operations(binding),
        };
        self.depth -= 1;
        found
    }

    fn operations(&mut self, binding: u16) -> Result<Typed> {
        let mut left = self.primary()?;
        let mut coalesced = None;
        loop {
            let start = self.next;
            let at = self.at();
            let negated = self.take_if("not");
            let sign = match self.peek() {
                Lexeme::Sign(sign) => (*sign).to_owned(),
                Lexeme::Word(word) => word.clone(),
                _ => String::new(),
            };
            let Some((operator, tight)) = binary(&sign).filter(|(_, tight)| *tight >= binding) else {
                if negated {
                    return self.unexpected();
                }
                break;
            };
            if negated && !matches!(sign.as_str(), "in" | "contains" | "startsWith" | "endsWith" | "matches") {
                return self.unexpected();
            }
            self.take();
            let Some(operator) = operator else {
                left = self.piped(left)?;
                continue;
            };
            if coalesced.is_some_and(|was| was != (operator == Operator::Coalesce)) {
                self.next = start;
                return Self::error(at, "`??` and other operators need parentheses beside one another");
            }
            coalesced =
                (operator == Operator::Coalesce || coalesced.is_some()).then_some(operator == Operator::Coalesce);
            let right = self.expression(if operator == Operator::Power { tight } else { tight + 1 })?;
            left = join(operator, left, right).map_err(|message| ExpressionError { message, at })?;
            if negated {
                left = (Node::Not(Box::new(left.0)), Kind::Bool);
            }
        }
        if binding == 0 { self.conditional(left) } else { Ok(left) }
    }

    /// `value | function(other arguments)`.
    fn piped(&mut self, first: Typed) -> Result<Typed> {
        let at = self.at();
        let name = self.word()?;
        let call = self.call(&name, at, Some(first))?;
        self.postfix(call)
    }

    /// `condition ? one : other`, `one ?: other`.
    fn conditional(&mut self, condition: Typed) -> Result<Typed> {
        let at = self.at();
        if self.take_if("?:") {
            let other = self.expression(0)?;
            return Self::chosen(at, condition.clone(), condition, other);
        }
        if !self.take_if("?") {
            return Ok(condition);
        }
        if self.take_if(":") {
            let other = self.expression(0)?;
            return Self::chosen(at, condition.clone(), condition, other);
        }
        let one = self.expression(0)?;
        self.expect(":")?;
        let other = self.expression(0)?;
        Self::chosen(at, condition, one, other)
    }

    /// `if condition { one } else { other }`.
    fn choice(&mut self) -> Result<Typed> {
        let at = self.at();
        self.take();
        let condition = self.expression(0)?;
        self.expect("{")?;
        let one = self.sequence()?;
        self.expect("}")?;
        self.expect("else")?;
        if self.is("if") {
            let other = self.expression(0)?;
            return Self::chosen(at, condition, one, other);
        }
        self.expect("{")?;
        let other = self.sequence()?;
        self.expect("}")?;
        Self::chosen(at, condition, one, other)
    }

    fn chosen(at: usize, condition: Typed, one: Typed, other: Typed) -> Result<Typed> {
        if !condition.1.fits(Kind::Bool) {
            return Self::error(at, format!("the condition is {}, not a bool", condition.1));
        }
        let kind = if one.1 == other.1 { one.1 } else { Kind::Any };
        Ok((Node::Conditional(Box::new([condition.0, one.0, other.0])), kind))
    }

    /// `let name = value; rest`.
    fn variable(&mut self) -> Result<Typed> {
        self.take();
        let at = self.at();
        let name = self.word()?;
        if self.functions.iter().any(|function| function.name == name) || Builtin::find(&name).is_some() {
            return Self::error(at, format!("`{name}` is a function"));
        }
        self.expect("=")?;
        let value = self.expression(0)?;
        self.expect(";")?;
        self.variables.push((Some(name), value.1));
        let rest = self.sequence();
        self.variables.pop();
        let (rest, kind) = rest?;
        Ok((Node::Let(Box::new([value.0, rest])), kind))
    }

    fn primary(&mut self) -> Result<Typed> {
        let at = self.at();
        if self.take_if("not") || self.take_if("!") {
            let (node, kind) = self.expression(NOT)?;
            if !kind.fits(Kind::Bool) {
                return Self::error(at, format!("`not` is for a bool, and this is {kind}"));
            }
            return Ok((Node::Not(Box::new(node)), Kind::Bool));
        }
        if self.is("-") || self.is("+") {
            let negative = self.is("-");
            self.take();
            let (node, kind) = self.expression(MINUS)?;
            if !kind.is_number() {
                return Self::error(at, format!("expected a number, found {kind}"));
            }
            return Ok(if negative { (negative_of(node), kind) } else { (node, kind) });
        }
        let part = match self.peek().clone() {
            Lexeme::Int(number) => self.constant(Value::Int(number)),
            Lexeme::Float(number) => self.constant(Value::Float(number)),
            Lexeme::Text(text) => self.constant(Value::Text(text)),
            Lexeme::Word(word) => {
                self.take();
                self.named(&word, at)?
            }
            Lexeme::Sign("(") => {
                self.take();
                let inner = self.sequence()?;
                self.expect(")")?;
                inner
            }
            Lexeme::Sign("[") => self.list()?,
            Lexeme::Sign("{") => self.map()?,
            Lexeme::Sign("#") => {
                self.take();
                self.element(at)?
            }
            // A member of the element: the point is left for what follows.
            Lexeme::Sign(".") => self.element(at)?,
            _ => return self.unexpected(),
        };
        self.postfix(part)
    }

    fn constant(&mut self, value: Value) -> Typed {
        self.take();
        let kind = value.kind();
        (Node::Constant(value), kind)
    }

    /// The element that a function of lists looks at.
    fn element(&self, at: usize) -> Result<Typed> {
        match self.variables.iter().rposition(|(name, _)| name.is_none()) {
            Some(place) => Ok((Node::Variable(place), Kind::Any)),
            None => Self::error(at, "`#` is an element of a list, within a function of lists"),
        }
    }

    fn named(&mut self, word: &str, at: usize) -> Result<Typed> {
        match word {
            "true" => return Ok((Node::Constant(true.into()), Kind::Bool)),
            "false" => return Ok((Node::Constant(false.into()), Kind::Bool)),
            "nil" => return Ok((Node::Constant(Value::Nil), Kind::Nil)),
            _ => {}
        }
        if self.is("(") {
            return self.call(word, at, None);
        }
        if let Some(place) = self.variables.iter().rposition(|(name, _)| name.as_deref() == Some(word)) {
            return Ok((Node::Variable(place), self.variables[place].1));
        }
        if self.functions.iter().any(|function| function.name == word) || Builtin::find(word).is_some() {
            return Self::error(at, format!("`{word}` is a function: write `{word}()`"));
        }
        Self::error(at, format!("unknown name `{word}`"))
    }

    /// A call, `first` being what was piped into it.
    fn call(&mut self, name: &str, at: usize, first: Option<Typed>) -> Result<Typed> {
        self.expect("(")?;
        if let Some(&(_, each, gives)) = EACH.iter().find(|(known, ..)| *known == name) {
            return self.each(each, gives, at, first);
        }
        let mut arguments: Vec<Typed> = first.into_iter().collect();
        while !self.is(")") {
            arguments.push(self.expression(0)?);
            if !self.take_if(",") {
                break;
            }
        }
        self.expect(")")?;
        let own = self.functions.iter().position(|function| function.name == name);
        let builtin = Builtin::find(name);
        let (takes, optional, gives) = match (own, builtin) {
            (Some(own), _) => (self.functions[own].takes, 0, self.functions[own].gives),
            (None, Some(builtin)) => (builtin.takes().0, builtin.takes().1, builtin.gives()),
            (None, None) => return Self::error(at, self.unknown(name)),
        };
        if !(takes.len() - optional..=takes.len()).contains(&arguments.len()) {
            let (wanted, found) = (takes.len() - optional, arguments.len());
            let more = if optional > 0 { " or more" } else { "" };
            return Self::error(at, format!("`{name}` takes {wanted}{more} arguments, found {found}"));
        }
        for (number, ((_, kind), wanted)) in (1..).zip(arguments.iter().zip(takes)) {
            if !kind.fits(*wanted) {
                return Self::error(at, format!("argument {number} of `{name}` is {wanted}, found {kind}"));
            }
        }
        let arguments = arguments.into_iter().map(|(node, _)| node).collect();
        let node = match (own, builtin) {
            (Some(own), _) => Node::Call(own, arguments),
            (None, Some(builtin)) => Node::Builtin(builtin, arguments),
            (None, None) => return Self::error(at, self.unknown(name)),
        };
        Ok((node, gives))
    }

    fn unknown(&self, name: &str) -> String {
        let own = self.functions.iter().map(|function| function.name);
        let known: Vec<&str> = own.chain(Builtin::names()).chain(EACH.iter().map(|(name, ..)| *name)).collect();
        let near = known.iter().find(|known| known.eq_ignore_ascii_case(name));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("unknown function `{name}`{hint}")
    }

    /// `any(list, condition)`, where the condition may stand in braces.
    fn each(&mut self, each: Each, gives: Kind, at: usize, first: Option<Typed>) -> Result<Typed> {
        let list = match first {
            Some(first) => first,
            None => {
                let list = self.expression(0)?;
                self.expect(",")?;
                list
            }
        };
        if !list.1.fits(Kind::List) {
            return Self::error(at, format!("expected a list, found {}", list.1));
        }
        let place = self.variables.len();
        self.variables.push((None, Kind::Any));
        let braces = self.take_if("{");
        let asked = self.sequence();
        self.variables.pop();
        let asked = asked?;
        if braces {
            self.expect("}")?;
        }
        self.take_if(",");
        self.expect(")")?;
        if each != Each::Map && !asked.1.fits(Kind::Bool) {
            return Self::error(at, format!("what is asked of each element is {}, not a bool", asked.1));
        }
        Ok((Node::Each(each, Box::new([list.0, asked.0]), place), gives))
    }

    fn list(&mut self) -> Result<Typed> {
        self.take();
        let mut parts = Vec::new();
        while !self.is("]") {
            parts.push(self.expression(0)?.0);
            if !self.take_if(",") {
                break;
            }
        }
        self.expect("]")?;
        let values: Option<Vec<Value>> = parts.iter().map(constant_of).collect();
        let node = values.map_or_else(|| Node::List(parts), |values| Node::Constant(Value::List(values)));
        Ok((node, Kind::List))
    }

    fn map(&mut self) -> Result<Typed> {
        self.take();
        let mut entries = Vec::new();
        while !self.is("}") {
            let at = self.at();
            let key = match self.peek().clone() {
                Lexeme::Word(text) | Lexeme::Text(text) => self.constant(Value::Text(text)),
                Lexeme::Int(number) => self.constant(Value::Text(number.to_string())),
                _ => self.primary()?,
            };
            if !key.1.fits(Kind::Text) {
                return Self::error(at, format!("a key is a string, found {}", key.1));
            }
            self.expect(":")?;
            entries.push((key.0, self.expression(0)?.0));
            if !self.take_if(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok((Node::Map(entries), Kind::Map))
    }

    /// Members, elements and parts of what stands before.
    fn postfix(&mut self, mut whole: Typed) -> Result<Typed> {
        loop {
            let at = self.at();
            if self.take_if(".") || self.take_if("?.") {
                let key = Node::Constant(Value::Text(self.word()?));
                if !whole.1.fits(Kind::Map) {
                    return Self::error(at, format!("{} has no members", whole.1));
                }
                whole = (Node::Index(Box::new([whole.0, key])), Kind::Any);
            } else if self.take_if("[") {
                whole = self.bracket(whole, at)?;
            } else {
                return Ok(whole);
            }
        }
    }

    fn bracket(&mut self, whole: Typed, at: usize) -> Result<Typed> {
        let from = if self.is(":") { None } else { Some(self.expression(0)?) };
        if !self.take_if(":") {
            self.expect("]")?;
            let Some(index) = from else { return self.unexpected() };
            let by = if whole.1 == Kind::Map { Kind::Text } else { Kind::Int };
            let has_elements = matches!(whole.1, Kind::List | Kind::Map | Kind::Any);
            if !has_elements || whole.1 != Kind::Any && !index.1.fits(by) {
                return Self::error(at, format!("{} has no element by {}", whole.1, index.1));
            }
            return Ok((Node::Index(Box::new([whole.0, index.0])), Kind::Any));
        }
        let to = if self.is("]") { None } else { Some(self.expression(0)?) };
        self.expect("]")?;
        let are_integers = [&from, &to].into_iter().flatten().all(|(_, kind)| kind.fits(Kind::Int));
        if !are_integers || !matches!(whole.1, Kind::List | Kind::Text | Kind::Any) {
            return Self::error(at, format!("{} has no such part", whole.1));
        }
        let [from, to] = [from, to].map(|bound| bound.map(|(node, _)| Box::new(node)));
        Ok((Node::Slice(Box::new(whole.0), from, to), whole.1))
    }
}

/// An operator and how tightly it binds; no operator for the pipe.
fn binary(sign: &str) -> Option<(Option<Operator>, u16)> {
    if sign == "|" {
        return Some((None, 0));
    }
    let (_, operator, tight) = OPERATORS.iter().find(|(known, ..)| *known == sign)?;
    Some((Some(*operator), *tight))
}

fn constant_of(node: &Node) -> Option<Value> {
    match node {
        Node::Constant(value) => Some(value.clone()),
        _ => None,
    }
}

fn negative_of(node: Node) -> Node {
    match node {
        Node::Constant(Value::Int(number)) => Node::Constant(Value::Int(number.wrapping_neg())),
        Node::Constant(Value::Float(number)) => Node::Constant(Value::Float(-number)),
        other => Node::Negative(Box::new(other)),
    }
}

/// An operation, if the kinds go together. A pattern is compiled, and what is constant is worked out.
fn join(operator: Operator, one: Typed, two: Typed) -> std::result::Result<Typed, String> {
    use Operator::{
        Add, And, AtLeast, AtMost, Coalesce, Contains, Divide, EndsWith, Equal, Greater, In, Less, Matches, Multiply,
        Or, Power, Range, Remainder, StartsWith, Subtract, Unequal,
    };
    let (a, b) = (one.1, two.1);
    let both = |kind: Kind| a.fits(kind) && b.fits(kind);
    let numbers = a.is_number() && b.is_number();
    let whole = if a == Kind::Int && b == Kind::Int { Kind::Int } else { Kind::Float };
    let sum = if a == Kind::Any || b == Kind::Any { Kind::Any } else { whole };
    let gives = match operator {
        And | Or => both(Kind::Bool).then_some(Kind::Bool),
        Equal | Unequal => a.compares(b).then_some(Kind::Bool),
        Less | Greater | AtMost | AtLeast => (numbers || both(Kind::Text)).then_some(Kind::Bool),
        In => (b.fits(Kind::List) || b == Kind::Map && a.fits(Kind::Text) || b == Kind::Nil).then_some(Kind::Bool),
        Contains | StartsWith | EndsWith | Matches => both(Kind::Text).then_some(Kind::Bool),
        Range => (a.fits(Kind::Int) && b.fits(Kind::Int)).then_some(Kind::List),
        Add if numbers => Some(sum),
        Add => both(Kind::Text).then_some(Kind::Text),
        Subtract | Multiply => numbers.then_some(sum),
        Remainder => both(Kind::Int).then_some(Kind::Int),
        Divide | Power => numbers.then_some(Kind::Float),
        Coalesce => Some(if a == b { a } else { Kind::Any }),
    };
    let Some(gives) = gives else { return Err(format!("{a} and {b} do not go together here")) };
    if let (Matches, Node::Constant(Value::Text(pattern))) = (operator, &two.0) {
        let pattern = pattern::of_text(pattern).map_err(|error| error.to_string())?;
        return Ok((Node::Matches(Box::new(one.0), pattern), gives));
    }
    if let (Node::Constant(one), Node::Constant(two)) = (&one.0, &two.0)
        && let Ok(value) = operate(operator, one, two)
    {
        let kind = value.kind();
        return Ok((Node::Constant(value), kind));
    }
    Ok((Node::Operation(operator, Box::new([one.0, two.0])), gives))
}
