//! A folder that others may have filled: its files are read and replaced by their names in it, and
//! nothing in it leads a write elsewhere.
//!
//! A repository that somebody cloned, or a shared folder, may hold a link where we would write. So
//! every write is a new file in this folder, which then takes the name; no link is followed, none is
//! replaced where somebody may have meant it, and nothing is shortened. Names are resolved from the
//! open folder, so a folder that is exchanged meanwhile changes nothing.
//!
//! A writer keeps its new file locked until that has its name, so the next one can tell what a dead
//! writer left behind from what a living one is about to rename.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, linkat, mkdirat, open, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::{FileError, bounded};

/// How often another name is tried for a new file. Chosen: names that a dead process left are few.
const TRIES: u32 = 100;

/// How many files may be kept aside under one name. Chosen: whoever comes back finds every one that
/// was put there, and a script that breaks a file each minute does not fill the disk.
pub const MAX_KEPT_ASIDE: usize = 20;

/// How many names of a folder are looked at for what dead writers left. Chosen: milliseconds.
const MAX_NAMES_LOOKED_AT: usize = 10_000;

/// What new files are called before they have their name.
const TEMPORARY: &str = ".sluice-";

/// Whether reading follows a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// A ConfigMap is mounted, and a Git checkout may be made, of links.
    Follow,
    /// The file is ours alone.
    Refuse,
}

/// Whether a file was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Replaced {
    /// It was.
    Yes,
    /// It is no longer what it was expected to be.
    No,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    handle: OwnedFd,
}

impl Folder {
    /// The folder at a path, which may lead there through links: whoever named it meant that.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = open(path, flags, Mode::empty()).map_err(|errno| unreadable(path, errno))?;
        Ok(Self {
            path: path.to_owned(),
            handle,
        })
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it; `None` where there is none.
    ///
    /// # Errors
    /// When it is something else, a link included.
    pub fn inner(&self, name: &str) -> Result<Option<Self>, FileError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Some(Self { path, handle })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(FileError::NoFolder {
                path: path.display().to_string(),
                found: self.found(name),
            }),
            Err(errno) => Err(unreadable(&path, errno)),
        }
    }

    /// A folder in it, made when missing.
    ///
    /// # Errors
    /// When it cannot be made, or is something else, a link included.
    pub fn made(&self, name: &str) -> Result<Self, FileError> {
        let path = self.path.join(name);
        match mkdirat(&self.handle, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(unwritable(&path, errno)),
        }
        let made = self.inner(name)?;
        made.ok_or_else(|| unwritable(&path, Errno::NOENT))
    }

    /// What a file in it holds; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, is no file (a link is none, unless it is followed), or has more
    /// bytes than are accepted.
    pub fn read(
        &self,
        name: &str,
        links: Links,
        max_bytes: usize,
    ) -> Result<Option<Vec<u8>>, FileError> {
        let shown = self.path.join(name).display().to_string();
        let file = self.opened(name, links)?;
        file.map(|file| bounded::regular(&shown, file, max_bytes))
            .transpose()
    }

    /// A file in it, open for reading; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be opened, or is a link that is not to be followed.
    pub fn opened(&self, name: &str, links: Links) -> Result<Option<File>, FileError> {
        let path = self.path.join(name);
        // Not blocking: opening a pipe would wait for whoever writes to it.
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if links == Links::Refuse {
            flags |= OFlags::NOFOLLOW;
        }
        match openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP) if links == Links::Refuse => Err(FileError::NoFile {
                path: path.display().to_string(),
                found: "a link",
            }),
            Err(errno) => Err(unreadable(&path, errno)),
        }
    }

    /// As [`Folder::read`], as text.
    ///
    /// # Errors
    /// As [`Folder::read`], and when it is no UTF-8.
    pub fn text(
        &self,
        name: &str,
        links: Links,
        max_bytes: usize,
    ) -> Result<Option<String>, FileError> {
        let bytes = self.read(name, links, max_bytes)?;
        let path = self.path.join(name).display().to_string();
        bytes.map(|bytes| bounded::text(&path, bytes)).transpose()
    }

    /// That a name may be given to a new file: it is free, or a file has it.
    ///
    /// # Errors
    /// When something else has it, such as a link.
    pub fn is_replaceable(&self, name: &str) -> Result<(), FileError> {
        match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(()),
            Ok(_) => Err(FileError::NotReplaced {
                path: self.path.join(name).display().to_string(),
                found: self.found(name),
            }),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(unreadable(&self.path.join(name), errno)),
        }
    }

    /// Replaces a file's content so that a reader sees the old content or the new one and nothing
    /// between, also when the machine loses power. Who watches the file sees a rename.
    ///
    /// # Errors
    /// When the folder or the file cannot be written, or the name is something else's, such as a
    /// link's; everything is then as it was.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        self.replace_where(name, content, || Ok(true)).map(|_| ())
    }

    /// As [`Folder::replace`], if the file still holds what it is expected to, `None` being no
    /// file; else nothing is changed. That is looked at last: a process may have been stopped at
    /// any time before.
    ///
    /// # Errors
    /// As [`Folder::replace`].
    pub fn replace_if(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        content: &[u8],
    ) -> Result<Replaced, FileError> {
        let max_bytes = expected.map_or(0, <[u8]>::len);
        self.replace_where(name, content, || {
            match self.read(name, Links::Refuse, max_bytes) {
                Ok(now) => Ok(now.as_deref() == expected),
                Err(FileError::TooLong { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Gives a file a second name: `second`, or with a number behind it where that is taken. Nothing
    /// of the file is read, and whatever has such a name keeps it. The name that it got.
    ///
    /// # Errors
    /// When the folder cannot be written, keeps no file under two names, or has
    /// [`MAX_KEPT_ASIDE`] such names already.
    pub fn keep_aside(&self, name: &str, second: &str) -> Result<String, FileError> {
        let numbered = (2..=MAX_KEPT_ASIDE).map(|number| format!("{second}.{number}"));
        for free in std::iter::once(second.to_owned()).chain(numbered) {
            match linkat(&self.handle, name, &self.handle, &*free, AtFlags::empty()) {
                Ok(()) => return Ok(free),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(unwritable(&self.path.join(free), errno)),
            }
        }
        Err(FileError::TooManyKept {
            path: self.path.join(second).display().to_string(),
        })
    }

    /// Opens a file to lock it; what is in it stays.
    ///
    /// # Errors
    /// When it cannot be opened, or the name is something else's, such as a link's.
    pub fn lock_file(&self, name: &str) -> Result<File, FileError> {
        self.is_replaceable(name)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(&self.handle, name, flags, Mode::from_raw_mode(0o644));
        opened
            .map(File::from)
            .map_err(|errno| unwritable(&self.path.join(name), errno))
    }

    /// Takes a name away.
    pub fn remove(&self, name: &str) {
        let _ = unlinkat(&self.handle, name, AtFlags::empty());
    }

    /// Makes a file under a name that nobody has, and gives it its own if that is still wanted.
    fn replace_where(
        &self,
        name: &str,
        content: &[u8],
        is_wanted: impl Fn() -> Result<bool, FileError>,
    ) -> Result<Replaced, FileError> {
        self.is_replaceable(name)?;
        self.remove_left_behind();
        let path = self.path.join(name).display().to_string();
        let mut last = Errno::EXIST.into();
        for _ in 0..TRIES {
            let temporary = temporary_name();
            // Locked until the end of the turn, so that no other writer takes it for left behind.
            let made = self.new_file(&temporary, name, content);
            let renamed = match &made {
                Ok(_) if !is_wanted().inspect_err(|_| self.remove(&temporary))? => {
                    self.remove(&temporary);
                    return Ok(Replaced::No);
                }
                Ok(_) => renameat(&self.handle, &temporary, &self.handle, name),
                Err(_) => Ok(()),
            };
            match made.and_then(|_locked| Ok(renamed?)) {
                Ok(()) => return Ok(Replaced::Yes),
                // Somebody has the name, or took it for left behind before it was locked.
                Err(error)
                    if [
                        ErrorKind::AlreadyExists,
                        ErrorKind::NotFound,
                        ErrorKind::WouldBlock,
                    ]
                    .contains(&error.kind()) =>
                {
                    last = error;
                }
                Err(source) => {
                    self.remove(&temporary);
                    return Err(FileError::Unwritable { path, source });
                }
            }
        }
        Err(FileError::Unwritable { path, source: last })
    }

    /// A new file with this content and the permissions of the one that it is to replace, locked.
    fn new_file(&self, temporary: &str, name: &str, content: &[u8]) -> std::io::Result<File> {
        let permissions = statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(Mode::from_raw_mode(0o644), |replaced| {
                Mode::from_raw_mode(replaced.st_mode & 0o777)
            });
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.handle, temporary, flags, Mode::from_raw_mode(0o600))?;
        let mut file = File::from(file);
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
            // Some file systems know no locks; then nothing is taken for left behind either.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        file.write_all(content)?;
        rustix::fs::fchmod(&file, permissions)?;
        file.sync_data()?;
        Ok(file)
    }

    /// Removes what writers left that were killed before a rename: what nobody keeps locked.
    fn remove_left_behind(&self) {
        let names = std::fs::read_dir(&self.path).into_iter().flatten();
        let names = names.take(MAX_NAMES_LOOKED_AT).filter_map(Result::ok);
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        for name in names.filter(|name| is_temporary(name)) {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = openat(&self.handle, &*name, flags, Mode::empty()).map(File::from);
            let is_file = |file: &File| file.metadata().is_ok_and(|found| found.is_file());
            if file.is_ok_and(|file| is_file(&file) && file.try_lock().is_ok()) {
                self.remove(&name);
            }
        }
    }

    /// What has a name, in words.
    fn found(&self, name: &str) -> &'static str {
        let kind = std::fs::symlink_metadata(self.path.join(name));
        kind.map_or("gone", |found| bounded::kind(found.file_type()))
    }
}

/// Replaces the file at a path, as [`Folder::replace`] does.
///
/// # Errors
/// As [`Folder::replace`].
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path.file_name().and_then(std::ffi::OsStr::to_str);
    let name = name.ok_or_else(|| unwritable(path, Errno::INVAL))?;
    Folder::open(folder)?.replace(name, content)
}

/// A name that no other write of this process has; another process' is met by trying again.
fn temporary_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{TEMPORARY}{}-{count}", std::process::id())
}

/// Whether a name is one that [`temporary_name`] gives.
fn is_temporary(name: &str) -> bool {
    let numbers = name.strip_prefix(TEMPORARY);
    let numbers = numbers.and_then(|numbers| numbers.split_once('-'));
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    numbers.is_some_and(|(process, count)| is_number(process) && is_number(count))
}

fn unreadable(path: &Path, errno: Errno) -> FileError {
    FileError::Unreadable {
        path: path.display().to_string(),
        source: errno.into(),
    }
}

fn unwritable(path: &Path, errno: Errno) -> FileError {
    FileError::Unwritable {
        path: path.display().to_string(),
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    /// A folder with a link `link` to a file of somebody's beside it.
    fn hostile() -> (tempfile::TempDir, Folder, PathBuf) {
        let all = tempfile::tempdir().unwrap();
        let (inside, precious) = (all.path().join("inside"), all.path().join("precious"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(&precious, "precious").unwrap();
        symlink(&precious, inside.join("link")).unwrap();
        let folder = Folder::open(&inside).unwrap();
        (all, folder, precious)
    }

    fn names(folder: &Folder) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_replaces_a_file_and_keeps_its_permissions() {
        let (_all, folder, _) = hostile();
        folder.replace("a", b"one").unwrap();
        let path = folder.path().join("a");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o644
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        folder.replace("a", b"two").unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(names(&folder), ["a", "link"]);
    }

    #[test]
    fn no_write_follows_or_replaces_a_link() {
        let (all, folder, precious) = hostile();
        let said = |error: FileError| {
            error
                .to_string()
                .replace(&format!("{}/", all.path().display()), "")
        };
        let refused = "inside/link: a link, which sluice reads at most and never writes through \
                       or replaces; nothing \
                       was changed. Accepted: a file, or none";
        assert_eq!(said(folder.replace("link", b"mine").unwrap_err()), refused);
        assert_eq!(said(folder.lock_file("link").unwrap_err()), refused);
        assert_eq!(
            said(folder.made("link").unwrap_err()),
            "inside/link: a link; accepted: a folder, or none"
        );
        assert_eq!(
            said(folder.read("link", Links::Refuse, 99).unwrap_err()),
            "inside/link: a link; accepted: a file"
        );
        let read = folder.read("link", Links::Follow, 99).unwrap();
        assert_eq!(read.as_deref(), Some(b"precious".as_slice()));
        assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
        assert_eq!(names(&folder), ["link"]);
    }

    #[test]
    fn what_is_kept_aside_takes_nothing_s_name() {
        let (_all, folder, precious) = hostile();
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        folder.replace("a", b"one").unwrap();
        assert_eq!(folder.keep_aside("a", "link").unwrap(), "link.2");
        assert_eq!(folder.keep_aside("a", "b").unwrap(), "b");
        folder.replace("a", b"two").unwrap();
        assert_eq!(folder.keep_aside("a", "b").unwrap(), "b.2");
        folder.replace("a", b"three").unwrap();
        assert_eq!((read("b"), read("b.2")), (b"one".into(), b"two".into()));
        assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
        for _ in 2..MAX_KEPT_ASIDE {
            folder.keep_aside("a", "b").unwrap();
        }
        let refused = folder.keep_aside("a", "b").unwrap_err().to_string();
        assert!(
            refused.ends_with(
                "inside/b: 20 files are kept under this name already; remove what is not needed"
            ),
            "{refused}"
        );
    }

    #[test]
    fn a_file_that_is_no_longer_what_was_read_is_not_replaced() {
        let (_all, folder, _) = hostile();
        let cases = [
            (None, None, Replaced::Yes),
            (Some("one"), None, Replaced::No),
            (None, Some("one"), Replaced::No),
            (Some("one"), Some("one"), Replaced::Yes),
            (Some("two"), Some("one"), Replaced::No),
            (Some("one and more"), Some("one"), Replaced::No),
        ];
        for (now, expected, replaced) in cases {
            folder.remove("a");
            if let Some(now) = now {
                folder.replace("a", now.as_bytes()).unwrap();
            }
            let expected = expected.map(str::as_bytes);
            let was = folder.replace_if("a", expected, b"new").unwrap();
            assert_eq!(was, replaced, "{now:?} {expected:?}");
            let left = match replaced {
                Replaced::Yes => Some(b"new".to_vec()),
                Replaced::No => now.map(|now| now.as_bytes().to_vec()),
            };
            assert_eq!(folder.read("a", Links::Refuse, 99).unwrap(), left);
            assert!(!names(&folder).iter().any(|name| is_temporary(name)));
        }
    }

    #[test]
    fn what_killed_writers_left_is_removed_and_what_others_are_writing_is_not() {
        let (_all, folder, _) = hostile();
        let dead = ".sluice-1-0";
        let alive = ".sluice-1-1";
        let others = [".sluice-x-1", ".sluice-1", ".sluice-1-1x", "sluice-1-1"];
        for name in [dead, alive].iter().chain(&others) {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        symlink("link", folder.path().join(".sluice-1-2")).unwrap();
        let writer = File::open(folder.path().join(alive)).unwrap();
        writer.try_lock().unwrap();
        folder.replace("a", b"one").unwrap();
        let mut expected = vec!["a", "link", alive, ".sluice-1-2"];
        expected.extend(others);
        expected.sort_unstable();
        assert_eq!(names(&folder), expected);
    }

    #[test]
    fn a_lock_s_content_stays() {
        let (_all, folder, _) = hostile();
        folder.replace("lock", b"content").unwrap();
        folder.lock_file("lock").unwrap().lock().unwrap();
        assert_eq!(
            std::fs::read(folder.path().join("lock")).unwrap(),
            b"content"
        );
    }

    #[test]
    fn pipes_and_long_files_are_not_read() {
        let (all, folder, _) = hostile();
        let said = |error: FileError| {
            error
                .to_string()
                .replace(&format!("{}/", all.path().display()), "")
        };
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(&folder.handle, "pipe", FileType::Fifo, mode, 0).unwrap();
        folder.replace("long", b"12345").unwrap();
        folder.replace("bytes", b"a\xff").unwrap();
        let cases = [
            (
                folder.read("pipe", Links::Follow, 9),
                "inside/pipe: a named pipe; accepted: a file",
            ),
            (
                folder.read("long", Links::Follow, 4),
                "inside/long: more than 4 bytes; accepted: at most that",
            ),
            (
                folder
                    .text("bytes", Links::Follow, 9)
                    .map(|text| text.map(String::into_bytes)),
                "inside/bytes: not text in UTF-8, at byte 1",
            ),
        ];
        for (read, expected) in cases {
            assert_eq!(said(read.unwrap_err()), expected);
        }
        assert_eq!(
            folder
                .read("long", Links::Refuse, 5)
                .unwrap()
                .unwrap()
                .len(),
            5
        );
        assert!(folder.read("absent", Links::Refuse, 5).unwrap().is_none());
    }
}
