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
    let mut of_class = images.of_each_class();
    of_class.retain(|images| !images.is_empty());
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
    if !is_held_out.contains(&true) {
        return (images.clone().without_empty_classes(), None);
    }
    let part = |held_out: bool| {
        let chosen: Vec<usize> = (0..images.len()).filter(|image| is_held_out[*image] == held_out).collect();
        images.select(&chosen).without_empty_classes()
    };
    (part(false), Some(part(true)))
}

/// Returns how many of `count` are held out.
fn number(count: usize, share: f64) -> usize {
    if share == 0.0 || count < 2 * LEAST {
        0
    } else {
        ((share * count as f64).round() as usize).clamp(LEAST, count - LEAST)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Images of one pixel, whose value is their number, of classes with these sizes.
    fn images(sizes: &[usize], name: &str) -> ImageSet {
        let labels: Vec<u16> =
            sizes.iter().enumerate().flat_map(|(class, size)| std::iter::repeat_n(class as u16, *size)).collect();
        let pixels = (0..labels.len()).flat_map(|image| [image as u8; 3]).collect();
        ImageSet::new(pixels, labels, 1, (0..sizes.len()).map(|class| format!("{name}{class}")).collect()).unwrap()
    }

    fn numbers(set: &ImageSet) -> BTreeSet<u8> {
        (0..set.len()).map(|image| set.pixels(image)[0]).collect()
    }

    fn classes(set: &ImageSet) -> BTreeSet<String> {
        set.labels().iter().map(|label| set.class_names()[usize::from(*label)].clone()).collect()
    }

    #[test]
    fn whole_classes_are_held_out_where_the_test_split_has_others() {
        let all = images(&[5; 20], "a");
        for seed in 0..10 {
            let (train, held_out) = hold_out(&all, &images(&[5; 3], "b"), 0.25, seed);
            let held_out = held_out.unwrap();
            assert_eq!((train.len(), train.classes(), held_out.len(), held_out.classes()), (75, 15, 25, 5));
            assert!(classes(&train).is_disjoint(&classes(&held_out)));
            assert_eq!(numbers(&train).union(&numbers(&held_out)).count(), 100);
            // Labels are numbered without gaps and keep their names.
            assert_eq!(train.labels().iter().collect::<BTreeSet<_>>().len(), 15);
            for (image, label) in train.labels().iter().enumerate() {
                let number = usize::from(train.pixels(image)[0]);
                assert_eq!(train.class_names()[usize::from(*label)], format!("a{}", number / 5));
            }
        }
        let of_seed = |seed| classes(&hold_out(&all, &images(&[5; 3], "b"), 0.25, seed).0);
        assert_eq!(of_seed(1), of_seed(1));
        assert_ne!(of_seed(1), of_seed(2));
    }

    #[test]
    fn images_of_each_class_are_held_out_where_the_test_split_has_the_same() {
        let all = images(&[20, 40, 3], "a");
        let (train, held_out) = hold_out(&all, &images(&[1, 1, 1], "a"), 0.1, 1);
        let held_out = held_out.unwrap();
        let count = |set: &ImageSet, label: u16| set.labels().iter().filter(|found| **found == label).count();
        assert_eq!([0, 1, 2].map(|label| count(&train, label)), [18, 36, 3]);
        assert_eq!([0, 1].map(|label| count(&held_out, label)), [2, 4]);
        assert!(numbers(&train).is_disjoint(&numbers(&held_out)));
    }

    #[test]
    fn nothing_is_held_out_of_too_few_or_without_a_share() {
        let other = images(&[2, 2], "b");
        for (sizes, share) in [(&[5, 5, 5][..], 0.5), (&[5; 20], 0.0)] {
            let (train, held_out) = hold_out(&images(sizes, "a"), &other, share, 1);
            assert_eq!((train.len(), held_out.is_none()), (5 * sizes.len(), true));
        }
        // Two at least, and two remain at least.
        for (share, expected) in [(0.01, 2), (0.9, 2)] {
            let (train, held_out) = hold_out(&images(&[5; 4], "a"), &other, share, 1);
            assert_eq!((train.classes(), held_out.unwrap().classes()), (2, expected));
        }
        // A class without images is in neither part.
        let (train, held_out) = hold_out(&images(&[5, 0, 5, 5, 5], "a"), &other, 0.5, 1);
        assert_eq!((train.classes(), held_out.unwrap().classes()), (2, 2));
    }
}
