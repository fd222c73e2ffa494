//! The signals that tell a command to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What Ctrl-C, the system, and a terminal that closes send. It listens from its making on:
/// `tokio::signal::ctrl_c` begins with its first poll, and until then a signal kills the process.
pub(super) struct Interruption([Signal; 3]);

impl Interruption {
    /// Listens.
    ///
    /// # Errors
    ///
    /// The system's, where it takes no handler.
    pub(super) fn listen() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        Ok(Self([
            signal(interrupt)?,
            signal(terminate)?,
            signal(hangup)?,
        ]))
    }

    /// Waits for the first of them, which may have come since, and says what it does.
    pub(super) async fn received(&mut self) -> &'static str {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "terminated",
            _ = hangup.recv() => "hung up",
        }
    }
}
