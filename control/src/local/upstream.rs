//! Where a local Envoy sends requests, as `--upstream` names it.

use std::net::SocketAddr;
use std::str::FromStr;

/// Where requests go: those of one variant, or everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The split and variant it serves; `None`: whatever no split routes.
    pub serves: Option<(String, String)>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Upstream {
    /// Its cluster's name in Envoy.
    pub fn cluster(&self) -> String {
        self.serves.as_ref().map_or_else(
            || "default".to_owned(),
            |(split, variant)| format!("{split}/{variant}"),
        )
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (serves, address) = match text.split_once('=') {
            Some((target, address)) => {
                let (split, variant) = target
                    .split_once('/')
                    .ok_or("write SPLIT/VARIANT=ADDRESS, such as web/canary=127.0.0.1:8082")?;
                (Some((split.to_owned(), variant.to_owned())), address)
            }
            None => (None, text),
        };
        let address = address.parse().map_err(|_| {
            format!("{address:?} is not an address; write IP:PORT, such as 127.0.0.1:8082")
        })?;
        Ok(Self { serves, address })
    }
}
