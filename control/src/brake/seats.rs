//! Which connections stay, where there may be only so many.
//!
//! A connection is busy while its question is held, and idle otherwise: it has sent nothing yet, or a
//! part of a question, or does not read its answer. One that is idle for long is dismissed, and the
//! one that has been idle longest is when another needs its seat. So whoever connects and asks
//! nothing keeps no proxy out; and no proxy that waits for an answer is ever dismissed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::counts::{Counts, Why};

/// Some seats.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    idle: Mutex<Idle>,
    counts: Counts,
}

/// Who is idle, in the order in which they became so.
#[derive(Debug, Default)]
struct Idle {
    next: u64,
    since: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// The seat of one connection, which is idle at first.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    dismissal: Arc<Notify>,
    /// Its place in the order.
    turn: AtomicU64,
    _place: OwnedSemaphorePermit,
}

impl Seats {
    /// So many.
    pub(super) fn new(most: usize, counts: Counts) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most)),
            idle: Mutex::default(),
            counts,
        })
    }

    /// A seat. Where none is free, whoever has been idle longest is dismissed for it; `None` where
    /// nobody is idle.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Seat> {
        let place = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(place) => place,
            Err(_) if self.dismiss_one() => Arc::clone(&self.free).acquire_owned().await.ok()?,
            Err(_) => {
                self.counts.refused(Why::Full, 1);
                return None;
            }
        };
        let dismissal = Arc::default();
        let turn = self.idle().add(Arc::clone(&dismissal));
        Some(Seat {
            seats: Arc::clone(self),
            dismissal,
            turn: AtomicU64::new(turn),
            _place: place,
        })
    }

    /// Dismisses whoever has been idle longest; whether there was one.
    pub(super) fn dismiss_one(&self) -> bool {
        let first = self.idle().since.pop_first();
        let is_dismissed = first
            .map(|(_, (_, dismissal))| dismissal.notify_one())
            .is_some();
        self.counts
            .refused(Why::Replaced, usize::from(is_dismissed));
        is_dismissed
    }

    /// Dismisses whoever has been idle for so long.
    pub(super) fn dismiss_idle(&self, long: Duration, now: Instant) {
        let mut idle = self.idle();
        let mut dismissed = 0;
        while let Some(first) = idle.since.first_entry() {
            if now.duration_since(first.get().0) < long {
                break;
            }
            first.remove().1.notify_one();
            dismissed += 1;
        }
        self.counts.refused(Why::Idle, dismissed);
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock()
    }
}

impl Idle {
    fn add(&mut self, dismissal: Arc<Notify>) -> u64 {
        self.next += 1;
        self.since.insert(self.next, (Instant::now(), dismissal));
        self.next
    }
}

impl Seat {
    /// Its question is held until this is dropped.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.leave_idle();
        Busy(self)
    }

    /// Waits until it is dismissed.
    pub(super) async fn dismissed(&self) {
        self.dismissal.notified().await;
    }

    /// Is among the idle ones no more.
    fn leave_idle(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        self.seats.idle().since.remove(&turn);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave_idle();
    }
}

/// That a connection's question is held.
#[derive(Debug)]
pub(super) struct Busy<'s>(&'s Seat);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let dismissal = Arc::clone(&self.0.dismissal);
        let turn = self.0.seats.idle().add(dismissal);
        self.0.turn.store(turn, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn is_dismissed(seat: &Seat) -> bool {
        seat.dismissed().now_or_never().is_some()
    }

    fn taken(seats: &Arc<Seats>) -> Option<Seat> {
        seats.take().now_or_never().flatten()
    }

    #[test]
    fn of_those_that_are_idle_the_one_that_is_longest_makes_room() {
        let seats = Seats::new(3, Counts::default());
        let [first, second, third] = [(); 3].map(|()| taken(&seats).unwrap());
        drop(first.busy());
        let mut fourth = Box::pin(seats.take());
        assert!(
            fourth.as_mut().now_or_never().is_none(),
            "until there is room"
        );
        let dismissed = [&first, &second, &third].map(is_dismissed);
        assert_eq!(dismissed, [false, true, false]);
        drop(second);
        assert!(fourth.now_or_never().flatten().is_some());
    }

    #[test]
    fn whose_question_is_held_is_never_dismissed() {
        let seats = Seats::new(2, Counts::default());
        let [first, second] = [(); 2].map(|()| taken(&seats).unwrap());
        let (busy, _also) = (first.busy(), second.busy());
        assert!(taken(&seats).is_none());
        let late = Instant::now() + Duration::from_secs(3_600);
        seats.dismiss_idle(Duration::from_secs(60), late);
        assert!(!is_dismissed(&first) && !is_dismissed(&second));
        drop(busy);
        seats.dismiss_idle(Duration::from_secs(60), late);
        assert!(is_dismissed(&first) && !is_dismissed(&second));
    }

    #[test]
    fn who_leaves_gives_the_seat_back() {
        let seats = Seats::new(1, Counts::default());
        let seat = taken(&seats).unwrap();
        let busy = seat.busy();
        drop(busy);
        drop(seat);
        assert!(seats.idle().since.is_empty());
        assert!(taken(&seats).is_some());
    }
}
