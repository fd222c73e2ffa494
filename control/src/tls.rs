//! The one TLS set-up of the program: which cryptography every connection uses.
//!
//! The clients of the API server, of registries and of Prometheus all take the process' default;
//! `main` chooses it before the first of them is made. What is trusted is each client's own: a
//! cluster names its authorities.

/// Makes ring the cryptography of every TLS connection of this process.
pub fn set_up() {
    // Refused only where the process has chosen already; then that choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
