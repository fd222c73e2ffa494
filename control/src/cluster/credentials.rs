//! Why there are no credentials, in words that hold none.
//!
//! kube's errors quote what could not be read: lines of the kubeconfig with its tokens and
//! passwords, and what a credential command printed. Here they say where and why, and no more.

use anyhow::bail;
use hyper::header::HeaderValue;
use kube::client::AuthError;
use kube::config::{AuthInfo, KubeconfigError};
use secrecy::ExposeSecret as _;

/// That a token can stand in a header. kube takes that for granted, and panics.
pub(super) fn are_sendable(user: &AuthInfo) -> anyhow::Result<()> {
    let own = user.token.as_ref().map(|token| token.expose_secret());
    let provider = user.auth_provider.iter();
    let provided = provider.flat_map(|provider| {
        let tokens = ["id-token", "access-token"];
        tokens.map(|token| provider.config.get(token).map(String::as_str))
    });
    let mut tokens = provided.chain([own]).flatten();
    if tokens.any(|token| HeaderValue::from_str(token).is_err()) {
        bail!(
            "the user's token has a line break or another character that no HTTP header can have; accepted: the token \
             alone, on one line"
        );
    }
    Ok(())
}

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

/// A client that cannot be made, of a kubeconfig with this credential command.
pub(super) fn of_client(error: kube::Error, command: Option<&str>) -> anyhow::Error {
    if let (kube::Error::Auth(AuthError::AuthExecStart(why)), Some(command)) = (&error, command) {
        return anyhow::anyhow!(
            "the kubeconfig's credential command {command:?} cannot be started ({why}); is it installed, and in PATH?"
        );
    }
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
