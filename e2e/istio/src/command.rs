//! The `sluice` binary and kubectl, as a person runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// How long it ran.
    pub took: Duration,
}

impl Said {
    /// The same, if it ended with exit code 0.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The same, if it ended with another one.
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// A program with the environment that it is run in.
#[derive(Clone, Debug)]
pub struct Tool {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Tool {
    /// A program that finds its cluster in a kubeconfig.
    pub fn new(program: impl Into<PathBuf>, kubeconfig: &Path) -> Self {
        Self {
            program: program.into(),
            kubeconfig: kubeconfig.to_owned(),
        }
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The same with another kubeconfig.
    pub fn with_kubeconfig(&self, kubeconfig: &Path) -> Self {
        Self {
            kubeconfig: kubeconfig.to_owned(),
            ..self.clone()
        }
    }

    /// The command, not started yet.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words(arguments))
            .env("KUBECONFIG", &self.kubeconfig)
            .env_remove("SLUICE_DIR");
        command
            .current_dir(self.kubeconfig.parent().unwrap())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end; arguments are split at spaces, 'quoted' ones kept whole.
    pub fn run(&self, arguments: &str) -> Said {
        let began = Instant::now();
        let output = self.command(arguments).output().unwrap();
        said(output, began.elapsed())
    }

    /// The same without blocking what else runs.
    pub async fn run_beside(&self, arguments: &str) -> Said {
        let (tool, arguments) = (self.clone(), arguments.to_owned());
        tokio::task::spawn_blocking(move || tool.run(&arguments))
            .await
            .unwrap()
    }
}

fn said(output: Output, took: Duration) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
        took,
    }
}

fn words(arguments: &str) -> Vec<String> {
    let parts = arguments.split('\'').enumerate();
    let word = |(place, part): (usize, &str)| -> Vec<String> {
        if place % 2 == 1 {
            vec![part.to_owned()]
        } else {
            part.split_whitespace().map(str::to_owned).collect()
        }
    };
    parts.flat_map(word).collect()
}
