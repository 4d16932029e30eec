/// Lets the caches of the blocks that forward to the cluster's DNS hold on to old answers while it is away. What a
/// `cache` says of `serve_stale` itself stands.
pub(super) fn with_stale(corefile: &str, cluster_dns: &[&str], line: &str) -> String {
    let lines: Vec<&str> = corefile.lines().collect();
    let mut text = String::with_capacity(corefile.len() + 256);
    let mut at = 0;
    while at < lines.len() {
        let end = end_of(&lines, at);
        let block = &lines[at..end];
        if block.iter().any(|line| asks(line, cluster_dns)) {
            put(&mut text, block, line);
        } else {
            block.iter().for_each(|line| add(&mut text, line));
        }
        at = end;
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

/// A server block whose `cache` stanzas get the line, unless they have one of their own.
fn put(text: &mut String, block: &[&str], property: &str) {
    let mut at = 0;
    while at < block.len() {
        let (line, end) = (block[at], end_of(block, at));
        let indent = &line[..line.len() - line.trim_start().len()];
        // The line that opens the server block is a stanza too, as long as its key is not looked at.
        let is_cache = at > 0 && words(line).next() == Some("cache");
        if !is_cache {
            add(text, line);
            at += 1;
            continue;
        }
        let stanza = &block[at..end];
        if words(line).last() != Some("{") {
            // A comment would take the brace along.
            let code = words(line).collect::<Vec<_>>().join(" ");
            add(text, &format!("{indent}{code} {{\n{indent}    {property}\n{indent}}}"));
        } else {
            add(text, line);
            if !stanza.iter().any(|line| words(line).next() == Some("serve_stale")) {
                add(text, &format!("{indent}    {property}"));
            }
            stanza[1..].iter().for_each(|line| add(text, line));
        }
        at = end;
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

    #[test]
    fn caches_of_the_clusters_names_hold_on_to_old_answers() {
        let cluster = "    forward . 10.96.7.7 {\n        force_tcp\n    }\n}\n";
        for (what, before, after) in [
            (
                "a cache in one line",
                format!("cluster.local:53 {{\n    cache 30 # short\n{cluster}"),
                format!("cluster.local:53 {{\n    cache 30 {{\n        serve_stale 1h\n    }}\n{cluster}"),
            ),
            (
                "a cache with properties",
                format!("a,\nb {{\n\tcache {{\n\t\tdenial 9984 5\n\t}}\n{cluster}"),
                format!("a,\nb {{\n\tcache {{\n\t    serve_stale 1h\n\t\tdenial 9984 5\n\t}}\n{cluster}"),
            ),
            (
                "the neighbour is left alone",
                format!("a {{\n    cache\n{cluster}\n. {{\n    cache 30\n    forward . 9.9.9.9\n}}\n"),
                format!(
                    "a {{\n    cache {{\n        serve_stale 1h\n    }}\n{cluster}\n. {{\n    cache 30\n    forward . 9.9.9.9\n}}\n"
                ),
            ),
        ] {
            assert_eq!(with_stale(&before, &["10.96.7.7"], "serve_stale 1h"), after, "{what}");
        }
        for same in [
            "a {\n    cache {\n        serve_stale 5m immediate\n    }\n    forward . 10.96.7.7\n}\n",
            "a {\n    forward . dns://10.96.7.7:53\n}\n",
            "a {\n    cache 30\n    forward . 10.96.7.70 10.96.7.7:54\n}\n",
            "# a {\na {\n    cache 30\n    # forward . 10.96.7.7\n    forward . /etc/resolv.conf\n}\n",
            "cache {\n    errors\n}\n",
        ] {
            assert_eq!(with_stale(same, &["10.96.7.7"], "serve_stale 1h"), same);
        }
        let port = "a {\n    cache 9\n    forward . dns://10.96.7.7:53\n}\n";
        assert!(with_stale(port, &["10.1.1.1", "10.96.7.7"], "serve_stale 1h").contains("serve_stale"));
    }
}
