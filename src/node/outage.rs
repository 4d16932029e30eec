/// While the cluster's DNS lives, it is asked: an old address is worse than none. While it does not, the old answer
/// comes after a short wait, and for some seconds at once.
const STALE: &str = "verify 500ms 5s 5s";
/// Names that nobody has asked for fail at once, as pods walk through a list of them. It takes some failures to believe
/// that it is away: behind one address there are several pods, of which one may be.
const FAIL_FAST: [&str; 2] = ["max_fails 5", "failfast_all_unhealthy_upstreams"];

/// Prepares the blocks that forward to the cluster's DNS for the time when it is away: their caches give answers up to
/// `stale` behind their end, and what is not there fails quickly. What a stanza says itself of a property stands.
pub(super) fn prepared(corefile: &str, cluster_dns: &[&str], stale: Option<&str>) -> String {
    let stale: Vec<String> = stale.iter().map(|time| format!("serve_stale {time} {STALE}")).collect();
    let stale: Vec<&str> = stale.iter().map(String::as_str).collect();
    let lines: Vec<&str> = corefile.lines().collect();
    let mut text = String::with_capacity(corefile.len() + 1024);
    let mut at = 0;
    while at < lines.len() {
        let end = end_of(&lines, at);
        let block = &lines[at..end];
        let concerned = block.iter().any(|line| asks(line, cluster_dns));
        // Keys may take several lines.
        let mut inside = block.iter().position(|line| words(line).last() == Some("{")).map_or(block.len(), |at| at + 1);
        block[..inside].iter().for_each(|line| add(&mut text, line));
        while inside < block.len() {
            let end = end_of(block, inside);
            let stanza = &block[inside..end];
            match words(stanza[0]).next() {
                Some("cache") if concerned => extend(&mut text, stanza, &stale),
                Some("forward") if asks(stanza[0], cluster_dns) => extend(&mut text, stanza, &FAIL_FAST),
                _ => stanza.iter().for_each(|line| add(&mut text, line)),
            }
            inside = end;
        }
        at = end;
    }
    if !corefile.ends_with('\n') {
        text.pop();
    }
    text
}

/// Whether a line forwards to the cluster's DNS.
fn asks(line: &str, cluster_dns: &[&str]) -> bool {
    let mut words = words(line);
    words.next() == Some("forward")
        && words.skip(1).any(|to| {
            let to = to.strip_prefix("dns://").unwrap_or(to);
            cluster_dns.iter().any(|ip| to == *ip || to.strip_suffix(":53").is_some_and(|to| to == *ip))
        })
}

/// A stanza with those of the properties that it lacks.
fn extend(text: &mut String, stanza: &[&str], properties: &[&str]) {
    let has = |name: Option<&str>| stanza.iter().skip(1).any(|line| words(line).next() == name);
    let missing: Vec<_> = properties.iter().filter(|property| !has(property.split(' ').next())).collect();
    let (first, rest) = (stanza[0], &stanza[1..]);
    let indent = &first[..first.len() - first.trim_start().len()];
    let block = words(first).last() == Some("{");
    if block || missing.is_empty() {
        add(text, first);
    } else {
        // A comment would take the brace along.
        add(text, &format!("{indent}{} {{", words(first).collect::<Vec<_>>().join(" ")));
    }
    missing.iter().for_each(|property| add(text, &format!("{indent}    {property}")));
    rest.iter().for_each(|line| add(text, line));
    if !block && !missing.is_empty() {
        add(text, &format!("{indent}}}"));
    }
}

fn add(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// The words of a line, without its comment.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().take_while(|word| !word.starts_with('#'))
}

/// The number of the line behind the stanza or block that begins here.
fn end_of(lines: &[&str], start: usize) -> usize {
    let mut depth = 0_usize;
    for (number, line) in lines.iter().enumerate().skip(start) {
        if words(line).last() == Some("{") {
            depth += 1;
        }
        if words(line).next() == Some("}") {
            depth = depth.saturating_sub(1);
        }
        // Keys may stand on lines of their own, with a comma behind.
        if depth == 0 && words(line).last().is_none_or(|word| !word.ends_with(',')) {
            return number + 1;
        }
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "serve_stale 1h verify 500ms 5s 5s";

    /// The Corefile after the first has become the second.
    fn becomes(before: &str, after: &str) {
        assert_eq!(prepared(before, &["10.96.7.7", "fd00::7"], Some("1h")), after, "{before}");
    }

    #[test]
    fn blocks_of_the_clusters_names_are_prepared() {
        let forward = "    forward . 10.96.7.7 {\n        force_tcp\n    }\n}\n";
        let fails = "    forward . 10.96.7.7 {\n        max_fails 5\n        failfast_all_unhealthy_upstreams\n        force_tcp\n    }\n}\n";
        for (before, after) in [
            ("a:53 {\n    cache 30 # short\n", format!("a:53 {{\n    cache 30 {{\n        {OLD}\n    }}\n")),
            ("a,\nb {\n  cache {\n    denial 9 5\n  }\n", {
                format!("a,\nb {{\n  cache {{\n      {OLD}\n    denial 9 5\n  }}\n")
            }),
            ("a {\n    cache {\n        serve_stale 5m\n    }\n", {
                "a {\n    cache {\n        serve_stale 5m\n    }\n".to_owned()
            }),
            ("a {\n", "a {\n".to_owned()),
        ] {
            becomes(&format!("{before}{forward}"), &format!("{after}{fails}"));
        }
        becomes(
            "a {\n    cache\n    forward . [fd00::7]:53 dns://fd00::7 {\n        max_fails 0\n    }\n}\n",
            &format!(
                "a {{\n    cache {{\n        {OLD}\n    }}\n    forward . [fd00::7]:53 dns://fd00::7 {{\n        failfast_all_unhealthy_upstreams\n        max_fails 0\n    }}\n}}\n"
            ),
        );
        let before = "a {\n    cache 9\n    forward . 10.96.7.7:53\n}\n";
        let after = "a {\n    cache 9\n    forward . 10.96.7.7:53 {\n        max_fails 5\n        failfast_all_unhealthy_upstreams\n    }\n}\n";
        assert_eq!(prepared(before, &["10.96.7.7"], None), after, "without old answers");
    }

    #[test]
    fn other_blocks_stay_as_they_are() {
        for same in [
            ". {\n    cache 30\n    forward . /etc/resolv.conf\n}\n",
            "a {\n    cache 30\n    forward . 10.96.7.70 10.96.7.7:54\n}\n",
            "# a {\na {\n    cache 30\n    # forward . 10.96.7.7\n    forward . /etc/resolv.conf\n}\n",
            "cache {\n    errors\n}\n",
            "(snippet) {\n    cache 30\n}\n\na {\n    import snippet\n    whoami\n}\n",
            "",
        ] {
            becomes(same, same);
        }
    }
}
