//! Which cluster is meant, and with which credentials: the kubeconfig, or the pod's own account.
//!
//! A kubeconfig and the files that it names are read by kube, but for what does not end. Called
//! when a cluster is connected to.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::{Address, credentials};
use crate::model::suggest;

/// How long a kubeconfig, or a token or certificate that it names, may be. Chosen: a thousand
/// clusters with their certificates.
const MAX_KUBECONFIG_BYTES: usize = 16 * 1024 * 1024;

/// How to reach a cluster, and how people call it.
pub(super) async fn config(address: &Address) -> anyhow::Result<(Config, String)> {
    let options = KubeConfigOptions {
        context: address.context.clone(),
        ..KubeConfigOptions::default()
    };
    if let Some(path) = &address.kubeconfig {
        let kubeconfig =
            read(path).with_context(|| format!("{}: no kubeconfig", path.display()))?;
        return of_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| match address.context {
                Some(_) => of_context(address, error),
                None => error,
            })
            .with_context(|| format!("{}: no cluster can be read from it", path.display()));
    }
    let found = match usual() {
        Ok(kubeconfig) => of_kubeconfig(kubeconfig, &options).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => Ok(found),
        Err(error) if address.context.is_some() => Err(of_context(address, error)),
        Err(error) => {
            let config = Config::incluster().map_err(|_| error).context(
                "neither a cluster nor a directory: no kubeconfig could be read, this is no pod, and the current \
                 directory has no plugin.yaml; name a cluster with --kubeconfig FILE or KUBECONFIG, or, where the \
                 command takes one, a directory with --dir DIR or SLUICE_DIR",
            )?;
            Ok((config, "this pod's cluster".to_owned()))
        }
    }
}

/// Why a context that was named cannot be used: mostly because there is none of this name.
fn of_context(address: &Address, error: anyhow::Error) -> anyhow::Error {
    let named = address.context.as_deref().unwrap_or_default();
    let there = contexts(address.kubeconfig.as_deref()).unwrap_or_default();
    if there.iter().any(|name| name == named) || there.is_empty() {
        return error.context(format!(
            "context {named:?} cannot be read from a kubeconfig"
        ));
    }
    let hint = suggest::hint(named, there.iter().map(String::as_str));
    anyhow::anyhow!("the kubeconfig has no context {named:?}; {hint}")
}

/// The names of a kubeconfig's contexts, of the usual one where none is named.
///
/// # Errors
/// When it cannot be read.
pub fn contexts(kubeconfig: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let kubeconfig = kubeconfig.map_or_else(usual, read)?;
    Ok(kubeconfig
        .contexts
        .into_iter()
        .map(|context| context.name)
        .collect())
}

/// The kubeconfig that is not named: the files of KUBECONFIG, merged, or the one at home.
fn usual() -> anyhow::Result<Kubeconfig> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let mut paths: Vec<PathBuf> = std::env::split_paths(&named)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if paths.is_empty() {
        let home = std::env::home_dir().ok_or(KubeconfigError::FindPath)?;
        paths.push(home.join(".kube/config"));
    }
    paths.iter().try_fold(Kubeconfig::default(), |all, path| {
        let merged = all.merge(read(path)?);
        merged.map_err(credentials::of_kubeconfig)
    })
}

/// Reads a kubeconfig. One that a shell hands over, as `<(vault read …)`, can be read only once.
fn read(path: &Path) -> anyhow::Result<Kubeconfig> {
    let kind = std::fs::metadata(path).map(|found| found.file_type());
    let kubeconfig = if kind.is_ok_and(|kind| kind.is_fifo()) {
        let mut text = String::new();
        let limit = MAX_KUBECONFIG_BYTES as u64 + 1;
        File::open(path)?.take(limit).read_to_string(&mut text)?;
        is_short(path, text.len() as u64)?;
        Kubeconfig::from_yaml(&text)
    } else {
        is_bounded(path)?;
        Kubeconfig::read_from(path)
    };
    kubeconfig.map_err(credentials::of_kubeconfig)
}

async fn of_kubeconfig(
    kubeconfig: Kubeconfig,
    options: &KubeConfigOptions,
) -> anyhow::Result<(Config, String)> {
    let clusters = kubeconfig.clusters.iter();
    let clusters = clusters.filter_map(|named| named.cluster.as_ref());
    let authorities = clusters.filter_map(|cluster| cluster.certificate_authority.as_ref());
    let users = kubeconfig.auth_infos.iter();
    let users = users.filter_map(|named| named.auth_info.as_ref());
    let files = users.flat_map(|user| {
        let (certificate, key) = (&user.client_certificate, &user.client_key);
        [&user.token_file, certificate, key].into_iter().flatten()
    });
    for path in authorities.chain(files) {
        is_bounded(Path::new(path))?;
    }
    let context = options.context.clone();
    let context = context.or_else(|| kubeconfig.current_context.clone());
    let config = Config::from_custom_kubeconfig(kubeconfig, options);
    let config = config.await.map_err(credentials::of_kubeconfig)?;
    credentials::are_sendable(&config.auth_info)?;
    Ok((config, format!("context {}", context.unwrap_or_default())))
}

/// That a file which kube is about to read ends. One that is not there is kube's to say.
fn is_bounded(path: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => is_short(path, found.len()),
        Ok(found) if !found.is_dir() => {
            bail!("{}: a pipe or a device; accepted: a file", path.display())
        }
        _ => Ok(()),
    }
}

fn is_short(path: &Path, length: u64) -> anyhow::Result<()> {
    if length > MAX_KUBECONFIG_BYTES as u64 {
        bail!(
            "{}: more than {MAX_KUBECONFIG_BYTES} bytes; accepted: at most that",
            path.display()
        );
    }
    Ok(())
}
