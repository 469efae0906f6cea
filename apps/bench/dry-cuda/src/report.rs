//! Counts of a training step, from the summaries of a shorter and of a longer run, and their limits.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::summary::Summary;

/// The runs of a training. The first one tunes and compiles kernels; the others differ in their steps only.
#[derive(Clone, Debug)]
pub struct Runs {
    /// The name of the training.
    pub name: String,
    /// Number of steps by which the longer run is longer.
    pub steps: u64,
    /// The run that tunes and compiles.
    pub first: Summary,
    /// The shorter run.
    pub short: Summary,
    /// The longer run.
    pub long: Summary,
}

/// What a step costs, as means over steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Launches of kernels.
    pub launches: f64,
    /// Copies to the device.
    pub uploads: f64,
    /// Bytes of these copies from pinned memory.
    pub pinned_bytes: f64,
    /// Bytes of these copies from other memory.
    pub pageable_bytes: f64,
    /// Copies to the host.
    pub reads: f64,
    /// Bytes of these copies.
    pub read_bytes: f64,
    /// How often the host waits: for an event, a stream or the device.
    pub synchronisations: f64,
}

impl Runs {
    /// Reads the summaries `NAME.first.json`, `NAME.short.json` and `NAME.long.json` of a folder.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn read(folder: &Path, name: &str, steps: u64) -> Result<Self, String> {
        let summary = |run: &str| {
            let path = folder.join(format!("{name}.{run}.json"));
            let shown = path.display();
            let text = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {shown}: {error}"))?;
            Summary::parse(&text).map_err(|error| format!("{shown}: {error}"))
        };
        Ok(Self {
            name: name.into(),
            steps,
            first: summary("first")?,
            short: summary("short")?,
            long: summary("long")?,
        })
    }

    /// What the steps cost by which the longer run is longer.
    fn more(&self) -> Summary {
        self.long.since(&self.short)
    }

    fn mean(&self, total: u64) -> f64 {
        total as f64 / self.steps as f64
    }

    /// Returns the counts of a step.
    pub fn step(&self) -> Step {
        let more = self.more();
        let mean = |kind: &str| self.mean(more.count(kind));
        Step {
            launches: mean("launches"),
            uploads: mean("uploads"),
            pinned_bytes: mean("pinned_uploaded_bytes"),
            pageable_bytes: mean("pageable_uploaded_bytes"),
            reads: mean("reads"),
            read_bytes: mean("read_bytes"),
            synchronisations: mean("event_synchronisations")
                + mean("stream_synchronisations")
                + mean("device_synchronisations"),
        }
    }

    /// Returns a section of a step, the largest numbers first.
    pub fn largest(&self, section: &str, count: usize) -> Vec<(String, f64)> {
        let more = self.more();
        let mut means: Vec<_> = more.section(section).collect();
        // The sort is stable: equal numbers stay in the order of their names.
        means.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
        means.into_iter().take(count).map(|(name, total)| (name.to_string(), self.mean(total))).collect()
    }

    /// Returns what failed in any run: kernels that do not compile and calls that a GPU refuses, with the number of times.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        let mut failures = BTreeMap::new();
        for (name, times) in [&self.first, &self.short, &self.long].into_iter().flat_map(|run| run.section("failures"))
        {
            *failures.entry(name.to_string()).or_default() += times;
        }
        failures
    }
}

/// Formats the counts of trainings as a table.
pub fn table(trainings: &[Runs]) -> String {
    let mut table = String::from(
        "| training | launches | uploads | KB pinned | KB not pinned | reads | KB read | waits | kernels | compiled | NVRTC s | failures |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for runs in trainings {
        let Step { launches, uploads, pinned_bytes, pageable_bytes, reads, read_bytes, synchronisations } = runs.step();
        let (first, failures) = (&runs.first, runs.failures().values().sum::<u64>());
        let _ = writeln!(
            table,
            "| {} | {launches:.2} | {uploads:.2} | {:.1} | {:.1} | {reads:.2} | {:.1} | {synchronisations:.2} | {} | {} | {:.0} | {failures} |",
            runs.name,
            pinned_bytes / 1e3,
            pageable_bytes / 1e3,
            read_bytes / 1e3,
            first.count("modules"),
            first.count("compilations"),
            first.count("compilation_microseconds") as f64 / 1e6,
        );
    }
    table
}

/// Formats the kernels and copies of a step of a training, the most frequent first.
pub fn details(runs: &Runs, count: usize) -> String {
    let mut text = format!("{}, a step:\n", runs.name);
    for (title, section) in
        [("launches", "kernels"), ("uploads by bytes", "upload_sizes"), ("reads by bytes", "read_sizes")]
    {
        let _ = writeln!(text, "  {title}");
        for (name, mean) in runs.largest(section, count) {
            let _ = writeln!(text, "    {mean:8.2}  {name}");
        }
    }
    for (failure, times) in runs.failures() {
        let _ = writeln!(text, "  failed {times} times: {failure}");
    }
    text
}

/// The most that a step of each training may cost. A line of the file is: training, launches, uploads, reads, waits, failures.
#[derive(Clone, Debug, Default)]
pub struct Limits(BTreeMap<String, [f64; 5]>);

/// The limited numbers, in the order of the file.
const LIMITED: [&str; 5] = ["launches", "uploads", "reads", "waits", "failures"];

impl Limits {
    /// Parses a file. Text after `#` is a comment.
    ///
    /// # Errors
    /// If a line has another form, or a training has two.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut limits = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(name) = words.next() else { continue };
            let wrong =
                || format!("line {}, `{line}`: expected a training and the limits {}", number + 1, LIMITED.join(", "));
            let values: Vec<f64> = words
                .map(|word| word.parse().ok().filter(|limit| *limit >= 0.0))
                .collect::<Option<_>>()
                .ok_or_else(wrong)?;
            let values = values.try_into().map_err(|_| wrong())?;
            if limits.insert(name.to_string(), values).is_some() {
                return Err(format!("line {}: a second line of {name}", number + 1));
            }
        }
        Ok(Self(limits))
    }

    /// Returns what is above its limit, one message each.
    pub fn exceeded(&self, runs: &Runs) -> Vec<String> {
        let name = &runs.name;
        let Some(limits) = self.0.get(name) else { return vec![format!("{name}: has no limits")] };
        let Step { launches, uploads, reads, synchronisations, .. } = runs.step();
        let failures = runs.failures().values().sum::<u64>() as f64;
        let found = [launches, uploads, reads, synchronisations, failures];
        let mut exceeded: Vec<_> = LIMITED
            .into_iter()
            .zip(found.into_iter().zip(limits))
            .filter(|(_, (found, limit))| found > limit)
            .map(|(what, (found, limit))| format!("{name}: {found} {what}, expected at most {limit}"))
            .collect();
        // A run that trains nothing costs nothing.
        if launches < 1.0 {
            exceeded.push(format!("{name}: no step launches a kernel"));
        }
        exceeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of 2 and 6 steps, after 100 launches at the start, with `reads` reads in 4 steps.
    fn runs(reads: u64) -> Runs {
        let of = |steps: u64, reads: u64| {
            let mut summary = Summary::default();
            summary.add("counts", "launches", 100 + 30 * steps);
            summary.add("counts", "reads", 7 + reads);
            summary.add("counts", "event_synchronisations", 2 * steps);
            summary.add("counts", "device_synchronisations", steps);
            summary.add("kernels", "often", 20 * steps);
            summary.add("kernels", "seldom", 100 + 10 * steps);
            summary.add("kernels", "at_start", 5);
            summary
        };
        Runs { name: "simclr".into(), steps: 4, first: of(1, 0), short: of(2, 0), long: of(6, reads) }
    }

    #[test]
    fn what_is_done_once_is_not_counted() {
        let step = runs(2).step();
        assert_eq!((step.launches, step.reads, step.synchronisations, step.uploads), (30.0, 0.5, 3.0, 0.0));
        assert_eq!(runs(0).largest("kernels", 9), [("often".to_string(), 20.0), ("seldom".to_string(), 10.0)]);
        assert_eq!(runs(0).largest("kernels", 1).len(), 1);
        assert!(table(&[runs(2)]).contains("| simclr | 30.00 | 0.00 | 0.0 | 0.0 | 0.50 |"));
        assert!(details(&runs(0), 9).contains("   20.00  often\n"));
    }

    #[test]
    fn every_number_above_its_limit_is_named() {
        let limits = |text: &str| Limits::parse(text).unwrap();
        let fits = limits("# training launches uploads reads waits failures\nsimclr 30 0 0.5 3 0 # measured\n");
        assert!(fits.exceeded(&runs(2)).is_empty());
        assert_eq!(fits.exceeded(&runs(3)), ["simclr: 0.75 reads, expected at most 0.5"]);
        let mut failing = runs(2);
        failing.first.add("failures", "a kernel: does not compile", 2);
        assert_eq!(fits.exceeded(&failing), ["simclr: 2 failures, expected at most 0"]);
        let none = limits("simclr 0 0 0 0 0");
        assert_eq!(none.exceeded(&runs(2)).len(), 3);
        assert_eq!(limits("").exceeded(&runs(2)), ["simclr: has no limits"]);
        let idle = Runs { long: runs(0).short, ..runs(0) };
        assert_eq!(fits.exceeded(&idle), ["simclr: no step launches a kernel"]);
    }

    #[test]
    fn limits_of_another_form_are_refused() {
        for text in
            ["simclr 1 2 3 4", "simclr 1 2 3 4 5 6", "simclr 1 2 x 4 5", "simclr 1 2 -3 4 5", "simclr NaN 2 3 4 5"]
        {
            assert!(Limits::parse(text).unwrap_err().starts_with("line 1, "), "{text}");
        }
        assert_eq!(Limits::parse("a 1 1 1 1 1\na 1 1 1 1 1").unwrap_err(), "line 2: a second line of a");
    }
}
