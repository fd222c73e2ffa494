//! Why a plugin cannot be native, and how much of one can.
//!
//! Called by whoever reads its annotations or makes its EnvoyFilter.

/// How many claims may be noted before the filter. Chosen: each costs at each request.
pub const MAX_NATIVE_CLAIMS: usize = 64;

/// How long an EnvoyFilter may be. Chosen: what etcd takes, 1.5 MiB, less the API server's own part.
pub const MAX_ENVOY_FILTER_BYTES: usize = 1_400 * 1_024;

/// Why a plugin cannot be native as its annotations, or its configuration, say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NativeError {
    /// A value that is not accepted.
    #[error("{what}: {found:?}; accepted: {accepted}")]
    Value {
        /// The annotation or argument.
        what: String,
        /// Its value.
        found: String,
        /// What it may be.
        accepted: &'static str,
    },
    /// A file and a URI, or only a part of what fetching needs.
    #[error("{what}; accepted: the path of a file alone, or a URI with its sha256 and its cluster")]
    Incomplete {
        /// What is there.
        what: String,
    },
    /// Not a plugin of a cluster.
    #[error(
        "{source_name}: {found}; accepted: a WasmPlugin or TrafficExtension with name and namespace"
    )]
    NoPlugin {
        /// Where it stands.
        source_name: String,
        /// What it lacks.
        found: &'static str,
    },
    /// Proxies could not read the configuration.
    #[error("the configuration is unreadable: {0}")]
    Unreadable(String),
    /// It asks for more claims than fit before the filter.
    #[error(
        "the splits ask for {0} claims; accepted for native proxies: at most {MAX_NATIVE_CLAIMS}"
    )]
    TooManyClaims(usize),
    /// It is too large for an object of the API server.
    #[error(
        "its EnvoyFilter has {0} bytes; accepted: at most {MAX_ENVOY_FILTER_BYTES}, of which each \
         kind of proxy needs the configuration once"
    )]
    TooLong(usize),
    /// A field of the plugin has another type than its kind gives it.
    #[error("{0}")]
    Field(String),
}
