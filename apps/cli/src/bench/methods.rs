//! A training step of every method.

use qare_models::BackboneName;

use super::Bench;
use super::row::Row;
use super::trainer::Work;
use qare_lab::Result;
use qare_lab::methods::Method;

/// The methods of a quick benchmark.
const QUICK: [Method; 3] = [Method::SparseclrQare, Method::Rotationnet, Method::Relationnet];
const IMAGES: usize = 128;

pub fn measure(bench: &mut Bench) -> Result<()> {
    let options = bench.options.clone();
    let methods = match options.methods.as_slice() {
        [] if options.quick => &QUICK,
        [] => Method::ALL,
        chosen => chosen,
    };
    let backbones = options.chosen_backbones.clone().unwrap_or_else(|| vec![BackboneName::Conv4]);
    let side = options.sizes.first().copied().unwrap_or(32);
    for backbone in backbones {
        for images in options.chosen_batches.clone().unwrap_or_else(|| vec![IMAGES]) {
            for &method in methods.iter().filter(|method| **method != Method::Randomweights) {
                let network = options.network(backbone);
                let row = Row {
                    part: "methods",
                    key: format!("{network}.B{images}.{method}"),
                    label: format!("{method}, {network}, B = {images}"),
                    work: Work { side, ..Work::new(method, backbone, images, options.precision) },
                    embedding: false,
                };
                row.measure(bench)?;
            }
        }
    }
    Ok(())
}
