use super::*;

struct Data;

impl Object for Data {
    fn kind(&self) -> &'static str {
        "data"
    }

    fn field(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "Name" => "a.b.test.".into(),
            "Match" => Value::List(vec!["a.b".into(), "a".into(), "b".into()]),
            "Group" => Value::Map(vec![("0".into(), "a.b".into()), ("ip".into(), "0a01".into())]),
            "Id" => Value::Unsigned(7),
            "Inner" => Value::Object(self),
            _ => return None,
        })
    }

    fn call(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        (name == "Meta").then(|| match arguments {
            [Value::Text(label)] => Ok(format!("<{label}>").into()),
            _ => Err("wants 1 argument".to_owned()),
        })
    }
}

fn run(text: &str) -> Result<String, String> {
    let template = Template::parse(text, &[]).map_err(|error| error.to_string())?;
    template.run(&Data).map_err(|error| error.to_string())
}

/// Template → text, as Go makes it.
#[test]
fn what_templates_make() {
    for (template, text) in [
        ("plain", "plain"),
        ("{{ .Name }}|{{.Id}}|{{ .Inner.Inner.Id }}", "a.b.test.|7|7"),
        ("{{ .Match }} {{ .Group }}", "[a.b a b] map[0:a.b ip:0a01]"),
        ("{{ index .Match 1 }}{{ index .Group `ip` }}{{ index .Group \"nope\" }}", "a0a01"),
        ("{{ .Group.ip }} {{ .Group.nope }}", "0a01 <no value>"),
        ("a {{- 1 -}} b {{ 2 -}} c", "a1b 2c"),
        ("x{{/* note */}}y {{- /* cut */ -}} z", "xyz"),
        ("{{ if .Group.nope }}1{{ else if eq .Id 7 }}2{{ else }}3{{ end }}", "2"),
        ("{{ with .Group.nope }}1{{ else with .Name }}{{ . }}{{ else }}3{{ end }}", "a.b.test."),
        ("{{ range .Match }}<{{ . }}>{{ end }}", "<a.b><a><b>"),
        ("{{ range $i, $e := .Match }}{{ $i }}={{ $e }},{{ end }}", "0=a.b,1=a,2=b,"),
        ("{{ range $k, $v := .Group }}{{ $k }}:{{ $v }} {{ end }}", "0:a.b ip:0a01 "),
        ("{{ range .Match }}{{ if eq . `a` }}{{ continue }}{{ end }}{{ . }} {{ end }}", "a.b b "),
        ("{{ range .Match }}{{ if eq . `a` }}{{ break }}{{ end }}{{ . }} {{ end }}", "a.b "),
        ("{{ range .Group.nope }}x{{ else }}none{{ end }}{{ range 3 }}{{ . }}{{ end }}", "none012"),
        ("{{ range .Match }}{{ $.Name }}{{ break }}{{ end }}", "a.b.test."),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ $y }}{{ end }}{{ $x }}", "32"),
        ("{{ $x := .Inner }}{{ $x.Inner.Id }} {{ (index .Match 0) | len }} {{ (.Inner).Name }}", "7 3 a.b.test."),
        ("{{ .Meta `k/l` }} {{ .Inner.Meta \"x\" }} {{ `y` | .Meta }}", "<k/l> <x> <y>"),
        ("{{ and 1 0 .Nope }}{{ or 0 `z` .Nope }}{{ not 0 }}", "0ztrue"),
        (
            "{{ eq 1 2 3 1 }} {{ ne `a` `b` }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt `b` `a` }} {{ ge 1 2 }} {{ eq .Id 7 }}",
            "true true true true true false true",
        ),
        ("{{ slice .Name 0 3 }} {{ slice .Name 2 }} {{ slice .Match 1 2 }} {{ len .Name }}", "a.b b.test. [a] 9"),
        ("{{ print 1 2 `a` `b` 3 4 }}{{ println 1 `a` }}", "1 2ab3 41 a\n"),
        ("{{ html `<a&'\">` }} {{ urlquery `a b/ü` }} {{ js `'` }}", "&lt;a&amp;&#39;&#34;&gt; a+b%2F%C3%BC \\'"),
        (
            "{{ printf `%03d|%x|%q|%5s|%-5s|%T|%v|%%|%.1f|%t|%c` 7 255 .Name `a` `a` 1 .Match 2.25 true 65 }}",
            "007|ff|\"a.b.test.\"|    a|a    |int|[a.b a b]|%|2.2|true|A",
        ),
        (
            "{{ printf `%d %d` `a` }} {{ printf `x` 1 }} {{ printf `%*d` 4 7 }} {{ printf `%+d % d %#x` 1 2 255 }}",
            "%!d(string=a) %!d(MISSING) x%!(EXTRA int=1)    7 +1  2 0xff",
        ),
        (
            "{{ 1 | printf `%d-%d` 2 }} {{ 0x10 }} {{ 017 }} {{ -3 }} {{ 1.5 }} {{ 'a' }} {{ 1e3 }}",
            "2-1 16 15 -3 1.5 97 1000",
        ),
        ("{{ \"a\\\"b\\t\\x41\" }}{{ `raw\\n` }}", "a\"b\tAraw\\n"),
    ] {
        assert_eq!(run(template).as_deref(), Ok(text), "{template}");
    }
}

#[test]
fn what_is_no_template() {
    for (template, error) in [
        ("a {{ .Name", "at character 3: `{{` is never closed"),
        ("{{ foo }}", "at character 4: unknown function `foo`"),
        ("{{ $x }}", "at character 4: unknown variable `$x`"),
        ("{{ if 1 }}{{ $x := 1 }}{{ end }}{{ $x }}", "at character 36: unknown variable `$x`"),
        ("{{ if .Name }}x", "at character 1: a block without its `end`"),
        ("{{ end }}", "at character 1: `end` without a beginning"),
        ("{{ else }}", "at character 1: `else` without `if`, `with` or `range`"),
        ("{{ break }}", "at character 1: `break` outside of `range`"),
        ("{{ if }}x{{ end }}", "at character 7: expected a value or a function"),
        ("{{ \"x }}", "at character 4: a text that is never closed"),
        ("{{ (len .Name }}", "at character 4: a parenthesis that is never closed"),
        ("{{ .Name | 1 }}", "at character 12: what stands behind `|` must be a function or a method"),
        ("{{ template `x` }}", "at character 1: `template` has no use in a template for one record"),
        ("{{ .Name ! }}", "at character 10: unexpected `!`"),
    ] {
        assert_eq!(run(template).expect_err(template), error, "{template}");
    }
}

#[test]
fn what_fails_when_it_runs() {
    for (template, error) in [
        ("{{ .Nope }}", "at character 4: can't evaluate field Nope in type data"),
        ("{{ .Name.Nope }}", "at character 4: can't evaluate field Nope in type string"),
        ("{{ index .Match 9 }}", "at character 4: index: index out of range: 9"),
        ("{{ .Name 1 }}", "at character 4: Name has arguments but cannot be invoked as function"),
        ("{{ eq 1 `a` }}", "at character 4: eq: incompatible types for comparison"),
        ("{{ range .Name }}{{ end }}", "at character 10: range can't iterate over string"),
        ("{{ range 90000 }}{{ range 90000 }}x{{ end }}{{ end }}", "at character 1: it does not come to an end"),
    ] {
        assert_eq!(run(template).expect_err(template), error, "{template}");
    }
}
