//! What hides in open files: deleted ones take room on the disk, sockets take the kernel's memory.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// What a socket may hold for its reader and its writer; Linux gives each 208 KiB where nobody asks for more.
const SOCKET: u64 = 256 << 10;

/// Sums over processes; what several share counts for each.
#[derive(Debug, Default)]
pub(crate) struct Open {
    pub(crate) deleted_bytes: u64,
    pub(crate) socket_bytes: u64,
}

pub(crate) fn of(pids: &[i32], work: &Path) -> Open {
    let mut open = Open::default();
    for pid in pids {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let Ok(found) = fs::metadata(entry.path()) else { continue };
            if found.file_type().is_socket() {
                open.socket_bytes += SOCKET;
            } else if found.is_file() && found.nlink() == 0 {
                open.deleted_bytes += found.blocks() * 512;
            }
        }
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        open.deleted_bytes += maps.lines().filter_map(|line| deleted_mapping(line, work)).sum::<u64>();
    }
    open
}

/// Bytes of a mapped file of the folder that is deleted; such a one needs no descriptor.
fn deleted_mapping(line: &str, work: &Path) -> Option<u64> {
    let line = line.strip_suffix(" (deleted)")?;
    let (range, rest) = line.split_once(' ')?;
    let place = rest.get(rest.find('/')?..)?;
    if !Path::new(place).starts_with(work) {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some(address(to)?.saturating_sub(address(from)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deleted_files_of_the_folder_count() {
        let work = Path::new("/tmp/tool-1");
        let line = |end: &str| format!("7f0000000000-7f0000010000 rw-s 00000000 08:01 12     {end}");
        assert_eq!(deleted_mapping(&line("/tmp/tool-1/a b (deleted)"), work), Some(65_536));
        assert_eq!(deleted_mapping(&line("/tmp/tool-1/a"), work), None);
        assert_eq!(deleted_mapping(&line("/tmp/tool-10/a (deleted)"), work), None);
        assert_eq!(deleted_mapping(&line("[heap]"), work), None);
    }
}
