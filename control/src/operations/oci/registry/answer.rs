//! What a registry answers, read within bounds.

use anyhow::{Context as _, bail};
use reqwest::{Response, StatusCode, header};

/// An answer to go on with; `None` where there is nothing.
pub(super) fn found(
    url: &str,
    sent: reqwest::Result<Response>,
) -> anyhow::Result<Option<Response>> {
    let answer = sent.with_context(|| format!("{url}: cannot be read"))?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let host = answer.url().host_str().unwrap_or_default().to_owned();
            bail!(
                "{url}: answered {}; log in with `docker login {host}`",
                answer.status()
            )
        }
        status if status.is_success() => Ok(Some(answer)),
        status => bail!("{url}: answered {status}"),
    }
}

/// The kind that it says it is.
pub(super) fn media_type(answer: &Response) -> Option<String> {
    let header = answer.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = header.split(';').next().unwrap_or_default();
    Some(kind.trim().to_owned())
}

/// Hands on what comes, piece by piece; how many bytes they were, or `None` if they were more than
/// are accepted.
pub(super) async fn pieces(
    url: &str,
    mut answer: Response,
    max_bytes: u64,
    mut take: impl FnMut(&[u8]),
) -> anyhow::Result<Option<u64>> {
    let mut size = 0;
    let next = async |answer: &mut Response| {
        let piece = answer.chunk().await;
        piece.with_context(|| format!("{url}: cannot be read to its end"))
    };
    while let Some(piece) = next(&mut answer).await? {
        size += piece.len() as u64;
        if size > max_bytes {
            return Ok(None);
        }
        take(&piece);
    }
    Ok(Some(size))
}
