//! Replicas that come and go at any time: what they exchange is complete and in order, and when one dies the others are told.

use std::thread;
use std::time::Duration;

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn_flex::Flex;
use qare_models::replicas::{BatchStatistics, Gathered, Replica, ReplicaError, ReplicaGroup};

use crate::numbers::{noise, tensor, values};
use crate::watchdog::watched;

type B = Autodiff<Flex>;

/// Delays of a thread: none, a turn given up, or up to a fifth of a millisecond.
struct Delays(u64);

impl Delays {
    fn of(seed: u64, rank: usize) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (rank as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 20
    }

    fn wait(&mut self) {
        match self.next() % 8 {
            0..4 => {}
            4..7 => thread::yield_now(),
            _ => thread::sleep(Duration::from_micros(self.next() % 200)),
        }
    }
}

/// What each member makes of a step, with delays of its own.
fn step<T: Send>(
    group: &ReplicaGroup,
    members: usize,
    seed: u64,
    step: impl Fn(usize, &mut Delays) -> Result<T, String> + Sync,
) -> Vec<Result<T, ReplicaError>> {
    let step = &step;
    thread::scope(|scope| {
        let one = |rank| {
            let mut delays = Delays::of(seed, rank);
            delays.wait();
            group.enter(rank, || step(rank, &mut delays))
        };
        let threads: Vec<_> = (0..members).map(|rank| scope.spawn(move || one(rank))).collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are errors")).collect()
    })
}

fn group(members: usize) -> ReplicaGroup {
    ReplicaGroup::new::<B>(members, BatchStatistics::Whole)
}

fn all_gather(values: Vec<f64>) -> Result<Gathered, String> {
    let replica = Replica::current().expect("a step is taken by a member");
    replica.all_gather(values).map_err(|error| error.to_string())
}

/// What a member gives in a round: of a length of its own, now and then nothing.
fn given(rank: usize, round: usize) -> Vec<f64> {
    (0..(rank + round) % 4).map(|place| (rank * 1000 + round * 10 + place) as f64).collect()
}

fn expected(members: usize, round: usize) -> Vec<Vec<f64>> {
    (0..members).map(|rank| given(rank, round)).collect()
}

/// Threads that live for many steps, so that a fast member may be a step ahead of a slow one.
fn exchanges_many_steps(members: usize, steps: usize, rounds: usize, seed: u64) {
    let group = group(members);
    thread::scope(|scope| {
        for rank in 0..members {
            let group = &group;
            scope.spawn(move || {
                let mut delays = Delays::of(seed, rank);
                for number in 0..steps {
                    delays.wait();
                    let rounds = number * rounds..(number + 1) * rounds;
                    let step = || {
                        for round in rounds {
                            delays.wait();
                            let gathered = all_gather(given(rank, round))?;
                            delays.wait();
                            assert_eq!(*gathered, expected(members, round), "{rank} of {members}, round {round}");
                        }
                        Ok(())
                    };
                    group.enter(rank, step).unwrap();
                }
            });
        }
    });
}

#[test]
fn everybody_gets_everything_in_order() {
    watched("exchanges", || {
        for members in [1, 2, 3, 5, 8] {
            for seed in 0..4 {
                exchanges_many_steps(members, 12, 5, seed);
                // A step without any exchange, too.
                exchanges_many_steps(members, 12, 0, seed);
            }
        }
    });
}

#[test]
fn groups_do_not_hear_each_other() {
    watched("several groups", || {
        thread::scope(|scope| {
            for seed in 0..6 {
                scope.spawn(move || exchanges_many_steps(2 + seed as usize % 3, 20, 3, seed));
            }
        });
    });
}

#[test]
fn sums_have_the_same_bits_whoever_comes_first() {
    const MEMBERS: usize = 4;
    let sums = |seed: u64| {
        let group = group(MEMBERS);
        let found = step(&group, MEMBERS, seed, |rank, delays| {
            let leaf: Tensor<B, 1> = tensor(&noise(9, rank as u64), [9]).require_grad();
            delays.wait();
            let sum = Replica::current().unwrap().sum(leaf.clone());
            delays.wait();
            let gradients = (sum.clone() * sum.clone() * leaf.clone()).sum().backward();
            Ok((values(sum), values(leaf.grad(&gradients).unwrap())))
        });
        found.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    watched("sums", move || {
        let first = sums(0);
        assert!(first.iter().all(|(sum, _)| *sum == first[0].0));
        for seed in 1..30 {
            assert_eq!(sums(seed), first, "seed {seed}");
        }
    });
}

/// How a member leaves a step that is not over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    Error,
    Panic,
    /// It ends its step as if all were done.
    Ends,
}

const ROUNDS: usize = 3;

/// One member dies before a round, or after the last; returns what each says, and the group.
fn one_dies(
    members: usize,
    victim: usize,
    point: usize,
    death: Death,
    seed: u64,
) -> (ReplicaGroup, Vec<Result<(), ReplicaError>>) {
    let group = group(members);
    let said = step(&group, members, seed, |rank, delays| {
        for round in 0..=ROUNDS {
            delays.wait();
            if (rank, round) == (victim, point) {
                match death {
                    Death::Error => return Err("out of memory".into()),
                    Death::Panic => std::panic::panic_any("out of memory"),
                    Death::Ends => return Ok(()),
                }
            }
            if round < ROUNDS {
                assert_eq!(*all_gather(given(rank, round))?, expected(members, round));
            }
        }
        Ok(())
    });
    (group, said)
}

#[test]
fn whoever_dies_at_any_point_nobody_waits_and_everybody_knows() {
    watched("a member that dies", || {
        for members in [2, 3, 5] {
            for (victim, point) in (0..members).flat_map(|victim| (0..=ROUNDS).map(move |point| (victim, point))) {
                for death in [Death::Error, Death::Panic, Death::Ends] {
                    for seed in 0..3 {
                        let case = format!("{victim} of {members} before round {point}, {death:?}, seed {seed}");
                        let (group, said) = one_dies(members, victim, point, death, seed);
                        let reason = match death {
                            Death::Error => "out of memory",
                            Death::Panic => "panic: out of memory",
                            Death::Ends => "the devices have not exchanged equally often in a step",
                        };
                        let over = point == ROUNDS;
                        for (rank, said) in said.into_iter().enumerate() {
                            let error = said.err().map(|error| error.to_string());
                            let fine = match (rank == victim, death) {
                                (true, Death::Ends) => error.is_none(),
                                (true, _) => error.as_deref() == Some(reason),
                                // Who has exchanged all there was to exchange knows of nothing.
                                (false, _) if over => error.is_none(),
                                (false, _) => error.as_deref() == Some(reason),
                            };
                            assert!(fine, "{case}: member {rank} says {error:?}");
                        }
                        // The end of the group, unless all was well.
                        let ended = !(over && death == Death::Ends);
                        let later = step(&group, members, seed, |rank, _| all_gather(given(rank, 0)).map(|_| ()));
                        for later in later {
                            assert_eq!(
                                later.err().map(|error| error.to_string()).as_deref(),
                                ended.then_some(reason),
                                "{case}"
                            );
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn who_exchanges_once_more_is_told() {
    watched("a member that exchanges once more", || {
        for seed in 0..20 {
            let group = group(3);
            let said = step(&group, 3, seed, |rank, delays| {
                for round in 0..ROUNDS + usize::from(rank == 1) {
                    delays.wait();
                    all_gather(given(rank, round))?;
                }
                Ok(())
            });
            assert!(said[0].is_ok() && said[2].is_ok(), "seed {seed}: {said:?}");
            assert!(said[1].as_ref().unwrap_err().to_string().contains("equally often"), "seed {seed}: {said:?}");
        }
    });
}

/// Exchanges also happen within a backward pass, out of which there is no way but a panic.
#[test]
fn a_death_between_forward_and_backward_reaches_the_backward_passes_of_the_others() {
    watched("a member that dies before its backward pass", || {
        for seed in 0..30 {
            let victim = seed as usize % 3;
            let group = group(3);
            let said = step(&group, 3, seed, |rank, delays| {
                let leaf: Tensor<B, 1> = tensor(&noise(5, rank as u64), [5]).require_grad();
                let sum = Replica::current().unwrap().sum(leaf.clone());
                delays.wait();
                if rank == victim {
                    return Err("no gradient".into());
                }
                let _ = (sum.clone() * sum).sum().backward();
                Ok(())
            });
            for said in said {
                assert_eq!(said.unwrap_err().to_string(), "no gradient", "seed {seed}");
            }
        }
    });
}
