//! What is printed by work that goes on beside other work: kept until it is over, so that no line
//! of one stands among those of another.

use std::cell::RefCell;

/// One thing to print, as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A part of the result, for standard output.
    Line(String),
    /// Something beside it.
    Note(String),
    /// Why nothing came of it.
    Error(String),
}

/// What work has printed, in order.
pub(crate) type Kept = Vec<Piece>;

tokio::task_local! {
    static KEPT: RefCell<Kept>;
}

/// Does some work, and keeps what it prints.
pub(crate) async fn kept<F: Future>(work: F) -> (F::Output, Kept) {
    KEPT.scope(RefCell::default(), async {
        let result = work.await;
        (result, KEPT.with(|kept| kept.take()))
    })
    .await
}

/// Keeps a piece; gives it back where nobody keeps.
pub(super) fn keep(piece: Piece) -> Option<Piece> {
    let mut left = Some(piece);
    // Outside of such work there is nothing to keep it in.
    let _ = KEPT.try_with(|kept| kept.borrow_mut().extend(left.take()));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_printed_beside_each_other_is_kept_apart() {
        let work = |name: &'static str| async move {
            keep(Piece::Note(name.to_owned()));
            tokio::task::yield_now().await;
            keep(Piece::Line(name.to_owned()));
            name
        };
        let both = futures::join!(kept(work("a")), kept(work("b")));
        for ((result, kept), name) in [both.0, both.1].into_iter().zip(["a", "b"]) {
            let expected = vec![Piece::Note(name.to_owned()), Piece::Line(name.to_owned())];
            assert_eq!((result, kept), (name, expected));
        }
    }
}
