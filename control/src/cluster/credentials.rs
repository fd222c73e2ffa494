//! Why there are no credentials, in words that hold none.
//!
//! kube's errors quote what could not be read: lines of the kubeconfig with its tokens and
//! passwords, and what a credential command printed. Here they say where and why, and no more.

use kube::client::AuthError;
use kube::config::KubeconfigError;

/// A kubeconfig that cannot be read.
pub(super) fn of_kubeconfig(error: KubeconfigError) -> anyhow::Error {
    let KubeconfigError::Parse(error) = error else {
        return error.into();
    };
    let at = error.location().map_or_else(String::new, |at| {
        format!(", at line {} column {}", at.line(), at.column())
    });
    anyhow::anyhow!(
        "not a kubeconfig's YAML{at} (what stands there is not shown: it may be secret)"
    )
}

/// A client that cannot be made.
pub(super) fn of_client(error: kube::Error) -> anyhow::Error {
    match failure(&error) {
        Some(why) => anyhow::Error::msg(why),
        None => error.into(),
    }
}

/// Why there are no credentials, where that is what an error is about.
pub(super) fn failure(error: &kube::Error) -> Option<String> {
    let auth = match error {
        kube::Error::Auth(auth) => auth,
        kube::Error::Service(error) => error.downcast_ref::<AuthError>()?,
        _ => return None,
    };
    Some(match auth {
        // Its arguments may be secret too.
        AuthError::AuthExecRun { out, .. } => format!(
            "the kubeconfig's credential command ended with {}: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        ),
        AuthError::AuthExecParse(_) => {
            "the kubeconfig's credential command does not answer with an ExecCredential".to_owned()
        }
        AuthError::ParseTokenKey(_) => {
            "the kubeconfig's credential command does not answer with its token-key".to_owned()
        }
        other => other.to_string(),
    })
}
