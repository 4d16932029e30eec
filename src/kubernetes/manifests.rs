//! Source 2: Kubernetes YAML from disk, for a first look, for tests, and for clusters without an API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    index::{Index, Indexed},
    object::{Watched, WatchedImport, WatchedNamespace, WatchedPod, WatchedService, WatchedSlice},
    selector::Selector,
};

/// How often the files are looked at.
pub(super) const EVERY: Duration = Duration::from_millis(500);

/// Why manifests cannot be read: the file, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ManifestError {
    place: String,
    message: String,
}

/// Objects of a set of files.
#[derive(Debug, Default)]
pub struct Objects {
    services: Vec<WatchedService>,
    slices: Vec<WatchedSlice>,
    pods: Vec<WatchedPod>,
    imports: Vec<WatchedImport>,
    namespaces: BTreeMap<String, WatchedNamespace>,
}

/// Which objects of the files count, as the API server would select them.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// For services, slices and pods.
    pub objects: Option<Selector>,
    /// For namespaces.
    pub namespaces: Option<Selector>,
}

/// What a look at the files must find changed before they are read again.
pub type Signature = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// The files of a path: itself, or the YAML and JSON files of a directory in order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let problem = |error: io::Error| ManifestError {
        place: path.display().to_string(),
        message: format!("cannot be read: {error}"),
    };
    if !fs::metadata(path).map_err(problem)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .map_err(problem)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let known = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
            known && !hidden && path.is_file()
        })
        .collect();
    files.sort();
    Ok(files)
}

/// Names, times and sizes of the files of a path.
pub fn signature(path: &Path) -> Signature {
    let describe = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok();
        let time = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
        (path, time, metadata.map_or(0, |metadata| metadata.len()))
    };
    files(path).unwrap_or_default().into_iter().map(describe).collect()
}

/// Reads all objects of a path.
///
/// # Errors
/// The first file that cannot be read, with the line.
pub fn read(path: &Path) -> Result<Objects, ManifestError> {
    let mut objects = Objects::default();
    for file in files(path)? {
        let text = fs::read_to_string(&file).map_err(|error| ManifestError {
            place: file.display().to_string(),
            message: format!("cannot be read: {error}"),
        })?;
        objects.add(&file.display().to_string(), &text)?;
    }
    Ok(objects)
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    items: Vec<serde_yaml::Value>,
}

impl Objects {
    /// Adds the objects of a text with any number of YAML documents. Kinds that no answer needs are passed over.
    ///
    /// # Errors
    /// A document that is no YAML, or an object of a wrong shape, with its line.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), ManifestError> {
        for (line, document) in documents(text) {
            let problem = |error: serde_yaml::Error| {
                let within = error.location().map_or(1, |location| location.line());
                ManifestError { place: format!("{name}:{}", line + within - 1), message: error.to_string() }
            };
            let value: serde_yaml::Value = serde_yaml::from_str(document).map_err(problem)?;
            if value.is_null() {
                continue;
            }
            let head: Kind = serde_yaml::from_str(document).map_err(problem)?;
            if head.kind.ends_with("List") {
                for item in head.items {
                    let kind = item.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
                    let text = serde_yaml::to_string(&item).map_err(problem)?;
                    // The list's own line: the item has lost its place.
                    self.object(&kind, &text).map_err(|error| ManifestError {
                        place: format!("{name}:{line}"),
                        message: format!("in the list: {error}"),
                    })?;
                }
            } else {
                self.object(&head.kind, document).map_err(problem)?;
            }
        }
        Ok(())
    }

    fn object(&mut self, kind: &str, text: &str) -> Result<(), serde_yaml::Error> {
        fn decoded<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
            serde_yaml::from_str(text)
        }
        match kind {
            "Service" => self.services.push(decoded(text)?),
            "EndpointSlice" => self.slices.push(decoded(text)?),
            "Pod" => self.pods.push(decoded(text)?),
            "ServiceImport" => self.imports.push(decoded(text)?),
            "Namespace" => {
                let namespace: WatchedNamespace = decoded(text)?;
                self.namespaces.insert(namespace.trimmed().name().to_owned(), namespace);
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes the index hold these objects and no others.
    pub fn apply(mut self, index: &Index, selection: &Selection, now: u32) {
        self.add_implied_namespaces();
        let namespaces = self.namespaces.into_values();
        replace(index, namespaces.filter(|n| selected(&selection.namespaces, n)).collect(), now);
        replace(index, chosen(self.services, selection), now);
        replace(index, chosen(self.slices, selection), now);
        replace(index, chosen(self.pods, selection), now);
        replace(index, self.imports, now);
    }

    /// In a cluster every object's namespace exists.
    fn add_implied_namespaces(&mut self) {
        let mut names = BTreeSet::new();
        names.extend(self.services.iter().map(|object| object.trimmed().namespace().to_owned()));
        names.extend(self.slices.iter().map(|object| object.trimmed().namespace().to_owned()));
        names.extend(self.pods.iter().map(|object| object.trimmed().namespace().to_owned()));
        names.extend(self.imports.iter().map(|object| object.trimmed().namespace().to_owned()));
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            self.namespaces.entry(name.clone()).or_insert_with(|| WatchedNamespace::named(&name));
        }
    }
}

fn selected<T: Watched>(selector: &Option<Selector>, object: &T) -> bool {
    selector.as_ref().is_none_or(|selector| selector.matches(&object.trimmed().labels))
}

fn chosen<T: Watched>(objects: Vec<T>, selection: &Selection) -> Vec<T> {
    objects.into_iter().filter(|object| selected(&selection.objects, object)).collect()
}

fn replace<T: Indexed>(index: &Index, objects: Vec<T>, now: u32) {
    T::begin_relist(index);
    for object in objects {
        object.apply(index, now);
    }
    T::end_relist(index, now);
}

/// The documents of a text with the line, from 1, on which each begins.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let end = at + line.len();
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push((start_line, &text[start..at]));
            (start, start_line) = (end, number + 2);
        }
        at = end;
    }
    documents.push((start_line, &text[start..]));
    documents
}
