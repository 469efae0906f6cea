//! Loss and gradient of the objectives on random embeddings, over B and over K, and how their cost grows.

use burn::tensor::{Distribution, Tensor};
use qare::{ContrastiveObjectiveConfig, ObjectiveError, QareConfig, SetTerm, SimilarityFloor, Views};

use super::Bench;
use super::figure::Unit;
use crate::backend::Training;
use qare_lab::{LabError, Result};

const DIM: usize = 64;
/// The smallest B. K grows at this B.
const FEW_IMAGES: usize = 64;
const FEW_VIEWS: usize = 2;

type Embeddings = Tensor<Training, 2>;
type Loss = Box<dyn Fn(Embeddings, Views) -> std::result::Result<Tensor<Training, 1>, ObjectiveError>>;

/// An objective to time.
struct Term {
    name: &'static str,
    /// The largest B of an objective that is linear in B, in place of `--max-batch`.
    max_batch: Option<usize>,
    loss: Loss,
}

fn terms() -> Vec<Term> {
    let objective = |name, config: ContrastiveObjectiveConfig| {
        let objective = config.init().expect("the numbers of these are in range");
        let loss: Loss = Box::new(move |z, views| Ok(objective.forward(z, views)?.loss));
        Term { name, max_batch: None, loss }
    };
    let with_set_term = |name, set_term| {
        let qare = QareConfig::new().with_set_term(set_term);
        objective(name, ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0).with_qare(Some(qare)))
    };
    let set_term = |name, max_batch, config: QareConfig| {
        let qare = config.init();
        let loss: Loss = Box::new(move |z, views| qare.forward(z, views));
        Term { name, max_batch, loss }
    };
    vec![
        objective("simclr", ContrastiveObjectiveConfig::simclr()),
        objective("simclr_qare", ContrastiveObjectiveConfig::simclr_qare(1.0, 1.0)),
        objective("sparseclr", ContrastiveObjectiveConfig::sparseclr()),
        objective("sparseclr_qare", ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0)),
        with_set_term("sparseclr_qare_frobenius", SetTerm::Frobenius),
        with_set_term("sparseclr_qare_centred", SetTerm::Centred),
        set_term("qare", None, QareConfig::new()),
        set_term("qare_no_floor", Some(1 << 16), QareConfig::new().with_similarity_floor(SimilarityFloor::None)),
        set_term("qare_frobenius", None, QareConfig::new().with_set_term(SetTerm::Frobenius)),
        set_term(
            "qare_frobenius_no_floor",
            Some(1 << 16),
            QareConfig::new().with_set_term(SetTerm::Frobenius).with_similarity_floor(SimilarityFloor::None),
        ),
        set_term("qare_centred", None, QareConfig::new().with_set_term(SetTerm::Centred)),
        set_term(
            "qare_centred_no_floor",
            Some(1 << 16),
            QareConfig::new().with_set_term(SetTerm::Centred).with_similarity_floor(SimilarityFloor::None),
        ),
    ]
}

pub fn measure(bench: &mut Bench) -> Result<()> {
    let doubled = |from: usize, to: usize| {
        std::iter::successors(Some(from), |size| Some(2 * size)).take_while(move |size| *size <= to)
    };
    let (max_batch, max_views) = (bench.options.max_batch, bench.options.max_views);
    for term in terms() {
        let over_images = doubled(FEW_IMAGES, term.max_batch.filter(|_| !bench.options.quick).unwrap_or(max_batch))
            .map(|images| Ok((images, seconds(bench, &term, images, FEW_VIEWS)?)))
            .collect::<Result<Vec<_>>>()?;
        let over_views = doubled(2 * FEW_VIEWS, max_views)
            .map(|views| Ok((views, seconds(bench, &term, FEW_IMAGES, views)?)))
            .collect::<Result<Vec<_>>>()?;
        // Constant costs dominate below this size.
        exponent(bench, term.name, "B", over_images.iter().filter(|(images, _)| *images >= 256));
        exponent(bench, term.name, "K", over_views.iter());
    }
    Ok(())
}

/// Returns the median time of loss and gradient.
fn seconds(bench: &mut Bench, term: &Term, images: usize, views: usize) -> Result<f64> {
    let embeddings =
        Embeddings::random([views * images, DIM], Distribution::Normal(0.0, 1.0), &bench.clock.device).require_grad();
    let views = Views::new(views).map_err(failed)?;
    let runs = bench.clock.measure(|| {
        let gradients = (term.loss)(embeddings.clone(), views).map_err(failed)?.backward();
        match embeddings.grad(&gradients) {
            Some(_) => Ok(()),
            None => Err(LabError::Failed(format!("{} has no gradient", term.name))),
        }
    })?;
    let (name, views) = (term.name, views.count());
    let key = format!("objectives.{name}.B{images}.K{views}");
    let label = format!("{name} loss and gradient, B = {images}, K = {views}");
    Ok(bench.figures.seconds(key, label, &runs, 1, None))
}

fn failed(error: ObjectiveError) -> LabError {
    LabError::Failed(error.to_string())
}

/// Records the exponent with which times grow with the size.
fn exponent<'a>(bench: &mut Bench, name: &str, of: &str, times: impl Iterator<Item = &'a (usize, f64)>) {
    let points: Vec<(f64, f64)> = times.map(|(size, seconds)| ((*size as f64).ln(), seconds.ln())).collect();
    if points.len() >= 2 {
        let key = format!("objectives.{name}.exponent_{of}");
        let label = format!("{name}: cost grows as {of} to the power of");
        bench.figures.number(key, label, Unit::Number, slope(&points));
    }
}

/// Returns the slope of the least-squares line.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points
        .iter()
        .map(|point| ((point.0 - x) * (point.1 - y), (point.0 - x) * (point.0 - x)))
        .fold((0.0, 0.0), |sums, terms| (sums.0 + terms.0, sums.1 + terms.1));
    above / below
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn the_exponent_of_a_power_is_found() {
        let points: Vec<(f64, f64)> =
            [256.0f64, 512.0, 1024.0].iter().map(|size| (size.ln(), (3e-9 * size.powf(2.5)).ln())).collect();
        assert!((slope(&points) - 2.5).abs() < 1e-9);
    }
}
