//! Training steps on ready-made views: forward, objective, backward, Adam.

use qare::{SetTerm, SimilarityFloor};
use qare_lab::Result;
use qare_lab::methods::Method;

use super::Bench;
use super::figure::{Unit, median};
use super::trainer::{Trainer, Work};

/// NT-Xent, SparseCLR, and SparseCLR with set terms.
const TRAININGS: [(&str, Method, SetTerm, SimilarityFloor); 7] = [
    ("simclr", Method::Simclr, SetTerm::Spectral, SimilarityFloor::Epsilon),
    ("sparseclr", Method::Sparseclr, SetTerm::Spectral, SimilarityFloor::Epsilon),
    ("sparseclr_qare", Method::SparseclrQare, SetTerm::Spectral, SimilarityFloor::Epsilon),
    ("sparseclr_qare_frobenius", Method::SparseclrQare, SetTerm::Frobenius, SimilarityFloor::Epsilon),
    ("sparseclr_qare_frobenius_no_floor", Method::SparseclrQare, SetTerm::Frobenius, SimilarityFloor::None),
    ("sparseclr_qare_centred", Method::SparseclrQare, SetTerm::Centred, SimilarityFloor::Epsilon),
    ("sparseclr_qare_centred_no_floor", Method::SparseclrQare, SetTerm::Centred, SimilarityFloor::None),
];
/// The place of SparseCLR without a set term, and the figures of the shares that the set terms after it have in a step.
const WITHOUT: usize = 1;
const SHARES: [(&str, &str); 5] = [
    ("qare_share", "QARe"),
    ("frobenius_share", "QARe by Frobenius norms"),
    ("frobenius_no_floor_share", "QARe by Frobenius norms, no floor"),
    ("centred_share", "QARe, centred"),
    ("centred_no_floor_share", "QARe, centred, no floor"),
];

pub fn measure(bench: &mut Bench) -> Result<()> {
    for backbone in bench.options.backbones.clone() {
        let (precision, network) = (bench.options.precision, bench.options.network(backbone));
        for images in bench.options.batches.clone() {
            let trainer = |(_, method, set_term, floor)| {
                let work = Work { set_term, floor, ..Work::new(method, backbone, images, precision) };
                Trainer::new(&work, &bench.clock.device)
            };
            let mut trainers = TRAININGS.into_iter().map(trainer).collect::<Result<Vec<_>>>()?;
            let mut steps: Vec<_> = trainers.iter_mut().map(|trainer| || trainer.step()).collect();
            let mut steps: Vec<&mut dyn FnMut() -> Result<()>> =
                steps.iter_mut().map(|step| step as &mut dyn FnMut() -> Result<()>).collect();
            let runs = bench.clock.measure_in_turn(&mut steps)?;

            let key = |name: &str| format!("step.{network}.B{images}.{name}");
            for ((name, ..), runs) in TRAININGS.iter().zip(&runs) {
                let label = format!("step of {name}, {network}, B = {images}");
                bench.figures.seconds(key(name), label, runs, 1, Some("steps"));
            }
            for ((name, term), with) in SHARES.iter().zip(&runs[WITHOUT + 1..]) {
                // Runs of one round, so that the machine's drift cancels.
                let shares = runs[WITHOUT].iter().zip(with).map(|(without, with)| 100.0 * (with - without) / with);
                let label = format!("share of {term} in a step, {network}, B = {images}");
                bench.figures.number(key(name), label, Unit::Percent, median(shares.collect()));
            }
        }
    }
    Ok(())
}
