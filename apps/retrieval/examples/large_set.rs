//! Ranks a large set of drawn embeddings and prints the figures and the time:
//! `cargo run --release -p qare-retrieval --example large_set -- [IMAGES [DIMENSIONS [IMAGES_OF_A_CLASS]]]`.

use std::time::Instant;

use qare_retrieval::{LabelledRows, Summary, rank_among_others};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<Vec<usize>, _>>()?;
    let argument = |place: usize, default: usize| arguments.get(place).copied().unwrap_or(default).max(1);
    let (images, dim, of_class) = (argument(0, 60_000), argument(1, 512), argument(2, 5));

    let mut draw = ChaCha8Rng::seed_from_u64(1);
    let mut embeddings = Vec::with_capacity(images * dim);
    let mut centre = Vec::new();
    for image in 0..images {
        if image % of_class == 0 {
            centre = (0..dim).map(|_| draw.random_range(-1.0f32..1.0)).collect();
        }
        embeddings.extend(centre.iter().map(|value| value + draw.random_range(-4.0f32..4.0)));
    }
    let labels: Vec<u32> = (0..images).map(|image| (image / of_class) as u32).collect();

    let started = Instant::now();
    let summary = Summary::of(&rank_among_others(&LabelledRows::new(&embeddings, dim, &labels)?))?;
    let seconds = started.elapsed().as_secs_f64();
    for k in [1, 10, 100, 1000] {
        println!("Recall@{k:<5} {:6.2} %", 100.0 * summary.recall_at(k));
    }
    println!("R-precision  {:6.2} %\nMAP@R        {:6.2} %", 100.0 * summary.r_precision, 100.0 * summary.map_at_r);
    println!("{images} images of {dim} dimensions: {seconds:.1} s on {} threads", rayon::current_num_threads());
    Ok(())
}
