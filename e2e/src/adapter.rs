//! Which of the two adapters a behaviour is tested with, and the tests of one behaviour with both.

use std::path::{Path, PathBuf};

use sluice::local::adapter::Adapter as Found;
use sluice::local::process::{find_module, find_native};

/// One of the two adapters of the core to Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// The WebAssembly module.
    Wasm,
    /// The native module.
    Native,
}

impl Adapter {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Wasm, Self::Native];

    /// Its file: what `SLUICE_MODULE` or `SLUICE_NATIVE` names, or the checkout's.
    pub fn found(self) -> Found {
        match self {
            Self::Wasm => {
                let named = std::env::var_os("SLUICE_MODULE");
                Found::Wasm(find_module(named.as_deref().map(Path::new)).unwrap())
            }
            Self::Native => {
                let named = std::env::var_os("SLUICE_NATIVE");
                Found::Native(find_native(named.as_deref().map(Path::new)).unwrap())
            }
        }
    }

    /// It in a file, or in the one that is tested.
    pub fn at(self, file: Option<PathBuf>) -> Found {
        match (self, file) {
            (Self::Wasm, Some(file)) => Found::Wasm(file),
            (Self::Native, Some(file)) => Found::Native(file),
            (_, None) => self.found(),
        }
    }

    /// What `sluice dev` takes for it.
    pub const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &[],
            Self::Native => &["--native"],
        }
    }
}

/// Makes a test of each behaviour with each adapter, `wasm::name` and `native::name`. A behaviour is an
/// `async fn(Adapter)`.
#[macro_export]
macro_rules! over_both_adapters {
    ($($behaviour:ident),+ $(,)?) => {
        mod wasm {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $behaviour() {
                    super::$behaviour($crate::adapter::Adapter::Wasm).await;
                }
            )+
        }
        mod native {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $behaviour() {
                    super::$behaviour($crate::adapter::Adapter::Native).await;
                }
            )+
        }
    };
}
