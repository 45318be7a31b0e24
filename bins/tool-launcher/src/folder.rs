//! The private working folder: what it takes, and its removal.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Least that an entry counts for, so that empty files have an end, too.
const ENTRY: u64 = 4096;
/// Folders below folders that are looked into; deeper ones count as over the limit.
const MAX_DEPTH: usize = 64;

/// Younger folders are left alone: their owner may not hold them yet.
const YOUNG: Duration = Duration::from_secs(60);

/// Makes the folder. It is held as long as the answer lives, so that nobody takes it for one that was left behind.
pub(crate) fn make(path: &Path) -> io::Result<File> {
    DirBuilder::new().mode(0o700).create(path)?;
    let held = File::open(path)?;
    held.try_lock()?;
    if let Some(parent) = path.parent() {
        sweep(parent);
    }
    Ok(held)
}

/// Removes what launchers have left behind that were killed: folders with our names that nobody holds.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.to_str().and_then(|name| name.strip_prefix("tool-")).is_some_and(|rest| {
            rest.len() == 32
                && rest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        });
        let old = || {
            entry.metadata().is_ok_and(|found| {
                found.is_dir() && found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > YOUNG))
            })
        };
        if !ours || !old() {
            continue;
        }
        // Somebody else's folder can neither be opened nor removed.
        if let Ok(found) = File::open(entry.path())
            && found.try_lock().is_ok()
        {
            drop(remove(&entry.path()));
        }
    }
}

/// Bytes that the folder takes, with those of files that were deleted while open. Stops counting above `limit`.
pub(crate) fn taken(path: &Path, deleted: u64, limit: u64) -> u64 {
    let mut sum = deleted;
    let mut waiting = vec![(path.to_owned(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            sum += ENTRY.max(found.len()).max(found.blocks() * 512);
            if found.is_dir() {
                waiting.push((entry.path(), depth + 1));
            }
            if sum > limit || depth > MAX_DEPTH {
                return u64::MAX;
            }
        }
    }
    sum
}

/// Removes the folder however deep it is: what lies deeper is first moved up, so paths stay short.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let mut waiting: Vec<PathBuf> = vec![path.to_owned()];
    let mut folders = Vec::new();
    let mut count = 0_u64;
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                drop(fs::remove_file(entry.path()));
                continue;
            }
            count += 1;
            let up = path.join(format!(".removing-{count}"));
            let moved = if folder == path { false } else { fs::rename(entry.path(), &up).is_ok() };
            waiting.push(if moved { up } else { entry.path() });
        }
        folders.push(folder);
    }
    for folder in folders.iter().rev() {
        drop(fs::remove_dir(folder));
    }
    fs::remove_dir_all(path).or_else(|error| if path.exists() { Err(error) } else { Ok(()) })
}
