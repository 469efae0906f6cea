//! One model on several devices: threads that each work on a share of a batch, and what they tell each other.
//!
//! A [`ReplicaGroup`] has as many members as there are devices. A thread that [enters](ReplicaGroup::enter) it is one of them
//! for the duration of a step, and whatever it calls finds that out by [`Replica::current`]: batch normalisation, to take its
//! statistics from all shares; an objective, to [gather](Replica::gather_rows) the embeddings of all.
//!
//! What is exchanged goes through the host, in f64 and in the order of ranks: it is short, and the same with every backend
//! and every time.

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

/// What batch normalisation takes its statistics from, in training on several devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchStatistics {
    /// The whole batch: values and gradients are those of one device.
    #[default]
    Whole,
    /// The device's own share. Running statistics are those of the first device.
    Share,
}

/// Why a step on several devices could not be taken: the first reason that one of them had.
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
    /// A group of so many members, who train with the backend `B`.
    pub fn new<B: ReplicaBackend>(members: usize, statistics: BatchStatistics) -> Self {
        let (exchange, summation) = (Exchange::new(members), Summation::of::<B>());
        Self(Arc::new(Group { members, statistics, exchange, summation }))
    }

    /// Takes a step as the member `rank` of the group.
    ///
    /// # Errors
    ///
    /// If the step returns an error or panics, or that of another member does: with the first such reason. It is the end of the
    /// group, and whoever waits for others then gets the error instead.
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

/// What a panic says.
fn reason_of(panic: &(dyn Any + Send)) -> String {
    if let Some(ReplicaError(reason)) = panic.downcast_ref() {
        return reason.clone();
    }
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}

impl Replica {
    /// The member that this thread is, in a step on several devices.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The member that this thread is, if statistics are those of the whole batch.
    pub(crate) fn with_whole_statistics() -> Option<Self> {
        Self::current().filter(|replica| replica.group.statistics == BatchStatistics::Whole)
    }

    /// Whether this thread is the first member, or there are no others. It is the one that keeps running statistics, which
    /// the members' models share.
    pub(crate) fn is_first_or_only() -> bool {
        CURRENT.with_borrow(|current| current.as_ref().is_none_or(|replica| replica.rank == 0))
    }

    /// Which of the members it is, from 0 on.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Gives numbers, and gets those of all members in the order of their ranks. It waits for all of them.
    ///
    /// # Errors
    ///
    /// If the group has failed, or another member ends its step without coming here.
    pub fn all_gather(&self, values: Vec<f64>) -> Result<Gathered, ReplicaError> {
        self.group.exchange.all_gather(self.rank, values).map_err(ReplicaError)
    }
}
