//! The random choices of a view in words.

use super::crop::CropBox;
use super::geometric_views::{AffineView, CropView, FlipView, ResizedCropView};
use super::views::{Augmentation, ColorChange, ContrastiveView};
use crate::draw::Draw;

/// Describes the choices of the view that [`write_view`](super::write_view) or [`write_view_of`](super::write_view_of) makes of an image of
/// this height and width with the same `draw`, a few words in each line.
///
/// # Panics
/// If the image is not a square, and the augmentation [draws no crops](Augmentation::draws_crops).
pub fn describe_view(augmentation: Augmentation, size: (usize, usize), draw: &mut Draw) -> Vec<String> {
    let side = size.0;
    assert!(side == size.1 || augmentation.draws_crops(), "a view of {size:?} pixels");
    let flipped = |flip: bool| flip.then(|| "flip".to_string());
    let cropped = |crop: CropBox| format!("crop {}x{}+{}+{}", crop.width, crop.height, crop.left, crop.top);
    match augmentation {
        Augmentation::None => vec!["as it is".into()],
        Augmentation::Contrastive => {
            let ContrastiveView { crop, flip, jitter, grayscale } = ContrastiveView::draw_of(size, draw);
            let mut lines = vec![cropped(crop)];
            lines.extend(flipped(flip));
            if let Some(jitter) = jitter {
                let change = |change: ColorChange| match change {
                    ColorChange::Brightness => format!("b {:.2}", jitter.brightness),
                    ColorChange::Contrast => format!("c {:.2}", jitter.contrast),
                    ColorChange::Saturation => format!("s {:.2}", jitter.saturation),
                    ColorChange::Hue => format!("h {:+.2}", jitter.hue),
                };
                let [first, second, third, fourth] = jitter.order.map(change);
                lines.extend([format!("{first} {second}"), format!("{third} {fourth}")]);
            }
            lines.extend(grayscale.then(|| "gray".to_string()));
            lines
        }
        Augmentation::Crop => {
            let CropView { crop, flip } = CropView::draw(side, draw);
            let moved = |start: usize| crop.padding as i64 - start as i64;
            [format!("move {:+} {:+}", moved(crop.left), moved(crop.top))].into_iter().chain(flipped(flip)).collect()
        }
        Augmentation::ResizedCrop { crop, flip } => {
            let ResizedCropView { crop, flip } = ResizedCropView::draw_of(size, crop, flip, draw);
            std::iter::once(cropped(crop)).chain(flipped(flip)).collect()
        }
        Augmentation::Flip => vec![flipped(FlipView::draw(draw).flip).unwrap_or("no flip".into())],
        Augmentation::Affine { erase } => {
            let AffineView { flip, affine, erased } = AffineView::draw(side, erase, draw);
            let mut lines: Vec<String> = flipped(flip).into_iter().collect();
            if let Some(affine) = affine {
                lines.push(format!("turn {:.0} x{:.2}", affine.angle, affine.scale));
                lines.push(format!("move {:+} {:+}", affine.right, affine.down));
                lines.push(format!("shear {:.0}", affine.shear));
            }
            lines.extend(erased.map(|area| format!("erase {}+{}+{}", area.width, area.left, area.top)));
            if lines.is_empty() { vec!["as it is".into()] } else { lines }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;
    use crate::transforms::{Normalization, RandomErasing, Scratch, write_view};

    /// A view whose words say that nothing but a flip happens is the image or its mirror image.
    #[test]
    fn words_say_what_the_view_is() {
        let side = 12;
        let image: Vec<u8> = (0..3 * side * side).map(|value| (value * 7 % 251) as u8).collect();
        let plain = Normalization { mean: [0.0; 3], std: [1.0; 3] };
        let (mut moved, mut described) = (0, 0);
        for augmentation in [
            Augmentation::None,
            Augmentation::Flip,
            Augmentation::Crop,
            Augmentation::Contrastive,
            Augmentation::Affine { erase: Some(RandomErasing::CIFAR10) },
        ] {
            for index in 0..200 {
                let draw = || Draw::new(1, Purpose::View, 0, index, 0);
                let words = describe_view(augmentation, (side, side), &mut draw()).join(", ");
                let mut out = vec![0.0; image.len()];
                write_view(augmentation, &image, side, &mut draw(), &plain, &mut Scratch::default(), &mut out);
                let out: Vec<u8> = out.iter().map(|value| (255.0 * value).round() as u8).collect();
                let mirrored: Vec<u8> = image.chunks(side).flat_map(|row| row.iter().rev().copied()).collect();
                match words.as_str() {
                    "as it is" | "no flip" | "move +0 +0" | "crop 12x12+0+0" => assert_eq!(out, image, "{words}"),
                    "flip" | "move +0 +0, flip" | "crop 12x12+0+0, flip" => assert_eq!(out, mirrored, "{words}"),
                    _ => {
                        moved += usize::from(out != image && out != mirrored);
                        described += 1;
                    }
                }
            }
        }
        // Rarely, a described change has no effect, such as a turn by less than half a pixel.
        assert!(described > 400 && moved * 100 > described * 95, "{moved} of {described}");
    }
}
