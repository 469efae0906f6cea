//! Contrastive views on one thread and on all threads, and on a GPU.

use qare_data::on_device::{ContrastiveTable, contrastive_views};
use qare_data::resize::Resizer;
use qare_data::views::ContrastiveView;
use qare_data::{Augmentation, DatasetName, Draw, Normalization, Purpose, Scratch, write_view};
use rayon::prelude::*;

use super::Bench;
use crate::backend::{HOST, Training};
use qare_lab::Result;

/// Number of images in a run; each gets one view.
const IMAGES: usize = 256;

pub fn measure(bench: &mut Bench) -> Result<()> {
    for side in [32, 64, 96] {
        let images = random_pixels(IMAGES, side);
        let size = 3 * side * side;
        let normalization = DatasetName::Cifar10.normalization();
        let mut out = vec![0.0; images.len()];
        let view = |scratch: &mut Scratch, index: usize, out: &mut [f32]| {
            let mut draw = Draw::new(1, Purpose::View, 0, index as u64, 0);
            let image = &images[index * size..(index + 1) * size];
            write_view(Augmentation::Contrastive, image, side, &mut draw, &normalization, scratch, out);
        };

        let mut scratch = Scratch::default();
        let one = bench.clock.measure(|| {
            out.chunks_exact_mut(size).enumerate().for_each(|(index, out)| view(&mut scratch, index, out));
            Ok(())
        })?;
        // Many enough that the cost of distributing them is negligible.
        let mut many = vec![0.0; 16 * images.len()];
        let all = bench.clock.measure(|| {
            many.par_chunks_exact_mut(size)
                .enumerate()
                .for_each_init(Scratch::default, |scratch, (index, out)| view(scratch, index % IMAGES, out));
            Ok(())
        })?;
        let key = |threads: &str| format!("views.{side}.{threads}");
        let label = |threads: &str| format!("view {side}×{side}, {threads}");
        bench.figures.seconds(key("one_thread"), label("one thread"), &one, IMAGES, Some("views"));
        let threads = format!("{} threads", rayon::current_num_threads());
        bench.figures.seconds(key("all_threads"), label(&threads), &all, 16 * IMAGES, Some("views"));
        if !HOST {
            on_device(bench, side, &images, &normalization)?;
        }
    }
    Ok(())
}

/// The two parts of a view that the device computes: the host's table, and upload and operations.
fn on_device(bench: &mut Bench, side: usize, images: &[u8], normalization: &Normalization) -> Result<()> {
    const VIEWS: usize = 2;
    let mut resizer = Resizer::default();
    let mut table = || {
        let mut table = ContrastiveTable::new(IMAGES, VIEWS, (side, side));
        for (index, image) in images.chunks_exact(3 * side * side).enumerate() {
            let draw = |view| Draw::new(1, Purpose::View, 0, index as u64, view);
            let choices = [0, 1].map(|view| ContrastiveView::draw(side, &mut draw(view)));
            table.set_image(index, image, &choices, &mut resizer);
        }
        table
    };
    let host = bench.clock.measure(|| {
        table();
        Ok(())
    })?;
    let ready = table();
    let device = bench.clock.measure(|| {
        contrastive_views::<Training>(ready.clone(), normalization, &bench.clock.device);
        Ok(())
    })?;
    let label = |part: &str| format!("view {side}×{side} on the device, {part}");
    let key = |part: &str| format!("views.{side}.{part}");
    let views = IMAGES * VIEWS;
    bench.figures.seconds(key("device_table"), label("its table on one thread"), &host, views, Some("views"));
    bench.figures.seconds(key("device"), label("upload and operations"), &device, views, Some("views"));
    Ok(())
}

/// Uniformly random planar pixels `[count, 3, side, side]`.
pub fn random_pixels(count: usize, side: usize) -> Vec<u8> {
    let mut pixels = vec![0; count * 3 * side * side];
    pixels.par_chunks_exact_mut(3 * side * side).enumerate().for_each(|(index, pixels)| {
        let mut draw = Draw::new(0, Purpose::Picture, 0, index as u64, side as u64);
        pixels.iter_mut().for_each(|pixel| *pixel = draw.below(256) as u8);
    });
    pixels
}
