//! Data parallelism: threads that each compute a share of a batch on a device of their own, and the values they exchange.
//!
//! A [`ReplicaGroup`] has a member for each device. A thread that [enters](ReplicaGroup::enter) it is one of them for the duration
//! of a step. The code it calls asks [`Replica::current`]: batch normalisation, to compute statistics over all shares; an objective,
//! to [gather](Replica::gather_rows) the embeddings of all members.
//!
//! Values are exchanged on the host, in f64 and in the order of ranks, so that sums are reproducible on every backend.

mod all_reduce;
mod exchange;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use all_reduce::ReplicaBackend;
pub use exchange::Gathered;

use all_reduce::Summation;
use exchange::Exchange;

/// What batch normalisation computes its statistics over, in training on several devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchStatistics {
    /// The whole batch: values and gradients are those of a training on one device.
    #[default]
    Whole,
    /// The device's own share. Running statistics are those of the first device.
    Share,
}

/// Why a step on several devices has failed: the first reason that a member gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReplicaError(String);

/// Members that take each step together.
#[derive(Clone, Debug)]
pub struct ReplicaGroup(Arc<Group>);

#[derive(Debug)]
struct Group {
    members: usize,
    statistics: BatchStatistics,
    exchange: Exchange,
    summation: Summation,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Replica {
    group: Arc<Group>,
    rank: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Replica>> = const { RefCell::new(None) };
}

impl ReplicaGroup {
    /// A group of so many members that train on the backend `B`.
    pub fn new<B: ReplicaBackend>(members: usize, statistics: BatchStatistics) -> Self {
        let (exchange, summation) = (Exchange::new(members), Summation::of::<B>());
        Self(Arc::new(Group { members, statistics, exchange, summation }))
    }

    /// Takes a step as the member `rank` of the group.
    ///
    /// # Errors
    ///
    /// If the step of this or another member returns an error or panics, with the first such reason. The group has then failed:
    /// members that wait for others get the error.
    ///
    /// # Panics
    ///
    /// If there is no such member.
    pub fn enter<T>(&self, rank: usize, step: impl FnOnce() -> Result<T, String>) -> Result<T, ReplicaError> {
        assert!(rank < self.0.members, "member {rank} of a group of {}", self.0.members);
        let outside = CURRENT.replace(Some(Replica { group: self.0.clone(), rank }));
        let result = catch_unwind(AssertUnwindSafe(step));
        CURRENT.set(outside);
        let reason = match result {
            Ok(Ok(value)) => {
                self.0.exchange.leave(rank);
                return Ok(value);
            }
            Ok(Err(reason)) => reason,
            Err(panic) => reason_of(&*panic),
        };
        Err(ReplicaError(self.0.exchange.fail(reason)))
    }
}

/// The message of a panic.
fn reason_of(panic: &(dyn Any + Send)) -> String {
    if let Some(ReplicaError(reason)) = panic.downcast_ref() {
        return reason.clone();
    }
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}

impl Replica {
    /// The member that this thread is, if it is in a step of a group.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The member that this thread is, if statistics are those of the whole batch.
    pub(crate) fn with_whole_statistics() -> Option<Self> {
        Self::current().filter(|replica| replica.group.statistics == BatchStatistics::Whole)
    }

    /// Whether this thread is the first member, or in no group. It updates the running statistics, which the models of all members
    /// share.
    pub(crate) fn is_first_or_only() -> bool {
        CURRENT.with_borrow(|current| current.as_ref().is_none_or(|replica| replica.rank == 0))
    }

    /// The number of this member, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Gives values, waits for all members, and returns the values of all in the order of ranks.
    ///
    /// # Errors
    ///
    /// If the group has failed, or another member finishes its step without calling this.
    pub fn all_gather(&self, values: Vec<f64>) -> Result<Gathered, ReplicaError> {
        self.group.exchange.all_gather(self.rank, values).map_err(ReplicaError)
    }
}
