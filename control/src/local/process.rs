//! Envoy as a child process that never outlives its parent, and where its binary and the modules
//! are.
//!
//! What Envoy reads is [`super::files`]'s, what it answers [`super::admin`]'s.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::admin::Admin;

/// How long Envoy may take to serve. Chosen: V8 compiles the module in a fraction of a second; a
/// busy CI takes longer.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long Envoy may take to end by itself.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// A running Envoy; dropping it ends it.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    admin: Admin,
    log: PathBuf,
}

impl Envoy {
    /// Starts Envoy and waits until it serves. Must be called from a thread that lives as long as
    /// Envoy should: the kernel ties the child to the thread that made it. `leash` is the `sluice`
    /// binary. The log and the address of the admin interface are written beside the bootstrap.
    ///
    /// # Errors
    /// When it does not start; says what Envoy logged last.
    pub async fn start(
        leash: &Path,
        envoy: &Path,
        bootstrap: &Path,
        workers: u32,
    ) -> anyhow::Result<Self> {
        let (log, admin_path) = (
            bootstrap.with_file_name("envoy.log"),
            bootstrap.with_file_name("admin.txt"),
        );
        let output = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
        let arguments: Vec<OsString> = vec![
            "leash".into(),
            "--parent".into(),
            std::process::id().to_string().into(),
            "--".into(),
            envoy.into(),
            "--config-path".into(),
            bootstrap.into(),
            "--admin-address-path".into(),
            admin_path.clone().into(),
            "--concurrency".into(),
            workers.to_string().into(),
            "--disable-hot-restart".into(),
            "--log-level".into(),
            "warning".into(),
            "--component-log-level".into(),
            "wasm:info,dynamic_modules:info".into(),
        ];
        let child = Command::new(leash)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", leash.display()))?;
        // Unused until the admin interface is known; the guard ends Envoy on every way out.
        let mut starting = Self {
            child,
            admin: Admin::new(([127, 0, 0, 1], 0).into()),
            log,
        };
        starting.admin = starting.wait_until_ready(envoy, &admin_path).await?;
        Ok(starting)
    }

    /// Its admin interface.
    pub const fn admin(&self) -> Admin {
        self.admin
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Its end, if it ended by itself.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    async fn wait_until_ready(&mut self, envoy: &Path, admin_path: &Path) -> anyhow::Result<Admin> {
        let began = Instant::now();
        while began.elapsed() < START_PATIENCE {
            if let Some(status) = self.ended() {
                bail!(
                    "{} ended with {status}; it said:\n{}",
                    envoy.display(),
                    self.last_lines()
                );
            }
            let address = std::fs::read_to_string(admin_path)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            if let Some(admin) = address.map(Admin::new)
                && admin.is_ready().await
            {
                return Ok(admin);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!(
            "{} does not serve after {} s; it said:\n{}",
            envoy.display(),
            START_PATIENCE.as_secs(),
            self.last_lines()
        )
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(12);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let began = Instant::now();
        while began.elapsed() < END_PATIENCE {
            if self.ended().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Envoy binary: as named, or the checkout's, or the one in PATH.
///
/// # Errors
/// When there is none.
pub fn find_envoy(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    match named {
        Some(envoy) if envoy.is_file() => Ok(envoy.to_owned()),
        Some(envoy) => bail!(
            "{}: no Envoy there; accepted: the path of an Envoy binary",
            envoy.display()
        ),
        None => beside("tools/envoy")
            .or_else(|| which::which("envoy").ok())
            .context("no Envoy found: run `make envoy`, or name one with --envoy or ENVOY"),
    }
}

/// The filter's module: as named, or beside this program, or the checkout's.
///
/// # Errors
/// When there is none.
pub fn find_module(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let module = match named {
        Some(module) if module.is_file() => module.to_owned(),
        Some(module) => bail!(
            "{}: no module there; accepted: the path of sluice.wasm",
            module.display()
        ),
        None => beside("wasm/sluice.wasm").context(
            "no module found: run `make wasm`, or name one with --module or SLUICE_MODULE",
        )?,
    };
    Ok(std::path::absolute(module)?)
}

/// The native module: as named, or beside this program, or the checkout's.
///
/// # Errors
/// When there is none.
pub fn find_native(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let library = match named {
        Some(library) if library.is_file() => library.to_owned(),
        Some(library) => bail!(
            "{}: no library there; accepted: the path of libsluice.so",
            library.display()
        ),
        None => beside("native/libsluice.so").context(
            "no native module found: run `make native`, or name one with --library or SLUICE_NATIVE",
        )?,
    };
    Ok(std::path::absolute(library)?)
}

/// A file beside this program by its last name, or at `relative` in the target directory that it
/// was built in.
fn beside(relative: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?;
    let target = folder
        .ancestors()
        .take(3)
        .map(|folder| folder.join(relative));
    let here = folder.join(Path::new(relative).file_name()?);
    std::iter::once(here)
        .chain(target)
        .chain([Path::new("target").join(relative)])
        .find(|path| path.is_file())
}
