//! Training images that are held out for the validation of metric learning.

use qare_data::{Draw, ImageSet, Purpose};

/// Least number of classes, or of images of a class, that are held out: retrieval needs one to find and one not to find.
const LEAST: usize = 2;

/// Divides labelled images into those to train on and those held out, a function of the images, the share and the seed.
///
/// If the classes of the test split are others, as in retrieval, the share is of the classes, so that the validation has classes that training
/// does not have either. Otherwise it is of the images of each class. At least two are held out, and none if fewer than two would remain, or if
/// the share is 0. Classes without images are left out of both parts.
pub fn hold_out(images: &ImageSet, test: &ImageSet, share: f64, seed: u64) -> (ImageSet, Option<ImageSet>) {
    let mut of_class = vec![Vec::new(); images.classes()];
    images.labels().iter().enumerate().for_each(|(image, label)| of_class[usize::from(*label)].push(image));
    of_class.retain(|images: &Vec<usize>| !images.is_empty());
    let draw = |stream: u64| Draw::new(seed, Purpose::HeldOutIdentities, 0, stream, 0);
    let mut is_held_out = vec![false; images.len()];
    if images.class_names() == test.class_names() {
        for (class, of_class) in of_class.iter_mut().enumerate() {
            draw(1 + class as u64).shuffle(of_class);
            let count = number(of_class.len(), share);
            of_class[..count].iter().for_each(|image| is_held_out[*image] = true);
        }
    } else {
        draw(0).shuffle(&mut of_class);
        let count = number(of_class.len(), share);
        of_class[..count].iter().flatten().for_each(|image| is_held_out[*image] = true);
    }
    let part = |held_out: bool| {
        let chosen: Vec<usize> = (0..images.len()).filter(|image| is_held_out[*image] == held_out).collect();
        images.select(&chosen).without_empty_classes()
    };
    let held_out = is_held_out.contains(&true).then(|| part(true));
    (part(false), held_out)
}

/// Returns how many of `count` are held out.
fn number(count: usize, share: f64) -> usize {
    if share == 0.0 || count < 2 * LEAST {
        0
    } else {
        ((share * count as f64).round() as usize).clamp(LEAST, count - LEAST)
    }
}
