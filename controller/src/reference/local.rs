//! Local secrets: a folder for each, a file for each key, as Kubernetes mounts them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// The largest file, in bytes: what Kubernetes allows for a whole Secret.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads one file of a local secret; `None` if the secret has no such key.
///
/// The folder must be there: a secret that is missing and one that has another form are told apart.
pub(super) fn read(folder: &Path, key: &str) -> io::Result<Option<Zeroizing<String>>> {
    if !fs::metadata(folder)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    let file = match File::open(folder.join(key)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > FILE_BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    // As large as it can become, so that nothing is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX.min(length * 2 + 4096)));
    let most = bytes.capacity() as u64;
    file.take(most).read_to_end(&mut bytes)?;
    let text = str::from_utf8(&bytes).map_err(|_error| io::ErrorKind::InvalidData)?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}
