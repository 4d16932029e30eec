use super::*;

const FUNCTIONS: [Function; 4] = [
    Function { name: "name", takes: &[], gives: Kind::Text },
    Function { name: "size", takes: &[], gives: Kind::Int },
    Function { name: "yes", takes: &[], gives: Kind::Bool },
    Function { name: "double", takes: &[Kind::Int], gives: Kind::Int },
];

struct Test;

impl Facts for Test {
    fn call(&self, function: usize, arguments: &[Value]) -> Result<Value, EvaluationError> {
        match (function, arguments) {
            (0, []) => Ok("www.example.org.".into()),
            (1, []) => Ok(33.into()),
            (2, []) => Ok(true.into()),
            (3, [Value::Int(number)]) => Ok((2 * number).into()),
            _ => Err(EvaluationError("wrong call".to_owned())),
        }
    }
}

fn given(text: &str) -> String {
    match Expression::parse(text, &FUNCTIONS) {
        Err(error) => format!("at {}: {error}", error.at),
        Ok(expression) => match expression.evaluate(&Test) {
            Ok(value) => {
                let kind = expression.kind();
                assert!(value.kind().fits(kind) || value == Value::Nil, "{text}: {value} is not {kind}");
                value.to_string()
            }
            Err(error) => format!("fails: {error}"),
        },
    }
}

#[test]
fn values_of_expressions() {
    for (text, value) in [
        // What stands between what.
        ("1 + 2 * 3 - 4", "3"),
        ("2 ** 3 ** 2", "512"),
        ("-2 ** 2", "-4"),
        ("7 % 4 + 10 / 4", "5.5"),
        ("true or false and false", "true"),
        ("not false and false", "false"),
        ("not yes() == false", "true"),
        ("(1 + 2) * 3 == 9 ? 'y' : 'n'", "y"),
        ("1 == 1.0 && 2 > 1.5 && 'a' < 'b'", "true"),
        ("false ? 1 : true ? 2 : 3", "2"),
        ("nil ?? 'x'", "x"),
        ("[1, 2][5 - 4] ?? 3", "2"),
        // Texts.
        ("name() contains 'example' and name() startsWith \"www.\" and name() endsWith `.org.`", "true"),
        ("name() matches '^w{3}[.]' && !(name() matches '^x')", "true"),
        ("name() not contains 'x.y' and name() not matches '^x'", "true"),
        ("name()[4:11] + '|' + name()[:3] + '|' + name()[-4:]", "example|www|org."),
        ("split(trimSuffix(name(), '.'), '.')[-1]", "org"),
        ("split(name(), '.', 2)", "[www example.org.]"),
        (
            "upper('a') + lower('B') + trim('  c ') + trim('xdx', 'x') + repeat('e', 2) + replace('fgf', 'f', 'h')",
            "Abcdeehgh",
        ),
        ("'it\\'s \\u0041\\n' == \"it's A\\n\"", "true"),
        ("name() | trimSuffix('.') | split('.') | len()", "3"),
        ("join(['a', 'b'], '-') + string(1) + string(int('2') + 1)", "a-b13"),
        ("indexOf('abcb', 'b') * 10 + lastIndexOf('abcb', 'b')", "13"),
        ("hasPrefix('ab', 'a') && hasSuffix('ab', 'b') && len('äö') == 2", "true"),
        // Numbers.
        ("0xff + 0b11 + 0o7 + 1_000", "1265"),
        ("1.5e1 + 0.5 * 2", "16"),
        ("double(size()) == 66 and size() in 30..40", "true"),
        ("abs(-3) + max(1, 2) + min(1, 2) + floor(1.7) + ceil(1.2) + round(2.5)", "12"),
        ("bitand(6, 3) + bitor(6, 3) * 10 + bitxor(6, 3) * 100 + bitshl(1, 3) * 1000 + bitshr(8, 3) * 10000", "18572"),
        ("+1 - -1", "2"),
        // Lists and maps.
        ("'A' in ['A', 'AAAA'] and 'MX' not in ['A'] and 1.0 in [1]", "true"),
        ("any([1, 2, 3], # > 2) and all([1, 2], {# > 0}) and none([1], # > 1) and one([1, 2], # == 1)", "true"),
        ("filter(1..5, # % 2 == 1)", "[1 3 5]"),
        ("map(['a', 'b'], upper(#))", "[A B]"),
        ("count([1, 2, 3], # > 1) * 10 + findIndex([5, 6], # == 6)", "21"),
        ("find([{'a': 1}, {'a': 2}], .a == 2).a", "2"),
        ("map([[1, 2], [3]], len(filter(#, # > 1)))", "[1 1]"),
        ("{'a': {'b': [7]}}.a.b[0]", "7"),
        ("{a: 1}['a'] + sum([1, 2]) + first([3]) + last([4])", "11"),
        ("{'a': 1}?.x == nil and 'a' in {'a': 1}", "true"),
        ("uniq(concat([1, 2], reverse([2, 3]))) == [1, 2, 3] and take([1, 2], 1) == [1]", "true"),
        ("keys({'a': 1}) == ['a'] and values({'a': 1}) == [1]", "true"),
        // Names and branches.
        ("let x = name(); let n = len(x); n > 3 && x startsWith 'w'", "true"),
        ("if size() > 3 { 'long' } else if yes() { 'short' } else { 'none' }", "long"),
        ("let a = [1]; map(a, # + len(a))", "[2]"),
        ("1; 2", "2"),
        ("yes() /* a comment */ // to the end", "true"),
        // What is not needed is not worked out.
        ("yes() or [1][7] == 1", "true"),
        // What only shows now.
        ("[1][7] == 1", "fails: the list has no element 7"),
        ("9223372036854775807 + size() > 0", "fails: not a number of 64 bits"),
        ("size() % 0 == 1", "fails: not a number of 64 bits"),
        ("name() matches name() + '('", "fails: bad regular expression: unclosed group"),
        (
            "name() matches name() + '((a{99}){99})'",
            "fails: the regular expression is too large: its repetitions take more than 32 KiB",
        ),
        ("len(1..1000000) > 1", "fails: a range has at most 100000 elements"),
        ("repeat('x', 1000000) == ''", "fails: a string is too long"),
    ] {
        assert_eq!(given(text), value, "{text}");
    }
}

#[test]
fn wrong_expressions_are_refused_with_the_place() {
    for (text, error) in [
        ("", "at 0: the expression ends too early"),
        ("1 +", "at 3: the expression ends too early"),
        ("name() == 1", "at 7: a string and an integer do not go together here"),
        ("1 + 'a'", "at 2: an integer and a string do not go together here"),
        ("nam() == 'a'", "at 0: unknown function `nam`"),
        ("Name() == 'a'", "at 0: unknown function `Name`; did you mean `name`?"),
        ("name == 'a'", "at 0: `name` is a function: write `name()`"),
        ("foo == 'a'", "at 0: unknown name `foo`"),
        ("name(1) == 'a'", "at 0: `name` takes 0 arguments, found 1"),
        ("double('a') == 2", "at 0: argument 1 of `double` is an integer, found a string"),
        ("split(name()) == []", "at 0: `split` takes 2 or more arguments, found 1"),
        ("name() matches '('", "at 7: bad regular expression: unclosed group"),
        ("yes() yes()", "at 6: unexpected `yes`"),
        ("(yes()", "at 6: the expression ends too early"),
        ("'abc", "at 0: this string does not end"),
        ("yes() ~ 1", "at 6: unexpected `~`"),
        ("yes() § 1", "at 6: `§` means nothing here"),
        ("not 1", "at 0: `not` is for a bool, and this is an integer"),
        ("size() ? 1 : 2", "at 7: the condition is an integer, not a bool"),
        ("any([1], 'x')", "at 0: what is asked of each element is a string, not a bool"),
        ("any(1, # > 1)", "at 0: expected a list, found an integer"),
        ("# > 1", "at 0: `#` is an element of a list, within a function of lists"),
        ("nil ?? 1 == 1", "at 9: `??` and other operators need parentheses beside one another"),
        ("12ab", "at 0: this is no number"),
        ("99999999999999999999", "at 0: this is no number"),
        ("size()[1] == 1", "at 6: an integer has no element by an integer"),
        ("let name = 1; name", "at 4: `name` is a function"),
    ] {
        assert_eq!(given(text), error, "{text}");
    }
    let deep = "(".repeat(10_000);
    assert!(given(&deep).ends_with("too many parts in one another"));
    let negated = "not ".repeat(10_000) + "true";
    assert!(given(&negated).ends_with("too many parts in one another"));
}
