//! A site's own platform files: read from a folder, checked, and put over the built-in ones.

use std::path::Path;

use crate::platform::{PlatformError, Platforms};

/// The largest platform file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Tells why the platforms could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The folder or a file in it could not be read.
    #[error("read `{path}`")]
    Read {
        /// The folder or file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is wrong.
    #[error("use the platform files")]
    Platform(#[source] PlatformError),
}

impl SiteError {
    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::Platform(error) => error.hint(),
        }
    }
}

/// Returns the built-in platforms, with those of a site's folder (`*.toml`) over them.
///
/// # Errors
/// Returns [`SiteError`] with the file, line and key that are wrong.
pub fn load(folder: Option<&Path>) -> Result<Platforms, SiteError> {
    let mut platforms = Platforms::built_in().map_err(SiteError::Platform)?;
    let Some(folder) = folder else { return Ok(platforms) };
    for path in files(folder)? {
        let name = path.display().to_string();
        let text = read(&path)?;
        let replaced = platforms.take(&name, &text).map_err(SiteError::Platform)?;
        match replaced {
            Some(replaced) => {
                tracing::info!(file = %name, %replaced, "a site's platform file replaces another");
            }
            None => tracing::info!(file = %name, "a site's platform file adds a platform"),
        }
    }
    Ok(platforms)
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>, SiteError> {
    let unreadable = |source| SiteError::Read { path: folder.display().to_string(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, SiteError> {
    let unreadable = |source| SiteError::Read { path: path.display().to_string(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        let source = std::io::Error::other("it is larger than a platform file may be");
        return Err(unreadable(source));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sites_folder_adds_and_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let linux = include_str!("../platforms/linux.toml");
        std::fs::write(folder.path().join("mine.toml"), linux).unwrap();
        let other = linux.replace("name = \"linux\"", "name = \"sonic\"");
        std::fs::write(folder.path().join("sonic.toml"), other).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "not a platform").unwrap();
        let platforms = load(Some(folder.path())).unwrap();
        assert!(platforms.find("linux").unwrap().file.ends_with("mine.toml"));
        assert!(platforms.find("sonic").is_ok());
        std::fs::write(folder.path().join("wrong.toml"), "nam = \"x\"").unwrap();
        let error = load(Some(folder.path())).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean `name`?"));
        assert!(matches!(load(Some(Path::new("/nowhere"))), Err(SiteError::Read { .. })));
    }
}
