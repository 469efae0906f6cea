//! Training steps on ready-made views: forward, objective, backward, Adam.

use super::Bench;
use super::figure::{Unit, median};
use super::trainer::Trainer;
use qare_lab::Result;
use qare_lab::methods::Method;

/// NT-Xent, and SparseCLR without and with the set term.
const METHODS: [Method; 3] = [Method::Simclr, Method::Sparseclr, Method::SparseclrQare];

pub fn measure(bench: &mut Bench) -> Result<()> {
    for backbone in bench.options.backbones.clone() {
        let (precision, network) = (bench.options.precision, bench.options.network(backbone));
        for images in bench.options.batches.clone() {
            let mut trainers = METHODS
                .into_iter()
                .map(|method| Trainer::new(method, backbone, images, precision, &bench.clock.device))
                .collect::<Result<Vec<_>>>()?;
            let mut steps: Vec<_> = trainers.iter_mut().map(|trainer| || trainer.step()).collect();
            let mut steps: Vec<&mut dyn FnMut() -> Result<()>> =
                steps.iter_mut().map(|step| step as &mut dyn FnMut() -> Result<()>).collect();
            let runs = bench.clock.measure_in_turn(&mut steps)?;

            let key = |name: &str| format!("step.{network}.B{images}.{name}");
            for (method, runs) in METHODS.iter().zip(&runs) {
                let label = format!("step of {method}, {network}, B = {images}");
                bench.figures.seconds(key(method.as_str()), label, runs, 1, Some("steps"));
            }
            // Pairs of consecutive runs, so that the machine's drift cancels.
            let shares = runs[1].iter().zip(&runs[2]).map(|(without, with)| 100.0 * (with - without) / with);
            let label = format!("share of QARe in a step, {network}, B = {images}");
            bench.figures.number(key("qare_share"), label, Unit::Percent, median(shares.collect()));
        }
    }
    Ok(())
}
