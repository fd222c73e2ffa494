//! `sluice push`: publishes the module, or an image that was built, to a registry, with the native
//! libraries beside it, and prints the digests to pin.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::arguments::OutputArgs;
use super::outcome::Outcome;
use super::output;
use crate::files;
use crate::files::bounded::{MAX_LIBRARY_BYTES, MAX_MODULE_BYTES};
use crate::operations::image::image;
use crate::operations::libraries::{Libraries, Library};
use crate::operations::oci::key::{MAX_PEM_BYTES, PrivateKey};
use crate::operations::oci::layout::Layout;
use crate::operations::oci::registry::Transport;
use crate::operations::push::{Pushed, labels, push, push_with_libraries};
use crate::operations::sign::Signed;

/// `sluice push`.
#[derive(clap::Args, Debug)]
pub(super) struct Push {
    /// The module, as `make wasm` writes it, or the folder of an image, as `make image` does
    #[arg(value_name = "MODULE|FOLDER")]
    module: PathBuf,
    /// The image, as oci://HOST/REPOSITORY:TAG
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The version that a module's label says [default: this program's]
    #[arg(long, value_name = "VERSION")]
    image_version: Option<String>,
    /// Where the source is, for a module's label
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// The native module too, as `make native` writes it, under IMAGE-native; once for each processor,
    /// x86_64 and aarch64, which the file itself says
    #[arg(long, value_name = "FILE")]
    native: Vec<PathBuf>,
    /// Sign it, as cosign does, with this private key; the password of an encrypted one is in
    /// COSIGN_PASSWORD
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Speak plain HTTP; registries on this machine always get it
    #[arg(long)]
    insecure: bool,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Push) -> anyhow::Result<Outcome> {
    let layout = arguments.layout()?;
    let key = arguments.sign.as_deref().map(private_key).transpose()?;
    let transport = transport(arguments.insecure);
    let (image, key) = (&arguments.image, key.as_ref());
    let pushed = match arguments.libraries(&layout)? {
        Some(libraries) => push_with_libraries(&layout, &libraries, image, transport, key).await?,
        None => push(&layout, image, transport, key).await?,
    };
    output::print(arguments.output.output, &pushed, text)?;
    Ok(Outcome::Good)
}

/// How a registry is spoken to.
pub(super) fn transport(is_insecure: bool) -> Transport {
    if is_insecure {
        Transport::Insecure
    } else {
        Transport::Secure
    }
}

impl Push {
    fn layout(&self) -> anyhow::Result<Layout> {
        if self.module.is_dir() {
            if self.image_version.is_some() || self.source.is_some() {
                bail!("--image-version and --source are for a module; a folder's image has labels");
            }
            return Layout::read(&self.module);
        }
        let path = self.module.display();
        let module = files::bytes(&self.module, MAX_MODULE_BYTES)?;
        let version = self.image_version.as_deref();
        let version = version.unwrap_or(env!("CARGO_PKG_VERSION"));
        let labels = labels(version, self.source.as_deref());
        image(&module, &labels).with_context(|| path.to_string())
    }

    /// The native libraries, with the labels that the image has.
    fn libraries(&self, layout: &Layout) -> anyhow::Result<Option<Libraries>> {
        if self.native.is_empty() {
            return Ok(None);
        }
        let library = |path: &PathBuf| {
            let bytes = files::bytes(path, MAX_LIBRARY_BYTES)?;
            Library::read(bytes).with_context(|| path.display().to_string())
        };
        let libraries: anyhow::Result<Vec<Library>> = self.native.iter().map(library).collect();
        let labels = layout.image.named()?.annotations;
        let packed = Libraries::pack(libraries?, &labels, env!("CARGO_PKG_VERSION"));
        Ok(Some(packed.context("--native")?))
    }
}

fn private_key(path: &Path) -> anyhow::Result<PrivateKey> {
    let text = files::bytes(path, MAX_PEM_BYTES)?;
    let password = std::env::var("COSIGN_PASSWORD").ok();
    PrivateKey::read(&text, password.as_deref()).with_context(|| path.display().to_string())
}

fn text(pushed: &Pushed) -> String {
    let mut lines = vec![pushed.image.clone(), pushed.digest.clone()];
    for referrer in &pushed.referrers {
        lines.push(format!("{referrer} refers to it"));
    }
    lines.extend(pushed.signed.as_ref().map(signature));
    if let Some(native) = &pushed.native {
        let platforms = native.platforms.join(", ");
        lines.extend([
            native.image.clone(),
            native.digest.clone(),
            format!("{} for {platforms}", native.file),
        ]);
        lines.extend(native.signed.as_ref().map(signature));
    }
    lines.join("\n")
}

fn signature(signed: &Signed) -> String {
    let done = if signed.was_signed {
        "was signed with this key before"
    } else {
        "signed"
    };
    let (count, tag) = (signed.signatures, &signed.tag);
    format!("{done}; signatures: {count}, at {tag}")
}
