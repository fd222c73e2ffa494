//! A one-sided test of users who failed and were not known to: is a newcomer the challenger's more
//! often than its part of the users and the margin say?
//!
//! The conditional test of Lindon and Malek (NeurIPS 2022, arXiv 2011.03567), as in
//! [`super::Mixture`], with bets that a hash allows. Whose the newcomers of a round are is drawn by
//! it, whatever their number and however many requests there were. So a bet may depend on both: on
//! errors beside those that both variants have, which weigh more when the users who always fail are
//! all known. And what evidence would exceed what is needed by is no use, so it is given to the
//! outcomes that are below.

use serde::{Deserialize, Serialize};

use super::{mean_of_logs, ratio_share, rounded};

/// What may be wrong, one component of the mixture each.
#[derive(Clone, Copy, Debug)]
enum Bet {
    /// A newcomer has so many times the odds to be the challenger's.
    Odds(f64),
    /// This part of the challenger's requests fails beside those that fail for both.
    Errors(f64),
}

/// Chosen: most around errors of 5 %, which are to be found soonest; simulated in BENCHMARKS.md.
const BETS: [Bet; 5] = [
    Bet::Errors(0.04),
    Bet::Errors(0.06),
    Bet::Errors(0.09),
    Bet::Odds(2.0),
    Bet::Odds(6.0),
];

/// How much the newest round says about how many newcomers there usually are. Chosen.
const NEWEST: f64 = 0.5;

/// Newcomers that may be the fallback's in a round that had none. Chosen.
const UNSEEN: f64 = 0.3;

/// How many newcomers beside the usual ones a bet stands for, of each usual one. Chosen: beyond it
/// one of the fallback's would take all evidence away.
const MOST_BESIDE: f64 = 30.0;

/// Rounds of more newcomers give nothing away: it takes a step for each. As many as there are bits.
const MOST_WEIGHED: u64 = 1_024;

/// What a round brought.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Newcomers of the challenger.
    pub own: u64,
    /// Newcomers of the fallback.
    pub others: u64,
    /// Requests of both: of one alone they say whose the newcomers are.
    pub requests: u64,
    /// The exposures: of the challenger, of the fallback.
    pub exposures: (f64, f64),
    /// How many times as often the challenger may fail: 1.5 for `+50%`.
    pub margin: f64,
}

/// The evidence that the challenger fails more users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newcomers {
    /// The logarithm of each bet's likelihood ratio.
    logs: [f64; BETS.len()],
    /// The logarithm of what outcomes that did not happen gave away.
    given: f64,
    /// How many newcomers a request has, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    usual: Option<f64>,
}

impl Newcomers {
    /// Counts a round. Without exposure on both sides nothing is known. `needed` is what the evidence
    /// must reach.
    pub fn add(&mut self, round: Round, needed: f64) {
        let (own, others) = round.exposures;
        let Some(share) = ratio_share(own, others, round.margin) else {
            return;
        };
        let trials = round.own.saturating_add(round.others);
        if round.requests > 0 {
            let newest = trials as f64 / round.requests as f64;
            let known = self.usual.unwrap_or(newest);
            self.usual = Some(NEWEST * newest + (1.0 - NEWEST) * known);
        }
        let odds = BETS.map(|bet| self.odds(bet, &round, share));
        let given = self.given_away(&odds, trials, share, needed);
        self.logs = self.after(&odds, round.own, trials, share).map(rounded);
        self.given = rounded(self.given + given);
    }

    /// The logarithm of the e-value.
    pub fn evidence(&self) -> f64 {
        mean_of_logs(&self.logs) + self.given
    }

    /// How many times as great a bet takes the odds that a newcomer of this round is the
    /// challenger's.
    fn odds(&self, bet: Bet, round: &Round, share: f64) -> f64 {
        let errors = match bet {
            Bet::Odds(odds) => return odds,
            Bet::Errors(errors) => errors,
        };
        let requests = round.requests as f64;
        let (own, others) = round.exposures;
        let beside = errors * requests * own / (own + others);
        let usual = (self.usual.unwrap_or(0.0) * requests - beside).max(0.0) + UNSEEN;
        1.0 + (beside / usual).min(MOST_BESIDE) / share
    }

    /// The bets after so many hits of so many trials.
    fn after(&self, odds: &Logs, hits: u64, trials: u64, share: f64) -> Logs {
        let (hits, trials) = (hits as f64, trials as f64);
        let mut logs = self.logs;
        for (log, odds) in logs.iter_mut().zip(odds) {
            *log += hits * odds.ln() - trials * (share * (odds - 1.0)).ln_1p();
        }
        logs
    }

    /// By what all outcomes can be multiplied, as a logarithm, when none counts for more than what is
    /// needed: the mean over all of them stays what the evidence is now.
    fn given_away(&self, odds: &Logs, trials: u64, share: f64, needed: f64) -> f64 {
        let now = (self.evidence() - needed).exp();
        if trials > MOST_WEIGHED || now >= 1.0 {
            return 0.0;
        }
        let (mut above, mut below, mut factor) = (0.0, now, 1.0);
        // The logarithm of the probability of so many hits; first of as many as there are trials.
        let mut likely = trials as f64 * share.ln();
        for hits in (1..=trials).rev() {
            let logs = self.after(odds, hits, trials, share);
            let outcome = (mean_of_logs(&logs) + self.given - needed).exp();
            if outcome * factor <= 1.0 {
                break;
            }
            above += likely.exp();
            below -= likely.exp() * outcome;
            let next = (now - above) / below;
            if !next.is_finite() || next < factor {
                break;
            }
            factor = next;
            let step = hits as f64 / (trials - hits + 1) as f64;
            likely += step.ln() + ((1.0 - share) / share).ln();
        }
        factor.ln()
    }
}

/// One for each bet.
type Logs = [f64; BETS.len()];

#[cfg(test)]
mod tests;
