//! All-gather between threads that fails instead of deadlocking when one of them stops.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The values that each member has given, by rank.
pub type Gathered = Arc<Vec<Vec<f64>>>;

/// The state of an all-gather between members.
#[derive(Debug)]
pub(super) struct Exchange {
    state: Mutex<State>,
    /// Notified when a round is over or the group has failed.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    round: u64,
    /// Values given in this round.
    given: Vec<Option<Vec<f64>>>,
    /// Values of the last round. They stay until all members have given values again, and so have read them.
    last: Gathered,
    /// Number of steps that each member has finished.
    steps: Vec<u64>,
    /// Why the group has failed.
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

    /// Gives values and waits for those of all others. The error is the reason why the group has failed.
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

    /// A member has finished its step. If another still waits for its values, the group fails: they will not come.
    pub fn leave(&self, rank: usize) {
        let mut state = self.lock();
        state.steps[rank] += 1;
        let waiting = |(given, steps): (&Option<Vec<f64>>, &u64)| given.is_some() && *steps < state.steps[rank];
        if state.given.iter().zip(&state.steps).any(waiting) {
            self.end(&mut state, UNEVEN.into());
        }
    }

    /// Lets the group fail. Returns the first reason that was given.
    pub fn fail(&self, reason: String) -> String {
        self.end(&mut self.lock(), reason)
    }

    fn end(&self, state: &mut State, reason: String) -> String {
        self.changed.notify_all();
        state.failure.get_or_insert(reason).clone()
    }

    /// No code under the lock panics, so the state is valid even if the lock is poisoned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const UNEVEN: &str = "the devices have not exchanged equally often in a step";
