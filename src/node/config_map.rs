use std::{collections::BTreeMap, fs, io, path::Path};

/// Reads a ConfigMap as it is mounted: each visible file is a key. The kubelet keeps the versions in hidden directories
/// and lets the files point into them. A directory that is not there is an empty ConfigMap: an optional one may be deleted.
///
/// # Errors
/// A file cannot be read, or is not UTF-8.
pub(super) fn read(directory: &Path) -> io::Result<BTreeMap<String, String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut data = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A link counts as what it points to.
        if name.starts_with('.') || !fs::metadata(entry.path()).is_ok_and(|file| file.is_file()) {
            continue;
        }
        let text = fs::read_to_string(entry.path())
            .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        data.insert(name, text);
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_files_are_keys() {
        let directory = std::env::temp_dir().join(format!("seamark-config-map-{}", std::process::id()));
        assert!(read(&directory).unwrap().is_empty(), "an optional ConfigMap may be absent");
        fs::create_dir_all(directory.join("..2026")).unwrap();
        fs::write(directory.join("..2026/stubDomains"), "{}").unwrap();
        std::os::unix::fs::symlink("..2026", directory.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/stubDomains", directory.join("stubDomains")).unwrap();
        assert_eq!(read(&directory).unwrap(), [("stubDomains".to_owned(), "{}".to_owned())].into());
        fs::write(directory.join("..2026/stubDomains"), [0xFF]).unwrap();
        assert_eq!(read(&directory).unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_dir_all(directory).unwrap();
    }
}
