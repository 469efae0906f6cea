//! `qare bench`: measures views, photographs, batches, objectives, training steps, probes and epochs on this machine.

mod backbones;
mod child;
mod clock;
mod compare;
mod epoch;
mod figure;
mod loader;
mod machine;
mod memory;
mod methods;
mod objectives;
mod options;
mod other_processes;
mod photograph;
mod photographs;
mod plot;
mod probe;
mod report;
mod row;
mod step;
mod table;
mod trainer;
mod views;

use clap::ValueEnum;

use crate::backend::{NAME, Plain, device};
use crate::cli::BenchArgs;
use crate::output::print_line;
use clock::Clock;
use figure::{Figures, Unit};
use options::Options;
use other_processes::OtherProcesses;
use qare_lab::{LabError, Result};
use report::Report;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Contrastive views of 32, 64 and 96 pixels, on one thread and on all
    Views,
    /// Decoding photographs of 500×375, and contrastive views of them, at 96 and 224 pixels, on one thread and on two, with memory
    Photographs,
    /// Batches of views from the loader alone
    Loader,
    /// Loss and gradient over batch sizes and numbers of views
    Objectives,
    /// Training steps over backbones and batch sizes, and the share of QARe in them
    Step,
    /// A training step and the features of every backbone on images of 32 to 224 pixels, with peak memory
    Backbones,
    /// A training step of every method, with peak memory
    Methods,
    /// Feature extraction and the classifier's training
    Probe,
    /// One epoch on CIFAR-10 as `pretrain` runs it, with its peak memory
    Epoch,
    /// Growth of memory over many steps
    Memory,
    /// All of these
    All,
}

impl Part {
    const MEASURED: [Part; 10] = [
        Part::Views,
        Part::Photographs,
        Part::Loader,
        Part::Objectives,
        Part::Step,
        Part::Backbones,
        Part::Methods,
        Part::Probe,
        Part::Epoch,
        Part::Memory,
    ];

    /// Measures the part and records the processor time that other processes took meanwhile.
    fn measure_with_load(self, bench: &mut Bench) -> Result<()> {
        let others = OtherProcesses::watch();
        self.measure(bench)?;
        if let Some(share) = others.share() {
            let part = self.to_possible_value().map_or(String::new(), |value| value.get_name().to_string());
            let label = format!("other processes' share of the processor, {part}");
            bench.figures.number(format!("others.{part}"), label, Unit::Percent, share);
            if let Some(note) = OtherProcesses::note(share) {
                print_line(note);
            }
        }
        Ok(())
    }

    fn measure(self, bench: &mut Bench) -> Result<()> {
        match self {
            Part::Views => views::measure(bench),
            Part::Photographs => photographs::measure(bench),
            Part::Loader => loader::measure(bench),
            Part::Objectives => objectives::measure(bench),
            Part::Step => step::measure(bench),
            Part::Backbones => backbones::measure(bench),
            Part::Methods => methods::measure(bench),
            Part::Probe => probe::measure(bench),
            Part::Epoch => epoch::measure(bench),
            Part::Memory => memory::measure(bench),
            Part::All => Part::MEASURED.into_iter().try_for_each(|part| part.measure(bench)),
        }
    }
}

/// A running benchmark.
struct Bench {
    options: Options,
    clock: Clock,
    figures: Figures,
}

/// Measures the requested parts, or compares the files of earlier benchmarks.
pub fn bench(args: BenchArgs) -> Result<()> {
    let plot = args.plot.as_deref().map(plot::PlotFile::new).transpose()?;
    if !args.compare.is_empty() {
        return compare::compare(&args.compare, args.markdown.as_deref(), plot.as_ref());
    }
    let options = Options::of(&args)?;
    let mut report = Report::start(args.json.as_deref().filter(|_| args.add))?;
    if let Some(path) = &args.json {
        report::writable(path)?;
    }
    if args.parts.contains(&Part::Epoch) && options.data_dir.is_none() {
        return Err(LabError::Usage("the part epoch needs CIFAR-10: name its folder with --data-dir DIR".into()));
    }
    let device = device(options.device)?;
    options.precision.require::<Plain>(NAME, &device)?;
    let clock = Clock { seconds: options.seconds, least: if args.quick { 2 } else { 3 }, device };
    let mut bench = Bench { options, clock, figures: Figures::default() };
    print_line(report.head());
    let requested = |part: &Part| args.parts.is_empty() || args.parts.contains(part) || args.parts.contains(&Part::All);
    for part in Part::MEASURED.into_iter().filter(requested) {
        part.measure_with_load(&mut bench)?;
        report.add(bench.figures.take(), args.least);
        if let Some(path) = &args.json {
            report.write(path)?;
        }
    }
    match plot {
        Some(plot) => plot.draw(&[report]),
        None => Ok(()),
    }
}
