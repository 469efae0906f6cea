//! The number of cases that a property is tried on, and their seed.

use proptest::test_runner::{Config, RngSeed};

/// Tries this number of cases, the same ones in every run. `PROPTEST_CASES` and `PROPTEST_RNG_SEED` in the environment choose others.
pub fn cases(count: u32) -> Config {
    let chosen = Config::default();
    Config {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() { chosen.cases } else { count },
        rng_seed: if chosen.rng_seed == RngSeed::Random { RngSeed::Fixed(0) } else { chosen.rng_seed },
        // A failure prints its smallest case. That case becomes a test of its own, so no file is needed.
        failure_persistence: None,
        ..chosen
    }
}
