//! The order of an epoch whose batches have several images of each identity.

use std::collections::VecDeque;

use super::epoch::Place;
use crate::draw::{Draw, Purpose};
use crate::error::DataError;
use crate::images::ImageSet;

/// Batches of P identities with M images each. An identity is a class.
///
/// An epoch deals the images of each identity into groups of M, in which cameras are as different as they can be, and fills batches with
/// groups of P different identities. No image is in two groups, but an identity with fewer than M images has one group, in which images
/// repeat. An epoch has as many batches as there can be: T, the largest number with Σ min(groups of an identity, T) ≥ T·P. The images that
/// remain, fewer than M of an identity and fewer than P groups beside those of identities with more than T groups, are others in each epoch.
#[derive(Clone, Debug)]
pub(crate) struct IdentityBatches {
    /// P, the identities of a batch.
    identities: usize,
    /// M, the images of an identity in a batch.
    images: usize,
    /// The images of each identity that has any.
    of_identity: Vec<Vec<usize>>,
    /// T, the batches of an epoch.
    batches: usize,
}

impl IdentityBatches {
    /// Of batches with `batch_size` images, `images` of each identity.
    ///
    /// # Errors
    /// [`DataError::Setting`] if the set has no labels or too few identities, or the batch size is no multiple of `images`.
    pub fn new(set: &ImageSet, batch_size: usize, images: usize) -> Result<Self, DataError> {
        let refused =
            |name, value: usize, expected| Err(DataError::Setting { name, value: value.to_string(), expected });
        if !set.is_labeled() {
            return refused("images_per_identity", images, "images with labels, which say what is one identity".into());
        }
        if images == 0 || !batch_size.is_multiple_of(images) {
            let expected = format!("a number that divides the batch size, {batch_size}");
            return refused("images_per_identity", images, expected);
        }
        let mut of_identity = set.of_each_class();
        of_identity.retain(|images| !images.is_empty());
        let identities = batch_size / images;
        if of_identity.len() < identities {
            let (found, most) = (of_identity.len(), of_identity.len() * images);
            let expected = format!("at most {most}, {images} images of each of {found} identities");
            return refused("batch_size", batch_size, expected);
        }
        let groups: Vec<usize> = of_identity.iter().map(|of| groups(of.len(), images)).collect();
        let batches = most_batches(&groups, identities);
        Ok(Self { identities, images, of_identity, batches })
    }

    /// The number of images in all batches of an epoch.
    pub fn len(&self) -> usize {
        self.batches * self.identities * self.images
    }

    /// The images of epoch `number` in order: batch after batch, in a batch identity after identity.
    pub fn order(&self, set: &ImageSet, seed: u64, number: u64) -> Vec<Place> {
        let mut dealt: Vec<_> = (0..self.of_identity.len())
            .map(|identity| {
                let mut draw = Draw::new(seed, Purpose::Identities, number, 1 + identity as u64, 0);
                deal(&self.of_identity[identity], set.cameras(), self.images, &mut draw)
            })
            .collect();
        let mut draw = Draw::new(seed, Purpose::Identities, number, 0, 0);
        let mut order = Vec::with_capacity(self.len());
        for identity in self.identities(&mut draw) {
            order.extend(
                dealt[identity].pop().expect("each identity is as often in the epoch as it has groups at most"),
            );
        }
        order
    }

    /// The identities of all groups in order: the first P are those of the first batch.
    fn identities(&self, draw: &mut Draw) -> Vec<usize> {
        let (batches, of_batch) = (self.batches, self.identities);
        let count = |of: &Vec<usize>| groups(of.len(), self.images).min(batches);
        let mut all: Vec<usize> = self
            .of_identity
            .iter()
            .enumerate()
            .flat_map(|(identity, of)| std::iter::repeat_n(identity, count(of)))
            .collect();
        draw.shuffle(&mut all);
        all.truncate(batches * of_batch);
        let mut left = vec![0; self.of_identity.len()];
        all.iter().for_each(|identity| left[*identity] += 1);
        // Groups that were taken before their turn, and are still in the queue.
        let mut taken_early = vec![0; self.of_identity.len()];
        let mut queue = VecDeque::from(all);
        let mut order = Vec::with_capacity(batches * of_batch);
        for batches_left in (1..=batches).rev() {
            // An identity with a group for every batch that is left has to be in this one.
            let mut batch: Vec<usize> = (0..left.len()).filter(|identity| left[*identity] == batches_left).collect();
            batch.iter().for_each(|identity| taken_early[*identity] += 1);
            let mut postponed = Vec::new();
            while batch.len() < of_batch {
                let identity = queue.pop_front().expect("P identities or more have groups left");
                if taken_early[identity] > 0 {
                    taken_early[identity] -= 1;
                } else if batch.contains(&identity) {
                    postponed.push(identity);
                } else {
                    batch.push(identity);
                }
            }
            postponed.into_iter().rev().for_each(|identity| queue.push_front(identity));
            batch.iter().for_each(|identity| left[*identity] -= 1);
            draw.shuffle(&mut batch);
            order.extend(batch);
        }
        order
    }
}

/// The number of groups of `images` images that an identity with `count` has.
fn groups(count: usize, images: usize) -> usize {
    (count / images).max(1)
}

/// T: the largest number of batches of `of_batch` different identities with these numbers of groups. There are as many identities or more.
///
/// T batches need T·P groups, and an identity gives a batch one at most. That many are enough: if no identity has more than T of T·P groups, those
/// with exactly T are P or fewer, and a batch with these and any others leaves (T − 1)·P groups, no more than T − 1 of an identity.
fn most_batches(groups: &[usize], of_batch: usize) -> usize {
    let possible = |batches: usize| groups.iter().map(|count| count.min(&batches)).sum::<usize>() >= batches * of_batch;
    // `possible` is true up to T, and false from T + 1 on, because the sum is a concave function.
    let (mut least, mut beyond) = (1, groups.iter().sum::<usize>() / of_batch + 1);
    while beyond - least > 1 {
        let middle = least.midpoint(beyond);
        if possible(middle) { least = middle } else { beyond = middle }
    }
    least
}

/// Deals the images of an identity into groups of `size`. Images of one camera are in as many different groups as possible.
fn deal(images: &[usize], cameras: Option<&[u16]>, size: usize, draw: &mut Draw) -> Vec<Vec<Place>> {
    let mut images = images.to_vec();
    draw.shuffle(&mut images);
    if images.len() < size {
        let place = |at: usize| Place { image: images[at % images.len()], repeat: at / images.len() };
        return vec![(0..size).map(place).collect()];
    }
    let count = images.len() / size;
    images.truncate(count * size);
    if let Some(cameras) = cameras {
        let mut met: Vec<u16> = Vec::new();
        for image in &images {
            if !met.contains(&cameras[*image]) {
                met.push(cameras[*image]);
            }
        }
        // Cameras in the order in which they were met, so that none is preferred. Dealing one image after the other then
        // puts the images of a camera into different groups.
        images.sort_by_key(|image| met.iter().position(|camera| *camera == cameras[*image]));
    }
    (0..count)
        .map(|group| {
            let mut places: Vec<Place> =
                images[group..].iter().step_by(count).map(|image| Place { image: *image, repeat: 0 }).collect();
            draw.shuffle(&mut places);
            places
        })
        .collect()
}
