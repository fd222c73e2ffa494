//! Packs an image with its bill of materials and its provenance, writes it as an OCI image layout,
//! and prints its digest. Called by `make image`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use pack_image::packages::Packages;
use pack_image::program::Program;
use pack_image::provenance::Sources;
use pack_image::{bill, program, provenance, referrer};
use sluice::operations::image;
use sluice::operations::oci::digest::digest;
use sluice::operations::oci::layout::Layout;
use sluice::operations::push::labels;

/// Packs an image.
#[derive(Parser)]
struct Arguments {
    /// The folder that is written
    #[arg(long)]
    out: PathBuf,
    /// The version that its label says
    #[arg(long)]
    version: String,
    /// The address of the repository
    #[arg(long)]
    source: Option<String>,
    /// The commit; without it, none is said
    #[arg(long)]
    revision: Option<String>,
    /// What `cargo tree` printed of what is linked
    #[arg(long)]
    tree: PathBuf,
    /// Cargo.lock
    #[arg(long)]
    lock: PathBuf,
    /// What `rustc --version` says
    #[arg(long)]
    rustc: String,
    /// A tool of PyPI, as NAME=VERSION=SHA256
    #[arg(long, value_parser = tool)]
    tool: Vec<(String, String, String)>,
    #[command(subcommand)]
    what: What,
}

/// What is packed.
#[derive(Subcommand)]
enum What {
    /// The program: each binary as ARCHITECTURE=FILE
    Program {
        /// Such as amd64=target/x86_64-unknown-linux-musl/static/sluice
        #[arg(required = true, value_parser = binary)]
        binaries: Vec<(String, PathBuf)>,
    },
    /// The module
    Module {
        /// What `make wasm` wrote
        file: PathBuf,
    },
}

fn tool(text: &str) -> Result<(String, String, String), String> {
    let parts: Vec<&str> = text.split('=').collect();
    let [name, version, hash] = parts[..] else {
        return Err("accepted: NAME=VERSION=SHA256".to_owned());
    };
    Ok((name.to_owned(), version.to_owned(), hash.to_owned()))
}

fn binary(text: &str) -> Result<(String, PathBuf), String> {
    let (architecture, file) = text
        .split_once('=')
        .ok_or("accepted: ARCHITECTURE=FILE, such as amd64=sluice")?;
    Ok((architecture.to_owned(), file.into()))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let lock = text(&arguments.lock)?;
    let packages = Packages::read(&text(&arguments.tree)?, &lock)?;
    let labels = arguments.labels();
    let (mut layout, others) = match &arguments.what {
        What::Program { binaries } => {
            let mut programs = Vec::new();
            for (architecture, file) in binaries {
                programs.push(Program {
                    architecture: architecture.clone(),
                    binary: read(file)?,
                });
            }
            let authorities = webpki_root_certs_version(&lock);
            let others = vec![(
                "ca-certificates-mozilla",
                authorities,
                "CDLA-Permissive-2.0",
            )];
            (program::image(&programs, &labels)?, others)
        }
        What::Module { file } => (image::image(&read(file)?, &labels)?, Vec::new()),
    };
    arguments.refer(&mut layout, &packages, &lock, &others)?;
    layout.write(&arguments.out)?;
    let image = layout.image.digest();
    let compressed: usize = layout.blobs.values().map(Vec::len).sum();
    println!("{}: {image}, {compressed} bytes", arguments.out.display());
    Ok(())
}

/// The version of Mozilla's list, which is a crate.
fn webpki_root_certs_version(lock: &str) -> String {
    let rest = lock
        .split("name = \"webpki-root-certs\"\nversion = \"")
        .nth(1);
    let version = rest.and_then(|rest| rest.split('"').next());
    version.unwrap_or("unknown").to_owned()
}

impl Arguments {
    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = labels(&self.version, self.source.as_deref());
        if let Some(revision) = &self.revision {
            let name = "org.opencontainers.image.revision".to_owned();
            labels.insert(name, revision.clone());
        }
        labels
    }

    fn refer(
        &self,
        layout: &mut Layout,
        packages: &Packages,
        lock: &str,
        others: &[(&str, String, &str)],
    ) -> anyhow::Result<()> {
        let image = layout.image.digest();
        let rust = self.rustc.split(' ').nth(1).unwrap_or_default();
        let others: Vec<_> = others
            .iter()
            .map(|(name, version, licence)| (*name, version.as_str(), *licence))
            .collect();
        let bill = bill::bill(packages, &image, rust, &others);
        referrer::refer(layout, bill::TYPE, "bill of materials", &bill)?;
        let sources = Sources {
            source: self.source.as_deref(),
            revision: self.revision.as_deref(),
            lock: &digest(lock.as_bytes()),
            rustc: &self.rustc,
            tools: &self.tool,
        };
        let statement = provenance::statement(&packages.root.0, &image, &sources);
        referrer::refer(layout, provenance::TYPE, "provenance", &statement)
    }
}
