//! Stratified subsets of a set of images.

use super::image_set::ImageSet;
use crate::draw::{Draw, Purpose};

impl ImageSet {
    /// A random subset of `count` images, in the order of this set; the whole set if it has no more.
    ///
    /// A class with n of all N images gets `count`·n/N images, rounded by largest remainders so that the sum is `count`. If
    /// `count` is at least the number of classes, every class gets at least one image. Unlabelled images count as one class.
    /// The subset depends on the set and `seed` only.
    pub fn stratified(&self, count: usize, seed: u64) -> ImageSet {
        if count >= self.len() {
            return self.clone();
        }
        let mut members = self.of_each_class();
        members.retain(|members| !members.is_empty());
        let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
        let shares = shares(&sizes, count, &mut draw(seed, 0));
        let mut chosen = Vec::with_capacity(count);
        for (class, (mut members, share)) in members.into_iter().zip(shares).enumerate() {
            draw(seed, 1 + class as u64).shuffle(&mut members);
            chosen.extend(&members[..share]);
        }
        chosen.sort_unstable();
        self.select(&chosen)
    }
}

fn draw(seed: u64, stream: u64) -> Draw {
    Draw::new(seed, Purpose::Part, 0, 0, stream)
}

/// The number of images of each class, given the sizes of the classes; they add up to `count`. `draw` breaks ties between equal
/// remainders.
fn shares(sizes: &[usize], count: usize, draw: &mut Draw) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let mut shares: Vec<usize> = sizes.iter().map(|size| size * count / total).collect();
    let mut order = draw.permutation(sizes.len());
    order.sort_by_key(|&class| std::cmp::Reverse(sizes[class] * count % total));
    let missing = count - shares.iter().sum::<usize>();
    order.iter().take(missing).for_each(|&class| shares[class] += 1);
    // A class with no image takes one from the class with the most.
    for class in order {
        let largest = (0..shares.len()).max_by_key(|&other| shares[other]).unwrap_or(class);
        if shares[class] == 0 && shares[largest] > 1 {
            (shares[class], shares[largest]) = (1, shares[largest] - 1);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of classes with these sizes, class after class. Image i has the pixel value i modulo 251.
    fn images(sizes: &[usize]) -> ImageSet {
        let labels: Vec<u16> =
            sizes.iter().enumerate().flat_map(|(class, size)| std::iter::repeat_n(class as u16, *size)).collect();
        let pixels = (0..labels.len()).flat_map(|index| [(index % 251) as u8; 3]).collect();
        let names = (0..sizes.len()).map(|class| format!("c{class}")).collect();
        ImageSet::new(pixels, labels, 1, names).unwrap()
    }

    fn counts(set: &ImageSet) -> Vec<usize> {
        let mut counts = vec![0; set.classes()];
        set.labels().iter().for_each(|label| counts[usize::from(*label)] += 1);
        counts
    }

    #[test]
    fn every_class_has_its_share() {
        // The order on disk: one class after the other.
        let set = images(&[500; 200]);
        assert_eq!(counts(&set.stratified(4000, 1)), [20; 200]);
        let uneven = images(&[600, 300, 100]);
        assert_eq!(counts(&uneven.stratified(100, 1)), [60, 30, 10]);
        assert_eq!(counts(&uneven.stratified(10, 1)), [6, 3, 1]);
        // Every count is reached, and no class is empty if there are enough images.
        let set = images(&[97, 1, 1, 1]);
        for count in 1..=100 {
            let found = counts(&set.stratified(count, 3));
            assert_eq!(found.iter().sum::<usize>(), count);
            assert!(count < 4 || found.iter().all(|count| *count > 0), "{count}: {found:?}");
        }
    }

    #[test]
    fn shares_are_within_one_of_the_proportion() {
        let mut draw = Draw::new(7, Purpose::View, 0, 0, 0);
        for _ in 0..300 {
            let sizes: Vec<usize> = (0..1 + draw.below(30)).map(|_| 1 + draw.below(1000)).collect();
            let total: usize = sizes.iter().sum();
            let count = 1 + draw.below(total);
            let found = shares(&sizes, count, &mut draw);
            assert_eq!(found.iter().sum::<usize>(), count);
            for (share, size) in found.iter().zip(&sizes) {
                let exact = (size * count) as f64 / total as f64;
                assert!(share <= size, "{share} of {size}");
                // Classes without an image take theirs from the largest classes.
                let given = sizes.len() as f64;
                assert!(*share as f64 - exact < 1.0 || exact < 1.0, "{share} for {exact}");
                assert!(exact - (*share as f64) < 1.0 + given, "{share} for {exact}");
            }
        }
    }

    #[test]
    fn the_seed_decides_and_the_order_stays() {
        let set = images(&[40, 60]);
        let part = |seed| set.stratified(20, seed);
        let pixels = |set: &ImageSet| (0..set.len()).map(|index| set.pixels(index)[0]).collect::<Vec<u8>>();
        assert_eq!(pixels(&part(1)), pixels(&part(1)));
        assert_ne!(pixels(&part(1)), pixels(&part(2)));
        assert!(pixels(&part(1)).is_sorted());
        let first: Vec<u8> = (0..20).collect();
        assert_ne!(pixels(&part(1)), first);
        assert_eq!(set.stratified(100, 1).len(), 100);
        assert_eq!(set.stratified(1000, 1).len(), 100);
    }

    #[test]
    fn images_without_labels_are_drawn_too() {
        let set = images(&[30]).with_labels_unknown();
        let part = set.stratified(10, 1);
        assert_eq!((part.len(), part.is_labeled()), (10, false));
    }
}
