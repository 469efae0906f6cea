//! The processor time that other processes take during a benchmark. Figures of a busy machine are not reliable.

/// Share in percent above which a note is printed.
const NOTED_SHARE: f64 = 5.0;

/// Least number of ticks for a share: over fewer, ticks that are not yet counted distort it.
const LEAST_TICKS: f64 = 100.0;

/// Processor times in clock ticks, from Linux's `/proc`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    /// All time of all cores, idle or not.
    all: f64,
    /// Busy time of all cores.
    working: f64,
    /// Time of this process and of the children it has waited for.
    own: f64,
}

/// Measures the processor time of other processes from [`OtherProcesses::watch`] on.
#[derive(Debug)]
pub struct OtherProcesses(Option<Ticks>);

impl OtherProcesses {
    pub fn watch() -> Self {
        Self(now())
    }

    /// The share of all cores' time that other processes took since the start, in percent.
    ///
    /// `None` if the system does not report it or too little time has passed.
    pub fn share(&self) -> Option<f64> {
        share(self.0?, now()?)
    }

    /// A note for the user if the share is large.
    pub fn note(share: f64) -> Option<String> {
        (share > NOTED_SHARE).then(|| {
            format!(
                "note: other processes took {share:.0} % of the processor meanwhile; these figures are not reliable"
            )
        })
    }
}

fn share(before: Ticks, after: Ticks) -> Option<f64> {
    let all = after.all - before.all;
    let others = (after.working - before.working) - (after.own - before.own);
    (all >= LEAST_TICKS).then(|| (100.0 * others / all).max(0.0))
}

fn now() -> Option<Ticks> {
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    let process = std::fs::read_to_string("/proc/self/stat").ok()?;
    ticks(&system, &process)
}

fn ticks(system: &str, process: &str) -> Option<Ticks> {
    // user, nice, system, idle, iowait, irq, softirq, steal; guest times are part of the first two.
    let cores: Vec<f64> = numbers(system.lines().next()?.strip_prefix("cpu")?).take(8).collect();
    let all: f64 = cores.iter().sum();
    let idle = cores.get(3)? + cores.get(4)?;
    // The name in parentheses may contain any character. The state and ten numbers follow it, then the times.
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
    fn the_share_is_of_all_cores() {
        let before = Ticks { all: 1000.0, working: 100.0, own: 50.0 };
        let after = Ticks { all: 1400.0, working: 400.0, own: 250.0 };
        assert_eq!(share(before, after), Some(25.0));
        assert_eq!(share(before, before), None);
        assert!(OtherProcesses::note(25.0).is_some() && OtherProcesses::note(1.0).is_none());
    }
}
