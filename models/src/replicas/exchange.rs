//! Numbers that threads hand to each other, none of whom waits for one that will not come.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What each member has given, by rank.
pub type Gathered = Arc<Vec<Vec<f64>>>;

/// A meeting point of so many members.
#[derive(Debug)]
pub(super) struct Exchange {
    state: Mutex<State>,
    /// Told when a round is over, and when one of them has failed.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    round: u64,
    /// What has been given in this round.
    given: Vec<Option<Vec<f64>>>,
    /// What was given in the last one. It stands until all members, who have it by then, give something again.
    last: Gathered,
    /// Steps that each member has left.
    steps: Vec<u64>,
    /// Why the group is at its end.
    failure: Option<String>,
}

impl Exchange {
    pub fn new(members: usize) -> Self {
        let state = State {
            round: 0,
            given: vec![None; members],
            last: Arc::default(),
            steps: vec![0; members],
            failure: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Gives values, and waits for those of all others; the reason, if one of them has failed.
    pub fn all_gather(&self, rank: usize, values: Vec<f64>) -> Result<Gathered, String> {
        let mut state = self.lock();
        if state.steps.iter().any(|steps| *steps > state.steps[rank]) {
            self.end(&mut state, UNEVEN.into());
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.given[rank] = Some(values);
        if state.given.iter().all(Option::is_some) {
            state.last = Arc::new(state.given.iter_mut().filter_map(Option::take).collect());
            state.round += 1;
            self.changed.notify_all();
            return Ok(state.last.clone());
        }
        let round = state.round;
        loop {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            if state.round != round {
                return Ok(state.last.clone());
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
        }
    }

    /// A member has come to the end of its step. Who still waits for it then would do so for ever.
    pub fn leave(&self, rank: usize) {
        let mut state = self.lock();
        state.steps[rank] += 1;
        let waiting = |(given, steps): (&Option<Vec<f64>>, &u64)| given.is_some() && *steps < state.steps[rank];
        if state.given.iter().zip(&state.steps).any(waiting) {
            self.end(&mut state, UNEVEN.into());
        }
    }

    /// Ends the group. Returns the reason: the first that was given.
    pub fn fail(&self, reason: String) -> String {
        self.end(&mut self.lock(), reason)
    }

    fn end(&self, state: &mut State, reason: String) -> String {
        self.changed.notify_all();
        state.failure.get_or_insert(reason).clone()
    }

    /// No code that may panic runs under the lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const UNEVEN: &str = "the devices have not exchanged equally often in a step";
