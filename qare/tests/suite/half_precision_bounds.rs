//! How far the objectives of embeddings in half precision are from those of the same embeddings in f64, over many batches.
//!
//! Let x_i = z_i/‖z_i‖, s_ij = x_i·x_j, and W_ij = ∂L/∂s_ij + ∂L/∂s_ji. Then ∂L/∂x_i = Σ_j W_ij x_j, whose length is at most Σ_j |W_ij|.
//! Rounding to a type with unit roundoff u moves z_i by at most u‖z_i‖, so it moves x_i by at most u, and the value by at most u·T,
//! T = Σ_ij |W_ij|, to first order. T has a bound that does not depend on the embeddings:
//!
//! | term | T at most | because |
//! |---|---|---|
//! | NT-Xent | 4/t | for a row, Σ_j \|∂L/∂s_ij\| ≤ 2(1 − p)/t, of probabilities that sum to 1; their mean has weights that sum to 1 |
//! | SparseCLR | 4 | the same with sparsemax, without t |
//! | spectral, Frobenius | 8B/(B−1) | ‖S‖_F ≤ 2B, so ‖∂q/∂S_k‖_F ≤ 4/(K(B−1)), and Σ \|∂q/∂S\| ≤ B‖∂q/∂S‖_F |
//! | mean | 8B/(B−1) | 1ᵀS1/B ≤ 2B |
//! | centred | 4B/(B−1) | ‖JSJ‖_F ≤ B |
//! | uniformity | 8 | its weights are 4/K of numbers that sum to 1, for each of K sets |
//!
//! Floors only make T smaller. A gradient has no such bound in units of its norm. It is Σ_j W_ij x_j without its radial part, over ‖z_i‖: near
//! collapse, small differences of numbers of size T, and the rounded embeddings have others. So a gradient is compared with that of the rounded
//! embeddings. What the computation may lose is the rounding of the gradient, u of each entry; its underflow, over the loss scale; and what
//! f32 loses in sums of size T. Where f32 cannot tell whether a similarity is above the floor, there are two gradients.

use burn::tensor::{DType, FloatDType, Tensor};
use qare::*;

use crate::evaluation::{Flex, NdArray64, Outcome, Path, evaluate, of_type, random_rows, rounded};
use crate::golden::{ROUNDINGS, Scaled, underflow, with_loss_scale};
use crate::oracle::{Rows, unfloored};
use crate::set_terms::{alone, configs};

/// An objective, and its T: `pairwise` + `of_sets`·B/(B−1).
#[derive(Clone)]
struct Term {
    name: String,
    objective: ContrastiveObjective,
    pairwise: f64,
    of_sets: f64,
}

impl Term {
    fn total(&self, batch: &Batch) -> f64 {
        self.pairwise + self.of_sets * batch.images() / (batch.images() - 1.0)
    }
}

fn terms() -> Vec<Term> {
    let term = |name: &str, config: ContrastiveObjectiveConfig, pairwise, of_sets| Term {
        name: name.into(),
        objective: config.init().unwrap(),
        pairwise,
        of_sets,
    };
    let cold = NtXentConfig::new().with_temperature(0.2);
    let of_logs = ContrastiveObjectiveConfig::new(PairwiseConfig::NtXent(cold));
    let mut terms = vec![
        term("simclr", ContrastiveObjectiveConfig::simclr(), 8.0, 0.0),
        term("NT-Xent as a mean of logs", of_logs, 20.0, 0.0),
        term("sparseclr", ContrastiveObjectiveConfig::sparseclr(), 4.0, 0.0),
        term("simclr_qare", ContrastiveObjectiveConfig::simclr_qare(0.7, 1.5), 0.7 * 8.0, 1.5 * 8.0),
        term("sparseclr_qare", ContrastiveObjectiveConfig::sparseclr_qare(0.7, 1.5), 0.7 * 4.0, 1.5 * 8.0),
    ];
    terms.extend(configs().map(|config| Term {
        name: format!("{}, {:?}", config.set_term, config.similarity_floor),
        objective: alone(&config),
        pairwise: 0.0,
        of_sets: if config.set_term == SetTerm::Centred { 4.0 } else { 8.0 },
    }));
    terms
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Random,
    /// All rows near one direction, the nearer the smaller the number is.
    NearCollapse(f64),
    /// The views of an image near each other.
    Aligned,
    /// Images along axes: similarities around the floor.
    Orthogonal,
}

const FORMS: [Form; 6] = [
    Form::Random,
    Form::NearCollapse(0.3),
    Form::NearCollapse(0.1),
    Form::NearCollapse(0.03),
    Form::Aligned,
    Form::Orthogonal,
];

/// Rows and the number of views of each image.
struct Batch {
    rows: Rows,
    k: usize,
}

impl Batch {
    /// Of a form. 42 seeds have two to eight views, of six numbers of images.
    fn of(form: Form, seed: u64) -> Self {
        let k = 2 + seed as usize % 7;
        let images = [2, 3, 5, 8, 13, 24][seed as usize / 7 % 6];
        let dim = [8, 16, 33, 64][seed as usize % 4];
        let noise = random_rows(images * k, dim, 900 + seed);
        let centres = random_rows(images, dim, 4000 + seed);
        let near = |centre: &dyn Fn(usize) -> Vec<f64>, by: f64| -> Rows {
            let of = |(at, row): (usize, &Vec<f64>)| row.iter().zip(centre(at / k)).map(|(x, c)| by * x + c).collect();
            noise.iter().enumerate().map(of).collect()
        };
        let rows = match form {
            Form::Random => near(&|_| vec![0.0; dim], 1.0),
            Form::NearCollapse(by) => near(&|_| centres[0].clone(), by),
            Form::Aligned => near(&|image| centres[image].clone(), 0.1),
            Form::Orthogonal => near(&|image| (0..dim).map(|d| f64::from(d == image % dim)).collect(), 0.1),
        };
        Self { rows: rounded(&rows), k }
    }

    /// In half precision, and what f64 has of that.
    fn rounded_to(&self, dtype: FloatDType) -> (Tensor<Flex, 2>, Self) {
        let half = of_type::<Flex>(&self.rows, DType::F32).cast(dtype);
        let entries: Vec<f64> = half.to_data().iter::<f64>().collect();
        let rows = entries.chunks_exact(self.rows[0].len()).map(<[f64]>::to_vec).collect();
        (half, Self { rows, k: self.k })
    }

    fn images(&self) -> f64 {
        (self.rows.len() / self.k) as f64
    }

    fn shortest(&self) -> f64 {
        let lengths = self.rows.iter().map(|row| norm(row.iter().copied()));
        lengths.fold(f64::INFINITY, f64::min)
    }

    /// Whether f32 can tell on which side of the floor, 1e-8, each similarity is. It knows them to a few roundings.
    fn is_clear_of_the_floor(&self) -> bool {
        unfloored(&self.rows).iter().flatten().all(|similarity| (similarity - 1e-8).abs() > 8.0 * SINGLE)
    }

    /// In f64.
    fn outcome(&self, term: &Term) -> Outcome {
        evaluate::<NdArray64>(&term.objective, &self.rows, self.k, DType::F64, Path::Chosen).unwrap()
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

fn between(a: &[f64], b: &[f64]) -> f64 {
    norm(a.iter().zip(b).map(|(a, b)| a - b))
}

/// The unit roundoff of f32.
const SINGLE: f64 = 1.0 / 16_777_216.0;

/// How many roundings f32 may lose, of numbers of size T: the values of the terms lose up to 4.5 here, in sums of up to 64 products.
const LOST: f64 = 16.0;

/// What half precision is off from f64 on a batch.
struct Errors {
    /// How far rounding the embeddings moves the value, over u·T.
    moved: f64,
    /// How far the value is off that of the rounded embeddings, over what f32 may lose.
    value: f64,
    /// How far the gradient is, over what its rounding, its underflow and f32 may lose.
    gradient: f64,
}

/// The errors by a path; none if there are two gradients.
fn errors(
    term: &Term,
    batch: &Batch,
    (exact, _): &Outcome,
    (dtype, u): (FloatDType, f64),
    path: Path,
) -> Option<Errors> {
    let (half, of_half) = batch.rounded_to(dtype);
    if !of_half.is_clear_of_the_floor() {
        return None;
    }
    let total = term.total(batch);
    let (value, gradient) = of_half.outcome(term);
    let views = Views::new(batch.k).unwrap();
    let forward = |embeddings| match path {
        Path::Chosen => term.objective.forward(embeddings, views).unwrap().loss,
        Path::Tensors => term.objective.forward_generic(embeddings, views).unwrap().loss,
    };
    let Scaled { loss, gradient: found, scale } = with_loss_scale(&half, forward);
    let cut_off = underflow(dtype) / scale * (gradient.len() as f64).sqrt();
    let lost = LOST * SINGLE * total;
    let allowed = u * norm(gradient.iter().copied()) + cut_off + lost / of_half.shortest();
    Some(Errors {
        moved: (value - exact).abs() / (u * total),
        value: (loss - value).abs() / lost,
        gradient: between(&found, &gradient) / allowed,
    })
}

#[test]
fn half_precision_loses_what_rounding_does() {
    for term in terms() {
        let mut most = [0.0f64; 3];
        for form in FORMS {
            let mut compared = 0;
            for seed in 0..42 {
                let batch = Batch::of(form, seed);
                let exact = batch.outcome(&term);
                for (at, of) in ROUNDINGS.into_iter().enumerate() {
                    // Each path has all numbers of views and of images.
                    let path = [Path::Chosen, Path::Tensors][(seed + seed / 7 + at as u64) as usize % 2];
                    let Some(errors) = errors(&term, &batch, &exact, of, path) else { continue };
                    compared += 1;
                    let found = [errors.moved, errors.value, errors.gradient];
                    let what = format!("{}, {form:?}, seed {seed}, {:?}, {path:?}", term.name, of.0);
                    assert!(found.iter().all(|part| *part <= 1.0), "{what}: {found:.2?} of what is allowed");
                    most.iter_mut().zip(found).for_each(|(most, found)| *most = most.max(found));
                }
            }
            assert!(compared >= 80, "{}, {form:?}: {compared}", term.name);
        }
        println!("{}: {most:.2?} of what is allowed", term.name);
    }
}

/// Prints how far gradients of f16 move because the embeddings are rounded, relative to their norm, and how far they are off those of the
/// rounded embeddings with and without a loss scale.
#[test]
#[ignore = "prints figures"]
fn measure_what_moves_gradients() {
    let (dtype, _) = ROUNDINGS[0];
    for (term, form) in terms().into_iter().flat_map(|term| FORMS.map(|form| (term.clone(), form))) {
        let mut most = [0.0f64; 3];
        for seed in 0..42 {
            let batch = Batch::of(form, seed);
            let (half, of_half) = batch.rounded_to(dtype);
            let ((_, exact), (_, gradient)) = (batch.outcome(&term), of_half.outcome(&term));
            let views = Views::new(batch.k).unwrap();
            let forward = |embeddings| term.objective.forward(embeddings, views).unwrap().loss;
            let scaled = with_loss_scale(&half, forward).gradient;
            let embeddings = half.detach().require_grad();
            let unscaled = embeddings.grad(&forward(embeddings.clone()).backward()).unwrap();
            let unscaled: Vec<f64> = unscaled.into_data().iter::<f64>().collect();
            let length = norm(gradient.iter().copied());
            // Of two images, a gradient may be zero.
            if of_half.is_clear_of_the_floor() && length > 1e-6 {
                let found = [&exact, &scaled, &unscaled].map(|of| between(of, &gradient) / length);
                most.iter_mut().zip(found).for_each(|(most, found)| *most = most.max(found));
            }
        }
        let [moved, scaled, unscaled] = most;
        println!("{}, {form:?}: moved {moved:.1e}; off {scaled:.1e}, unscaled {unscaled:.1e}", term.name);
    }
}
