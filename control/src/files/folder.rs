//! A folder that others may have filled: its files are read and replaced by their names in it, and
//! nothing in it leads a write elsewhere.
//!
//! A repository that somebody cloned, or a shared folder, may hold a link where we would write. So
//! every write is a new file in this folder, which then takes the name; no link is followed, none is
//! replaced where somebody may have meant it, and nothing is shortened. Names are resolved from the
//! open folder, so a folder that is exchanged meanwhile changes nothing.

use std::fs::File;
use std::io::Write as _;
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

/// Whether reading follows a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// A ConfigMap is mounted, and a Git checkout may be made, of links.
    Follow,
    /// The file is ours alone.
    Refuse,
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
        let path = self.path.join(name);
        // Not blocking: opening a pipe would wait for whoever writes to it.
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if links == Links::Refuse {
            flags |= OFlags::NOFOLLOW;
        }
        let shown = path.display().to_string();
        match openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => bounded::regular(&shown, File::from(file), max_bytes).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP) if links == Links::Refuse => Err(FileError::NoFile {
                path: shown,
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
        self.is_replaceable(name)?;
        let permissions = statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(Mode::from_raw_mode(0o644), |replaced| {
                Mode::from_raw_mode(replaced.st_mode & 0o777)
            });
        self.renamed(name, |temporary| {
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&self.handle, temporary, flags, Mode::from_raw_mode(0o600))?;
            let mut file = File::from(file);
            file.write_all(content)?;
            rustix::fs::fchmod(&file, permissions)?;
            file.sync_data()
        })
    }

    /// Gives a file a second name, whatever the file is and whatever has that name now: nothing of
    /// it is read, and no link is followed.
    ///
    /// # Errors
    /// When the folder cannot be written, or keeps no file under two names.
    pub fn keep(&self, name: &str, second: &str) -> Result<(), FileError> {
        self.renamed(second, |temporary| {
            Ok(linkat(
                &self.handle,
                name,
                &self.handle,
                temporary,
                AtFlags::empty(),
            )?)
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

    /// Makes a file under a name that nobody has, and gives it its own.
    fn renamed(
        &self,
        name: &str,
        make: impl Fn(&str) -> std::io::Result<()>,
    ) -> Result<(), FileError> {
        let path = self.path.join(name);
        let mut last = Errno::EXIST.into();
        for _ in 0..TRIES {
            let temporary = temporary_name();
            let made = make(&temporary)
                .and_then(|()| Ok(renameat(&self.handle, &temporary, &self.handle, name)?));
            match made {
                Ok(()) => {
                    // Two names of one file are not renamed into one, but stay (POSIX).
                    self.remove(&temporary);
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => last = error,
                Err(source) => {
                    self.remove(&temporary);
                    let path = path.display().to_string();
                    return Err(FileError::Unwritable { path, source });
                }
            }
        }
        let path = path.display().to_string();
        Err(FileError::Unwritable { path, source: last })
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
    format!(".sluice-{}-{count}", std::process::id())
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
        let refused = "inside/link: a link, which sluice reads at most and never writes through or replaces; nothing \
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
    fn what_is_kept_takes_a_link_s_name_and_leaves_its_file() {
        let (_all, folder, precious) = hostile();
        folder.replace("a", b"unreadable").unwrap();
        folder.keep("a", "link").unwrap();
        folder.keep("a", "link").unwrap();
        folder.replace("a", b"new").unwrap();
        assert_eq!(
            std::fs::read(folder.path().join("link")).unwrap(),
            b"unreadable"
        );
        assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
        assert_eq!(names(&folder), ["a", "link"]);
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
                "inside/bytes: no text (UTF-8) at byte 1",
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
