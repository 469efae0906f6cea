//! What other processes took of the processor meanwhile: figures of a busy machine are worth little.

/// From here on a person is told.
const MUCH: f64 = 5.0;

/// In fewer ticks, what is not quite counted yet is most of it.
const FEW: f64 = 100.0;

/// Ticks of the system's clock, on Linux.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    /// Of all cores, working or not.
    all: f64,
    /// Of all cores, working.
    working: f64,
    /// Of this process, and of those it has started and waited for.
    own: f64,
}

/// Watches from its start on.
#[derive(Debug)]
pub struct Others(Option<Ticks>);

impl Others {
    pub fn watch() -> Self {
        Self(now())
    }

    /// The share of the processor that others have taken since, in percent; nothing where the system does not tell.
    pub fn share(&self) -> Option<f64> {
        share(self.0?, now()?)
    }

    /// What to say of a share, if it is large.
    pub fn note(share: f64) -> Option<String> {
        (share > MUCH).then(|| {
            format!(
                "note: other processes took {share:.0} % of the processor meanwhile; these figures are worth little"
            )
        })
    }
}

fn share(before: Ticks, after: Ticks) -> Option<f64> {
    let all = after.all - before.all;
    let others = (after.working - before.working) - (after.own - before.own);
    (all >= FEW).then(|| (100.0 * others / all).max(0.0))
}

fn now() -> Option<Ticks> {
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    let process = std::fs::read_to_string("/proc/self/stat").ok()?;
    ticks(&system, &process)
}

fn ticks(system: &str, process: &str) -> Option<Ticks> {
    // user, nice, system, idle, waiting, two kinds of interrupts, stolen; guests are in the first two already.
    let cores: Vec<f64> = numbers(system.lines().next()?.strip_prefix("cpu")?).take(8).collect();
    let all: f64 = cores.iter().sum();
    let idle = cores.get(3)? + cores.get(4)?;
    // The name, in brackets, may hold anything. After it come the state and ten numbers, then the times.
    let after_name = process.rsplit_once(')')?.1.trim_start().split_once(' ')?.1;
    let own = numbers(after_name).skip(10).take(4).sum();
    Some(Ticks { all, working: all - idle, own })
}

fn numbers(text: &str) -> impl Iterator<Item = f64> + '_ {
    text.split_whitespace().map_while(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_from_the_systems_files() {
        let system = "cpu  100 1 20 1000 30 2 3 4 50 0\ncpu0 1 1 1";
        let process = "77 (a (strange) name) S 1 77 77 0 -1 4194560 5 6 7 8 40 10 3 2 20 0 1 0 9";
        assert_eq!(ticks(system, process), Some(Ticks { all: 1160.0, working: 130.0, own: 55.0 }));
        assert_eq!(ticks("cpu", process), None);
    }

    #[test]
    fn the_share_of_others_is_of_all_cores() {
        let before = Ticks { all: 1000.0, working: 100.0, own: 50.0 };
        let after = Ticks { all: 1400.0, working: 400.0, own: 250.0 };
        assert_eq!(share(before, after), Some(25.0));
        assert_eq!(share(before, before), None);
        assert!(Others::note(25.0).is_some() && Others::note(1.0).is_none());
    }
}
