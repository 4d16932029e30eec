use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

/// A Corefile to look at.
pub(super) struct Text {
    /// What messages call it.
    pub(super) name: String,
    pub(super) text: String,
    /// Where its relative imports start.
    pub(super) directory: PathBuf,
}

/// What there is to look at.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) texts: Vec<Text>,
    /// All YAML, whole.
    pub(super) manifests: Vec<String>,
}

/// The Corefiles of these places: files, directories with Corefiles and YAML in them, `-` for standard input.
pub(super) fn read(places: &[String]) -> Result<Sources, String> {
    let Sources { mut texts, mut manifests } = Sources::default();
    for place in places {
        if place == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
            texts.extend(corefiles("stdin", &text, Path::new("")));
            manifests.extend(is_manifest("stdin", &text).then_some(text));
            continue;
        }
        let path = Path::new(place);
        let folder = path.is_dir();
        let (before, known) = (texts.len(), manifests.len());
        for file in if folder { files(path)? } else { vec![path.to_owned()] } {
            let text = fs::read(&file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
            let text = String::from_utf8_lossy(&text);
            let directory = file.parent().unwrap_or_else(|| Path::new(""));
            let name = file.display().to_string();
            texts.extend(corefiles(&name, &text, directory));
            manifests.extend(is_manifest(&name, &text).then(|| text.into_owned()));
        }
        let has_roles = manifests[known..].iter().any(|text| text.contains("Role\n"));
        if texts.len() == before && !has_roles {
            return Err(format!("{place}: there is no Corefile in it"));
        }
    }
    if texts.is_empty() {
        return Err(format!("{}: there is no Corefile in it", places.join(", ")));
    }
    Ok(Sources { texts, manifests })
}

/// Files of a directory that may be Corefiles or hold one, in order of their names.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: cannot be read: {error}", directory.display()))?;
    let may_hold = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        path.is_file() && (name.ends_with("Corefile") || is_yaml(&name)) && !name.starts_with('.')
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(may_hold).collect();
    files.sort();
    Ok(files)
}

fn is_yaml(name: &str) -> bool {
    [".yaml", ".yml"].iter().any(|end| name.ends_with(end))
}

fn is_manifest(name: &str, text: &str) -> bool {
    is_yaml(name) || text.lines().any(|line| line.trim_start().starts_with("kind:"))
}

/// The text itself, or the Corefiles of the ConfigMaps in it.
fn corefiles(name: &str, text: &str, directory: &Path) -> Vec<Text> {
    let made = |text: String| Text { name: name.to_owned(), text, directory: directory.to_owned() };
    if is_manifest(name, text) { embedded(text).into_iter().map(made).collect() } else { vec![made(text.to_owned())] }
}

/// The values of `Corefile: |` in a YAML text, each where it stands: empty lines take the place of what is before it, so
/// that lines and columns are those of the YAML.
fn embedded(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let starts = lines.iter().enumerate().filter(|(_, line)| {
        let value = line.trim().trim_matches('"').strip_prefix("Corefile").map(|rest| rest.trim_start_matches('"'));
        value.and_then(|rest| rest.strip_prefix(':')).is_some_and(|rest| rest.trim_start().starts_with('|'))
    });
    let block = |(start, line): (usize, &&str)| {
        let key = indent(line);
        let value = lines[start + 1..].iter().take_while(|line| line.trim().is_empty() || indent(line) > key);
        let mut found = "\n".repeat(start + 1);
        value.for_each(|line| {
            found.push_str(line);
            found.push('\n');
        });
        found
    };
    starts.map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configmap_keeps_its_lines_and_columns() {
        let yaml =
            "kind: ConfigMap\ndata:\n  Corefile: |\n    .:53 {\n\n        errors\n    }\n  other: x\nmetadata: {}\n";
        assert_eq!(embedded(yaml), ["\n\n\n    .:53 {\n\n        errors\n    }\n"]);
        assert_eq!(corefiles("a.yaml", yaml, Path::new("")).len(), 1);
        assert_eq!(corefiles("stdin", yaml, Path::new("")).len(), 1, "known by its `kind`");
        assert_eq!(corefiles("Corefile", ". {\n}\n", Path::new(""))[0].text, ". {\n}\n");
        assert!(corefiles("a.yaml", "kind: Service\n", Path::new("")).is_empty());
    }
}
