//! Files of a run: bodies and lists read before it, reports opened before it and written after it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::CliError;
use crate::limits;

/// A report file that was opened before the load, so that a bad path fails in the first second.
///
/// The bytes go to a temporary file beside the target, which `commit` renames: readers see the old
/// file or the whole new one. Dropped without `commit`, it leaves the target as it was.
#[derive(Debug)]
pub struct ReportFile {
    target: PathBuf,
    file: File,
    /// The temporary file; `None` where the target cannot be replaced (a pipe, `/dev/stdout`) and
    /// is written directly.
    temporary: Option<PathBuf>,
}

impl ReportFile {
    /// Opens a report for `flag` at `path`.
    pub fn open(flag: &str, path: &Path) -> Result<Self, CliError> {
        Self::try_open(path).map_err(|error| {
            let path = shown(path);
            CliError::usage(format!("{flag}: cannot write '{path}': {}", cause(&error)))
                .hint("name a file in a folder that exists and can be written")
        })
    }

    fn try_open(path: &Path) -> io::Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name is empty"));
        }
        // A link is followed, so that the file it names is replaced and not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let known = fs::metadata(&target);
        match &known {
            Ok(known) if known.is_dir() => {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            Ok(known) if !known.is_file() => {
                let file = OpenOptions::new().write(true).open(&target)?;
                return Ok(Self { target, file, temporary: None });
            }
            // A file that may not be written is not to be replaced either.
            Ok(_) => drop(OpenOptions::new().write(true).open(&target)?),
            Err(_) => {}
        }
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let name = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
        let temporary = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        let report = Self { target, file, temporary: Some(temporary) };
        if let Ok(known) = known {
            // The file that is replaced stays whose it was where that is possible, and as readable.
            let _ = fchown(&report.file, Some(known.uid()), Some(known.gid()));
            report.file.set_permissions(known.permissions())?;
        }
        Ok(report)
    }

    /// Where the report will be.
    pub fn path(&self) -> &Path {
        &self.target
    }

    /// Writes the report and puts it in its place.
    pub fn commit(self, bytes: &[u8]) -> Result<(), CliError> {
        self.commit_with(|out| out.write_all(bytes))
    }

    /// The same for what is too long to hold in memory first.
    pub fn commit_with(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        let path = shown(&self.target);
        self.try_commit(write)
            .map_err(|error| CliError::internal(format!("cannot write '{path}': {error}")))
    }

    fn try_commit(
        mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, &mut self.file);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.target)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // It is ours and of no use; a leftover harms nobody.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// A path for a message: its name may hold anything.
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// Everything that went wrong with several files, as one error.
pub fn all(written: impl IntoIterator<Item = Result<(), CliError>>) -> Result<(), CliError> {
    let failed: Vec<String> =
        written.into_iter().filter_map(Result::err).map(|error| error.message).collect();
    if failed.is_empty() { Ok(()) } else { Err(CliError::internal(failed.join("; "))) }
}

/// What a flag names: the text itself, `@FILE`, or `@-` for standard input.
pub fn read_named(flag: &str, typed: &str) -> Result<Vec<u8>, CliError> {
    read_named_bytes(flag, OsStr::new(typed))
}

/// The same where the text, or the file's name, may be any bytes.
pub fn read_named_bytes(flag: &str, typed: &OsStr) -> Result<Vec<u8>, CliError> {
    match typed.as_bytes().strip_prefix(b"@") {
        None => Ok(typed.as_bytes().to_vec()),
        Some(b"-") => {
            checked(flag, "standard input", once(flag, "-", || read_bounded(io::stdin().lock())))
        }
        Some(path) => read_path(flag, Path::new(OsStr::from_bytes(path))),
    }
}

/// The bytes of a file that a flag names.
pub fn read_file(flag: &str, path: &str) -> Result<Vec<u8>, CliError> {
    read_path(flag, Path::new(path))
}

fn read_path(flag: &str, path: &Path) -> Result<Vec<u8>, CliError> {
    if path.as_os_str().is_empty() {
        return Err(CliError::usage(format!(
            "{flag} '@' names no file; write {flag} @FILE, or {flag} @- for stdin"
        )));
    }
    let shown = path.to_string_lossy();
    let read = || File::open(path).and_then(read_bounded);
    // Not yet opened: a pipe without a writer would wait.
    let is_file = fs::metadata(path).is_ok_and(|known| known.is_file());
    checked(flag, &shown, if is_file { read() } else { once(flag, &shown, read) })
}

/// What `once` has read, by flag and name.
static GIVEN: Mutex<Vec<(String, Vec<u8>)>> = Mutex::new(Vec::new());

/// What `name` gave for a flag when it was first read. Standard input, a pipe or a device gives that
/// once, and a comparison and a self test ask for it more often.
pub fn once(
    flag: &str,
    name: &str,
    read: impl FnOnce() -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    let key = format!("{flag} {name}");
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, bytes)) = given.iter().find(|(known, _)| *known == key) {
        return Ok(bytes.clone());
    }
    let bytes = read()?;
    given.push((key, bytes.clone()));
    Ok(bytes)
}

fn checked(flag: &str, shown: &str, read: io::Result<Vec<u8>>) -> Result<Vec<u8>, CliError> {
    let shown = shown.escape_debug();
    let bytes = read.map_err(|error| {
        CliError::usage(format!("{flag}: cannot read file '{shown}': {}", cause(&error)))
            .hint("name a file that exists and can be read")
    })?;
    if bytes.len() > limits::REQUEST_BODY_BYTES_MAX {
        let most = crate::units::format_bytes(limits::REQUEST_BODY_BYTES_MAX as u64);
        return Err(CliError::usage(format!(
            "{flag}: file '{shown}' is too large; at most {most} is possible"
        )));
    }
    Ok(bytes)
}

/// The whole of a file of at most `bytes_max` bytes; the error is in words without its number.
pub fn read_limited(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
        .map_err(|error| cause(&error))?;
    if bytes.len() as u64 > bytes_max {
        let most = crate::units::format_bytes(bytes_max);
        return Err(format!("it is larger than {most}"));
    }
    Ok(bytes)
}

/// Everything, or one byte more than allowed: an endless pipe must not fill the memory.
fn read_bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    source.take(limits::REQUEST_BODY_BYTES_MAX as u64 + 1).read_to_end(&mut body)?;
    Ok(body)
}

/// The system's words without the error number.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_report_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = folder.join("r.json");
        fs::write(&path, "old").unwrap();
        let report = ReportFile::open("-o", &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        drop(report);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder).len()), ("old", 1));
        ReportFile::open("-o", &path).unwrap().commit(b"new").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder).len()), ("new", 1));
    }

    #[test]
    fn a_report_in_place_of_a_file_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        fs::write(&path, "old").unwrap();
        for mode in [0o640, 0o606, 0o755] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            ReportFile::open("-o", &path).unwrap().commit(b"new").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{mode:o}");
        }
    }

    #[test]
    fn names_are_shown_without_control_characters_and_every_lost_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = ReportFile::open("-o", &folder.path().join("a\u{1b}[31m/b")).unwrap_err();
        assert!(error.message.contains("a\\u{1b}[31m/b"), "{error}");
        let lose = |name: &str| {
            let place = folder.path().join(name);
            fs::create_dir(&place).unwrap();
            let report = ReportFile::open("-o", &place.join("r")).unwrap();
            fs::remove_dir_all(&place).unwrap();
            report.commit(b"x")
        };
        let error = all([lose("one\n"), Ok(()), lose("two")]).unwrap_err();
        assert_eq!(error.code, 1);
        assert!(error.message.contains("one\\n/r'") && error.message.contains("two/r'"), "{error}");
        assert_eq!(all([Ok(())]), Ok(()));
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (real, link) = (folder.join("real"), folder.join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        ReportFile::open("-o", &link).unwrap().commit(b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    }

    #[test]
    fn what_is_no_regular_file_is_written_directly() {
        ReportFile::open("-o", Path::new("/dev/null")).unwrap().commit(b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for path in [folder.to_path_buf(), folder.join("missing/r.json"), PathBuf::from("/")] {
            let error = ReportFile::open("--json", &path).unwrap_err();
            assert_eq!(error.code, 2);
            assert!(error.message.contains(path.to_str().unwrap()), "{error}");
            assert!(error.message.starts_with("--json: "), "{error}");
        }
        assert_eq!(ReportFile::open("-o", Path::new("")).unwrap_err().code, 2);
    }

    #[test]
    fn a_body_is_its_text_or_a_files_bytes() {
        assert_eq!(read_named("-b", "hi").unwrap(), b"hi");
        assert_eq!(read_named("-b", "").unwrap(), b"");
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = folder.join("b");
        fs::write(&path, [0, 159, 10]).unwrap();
        assert_eq!(read_named("-b", &format!("@{}", path.display())).unwrap(), [0, 159, 10]);
    }

    #[test]
    fn a_body_file_that_cannot_be_sent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for path in [folder.join("missing"), folder.to_path_buf(), PathBuf::from("/dev/zero")] {
            let error = read_named("-b", &format!("@{}", path.display())).unwrap_err();
            assert_eq!(error.code, 2);
            assert!(error.message.contains(path.to_str().unwrap()), "{error}");
        }
        assert_eq!(read_named("-b", "@").unwrap_err().code, 2);
    }
}
