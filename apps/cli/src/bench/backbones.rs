//! A training step and a forward pass of every backbone, on images of several sizes.

use qare_models::BackboneName;

use super::Bench;
use super::row::Row;
use super::trainer::Work;
use qare_lab::Result;
use qare_lab::methods::Method;

/// The cheapest objective, so that the backbone takes nearly all of a step.
const METHOD: Method = Method::Simclr;
/// Pixels of an image's side, and the number of images in a batch.
const SIZES: [(usize, usize); 4] = [(32, 64), (64, 32), (96, 16), (224, 8)];
/// The rows of a quick benchmark.
const QUICK: [(BackboneName, usize); 4] = [
    (BackboneName::Conv4, 32),
    (BackboneName::Resnet8, 32),
    (BackboneName::Resnet18, 32),
    (BackboneName::Resnet18, 96),
];

/// Whether a backbone is measured on images of a size unless the caller chooses: the CIFAR ResNets, whose maps stay large, on
/// small images only.
fn is_measured(backbone: BackboneName, side: usize, quick: bool) -> bool {
    match backbone {
        _ if quick => QUICK.contains(&(backbone, side)),
        BackboneName::Conv4 | BackboneName::Resnet18 | BackboneName::Resnet34 | BackboneName::Resnet50 => true,
        BackboneName::Resnet32 => side <= 64,
        _ => side == 32,
    }
}

pub fn measure(bench: &mut Bench) -> Result<()> {
    let options = bench.options.clone();
    let sizes = if options.sizes.is_empty() { SIZES.map(|(side, _)| side).to_vec() } else { options.sizes.clone() };
    for &backbone in options.chosen_backbones.as_deref().unwrap_or(&BackboneName::ALL) {
        for &side in &sizes {
            let all_chosen = options.chosen_backbones.is_some() && !options.sizes.is_empty();
            if !all_chosen && !is_measured(backbone, side, options.quick) {
                continue;
            }
            let known =
                SIZES.into_iter().rev().find(|(size, _)| *size <= side).map_or(SIZES[0].1, |(_, images)| images);
            for images in options.chosen_batches.clone().unwrap_or_else(|| vec![known]) {
                let network = options.network(backbone);
                let row = Row {
                    part: "backbones",
                    key: format!("{network}.{side}px.B{images}"),
                    label: format!("{network}, {side}×{side}"),
                    work: Work { side, ..Work::new(METHOD, backbone, images, options.precision) },
                    embedding: true,
                };
                row.measure(bench)?;
            }
        }
    }
    Ok(())
}
