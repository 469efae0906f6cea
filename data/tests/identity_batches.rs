//! Batches of several images of each identity.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use burn::data::dataloader::DataLoader;
use burn_flex::{Flex, FlexDevice};
use proptest::prelude::*;
use qare_data::{Augmentation, EpochCursor, ImageSet, LoaderConfig, Normalization, Shard, ViewBatch, ViewLoader};

mod cases;

type B = Flex;
type Loader = ViewLoader<B>;

const CONFIG: LoaderConfig = LoaderConfig {
    batch_size: 8,
    views: 1,
    seed: 7,
    workers: 0,
    shuffle: true,
    drop_last: false,
    augmentation: Augmentation::Contrastive,
    normalization: Normalization { mean: [0.5; 3], std: [0.25; 3] },
};

/// Images of classes with these sizes in mixed order, each of one colour, and without cameras.
fn images(sizes: &[usize]) -> ImageSet {
    let mut labels: Vec<u16> =
        sizes.iter().enumerate().flat_map(|(class, size)| std::iter::repeat_n(class as u16, *size)).collect();
    // Every third image comes first, so that the images of a class are not side by side.
    let count = labels.len();
    labels =
        (0..3).flat_map(|start| labels[start.min(count)..].iter().step_by(3).copied().collect::<Vec<_>>()).collect();
    let pixels = (0..count).flat_map(|image| vec![(image * 7) as u8; 3 * 64]).collect();
    let names = (0..sizes.len()).map(|class| format!("c{class}")).collect();
    ImageSet::new(pixels, labels, 8, names).unwrap()
}

fn loader(set: &ImageSet, identities: usize, images: usize, seed: u64) -> Result<Loader, qare_data::DataError> {
    let config = LoaderConfig { batch_size: identities * images, seed, ..CONFIG };
    Loader::new(set.clone(), config, EpochCursor::default(), &FlexDevice)?.by_identity(images)
}

/// Indices of the batches of an epoch.
fn batches(loader: &Loader, epoch: u64) -> Vec<Vec<usize>> {
    loader.epoch(epoch).map(|batch| batch.indices).collect()
}

/// The largest number of batches: removes one group from each of the P identities with the most groups, until fewer than P have any. Of all
/// ways to fill batches one after the other, that leaves groups to the most identities.
fn most_batches(sizes: &[usize], identities: usize, images: usize) -> usize {
    let mut groups: Vec<usize> = sizes.iter().filter(|size| **size > 0).map(|size| (size / images).max(1)).collect();
    for batches in 0.. {
        groups.sort_unstable_by(|a, b| b.cmp(a));
        if groups.len() < identities || groups[identities - 1] == 0 {
            return batches;
        }
        groups[..identities].iter_mut().for_each(|groups| *groups -= 1);
    }
    unreachable!()
}

proptest! {
    #![proptest_config(cases::cases(200))]

    #[test]
    fn batches_are_of_p_identities_with_m_images(
        sizes in proptest::collection::vec(0usize..14, 1..12),
        identities in 1usize..6,
        images_of_each in 1usize..6,
        seed in 0u64..1000,
    ) {
        let set = images(&sizes);
        let present = sizes.iter().filter(|size| **size > 0).count();
        prop_assume!(present > 0);
        let made = loader(&set, identities, images_of_each, seed);
        if present < identities {
            let message = made.unwrap_err().to_string();
            let expected = format!("at most {}", present * images_of_each);
            prop_assert!(message.contains("batch_size") && message.contains(&expected), "{}", message);
            return Ok(());
        }
        let loader = made.unwrap();
        let expected = most_batches(&sizes, identities, images_of_each);
        prop_assert_eq!(loader.num_batches(), expected);
        prop_assert_eq!(loader.num_items(), expected * identities * images_of_each);
        for epoch in [0, 1] {
            let batches = batches(&loader, epoch);
            prop_assert_eq!(batches.len(), expected);
            let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
            let mut groups_of: BTreeMap<u16, usize> = BTreeMap::new();
            for batch in &batches {
                let groups: Vec<&[usize]> = batch.chunks(images_of_each).collect();
                prop_assert_eq!(groups.len(), identities);
                let identity = |group: &[usize]| set.label(group[0]);
                let distinct: BTreeSet<u16> = groups.iter().map(|group| identity(group)).collect();
                prop_assert_eq!(distinct.len(), identities);
                for group in groups {
                    prop_assert!(group.iter().all(|image| set.label(*image) == identity(group)));
                    let different: BTreeSet<usize> = group.iter().copied().collect();
                    let size = sizes[usize::from(identity(group))];
                    // Each image once, or, if there are too few, all of them as equally often as possible.
                    prop_assert_eq!(different.len(), size.min(images_of_each));
                    for image in &different {
                        let times = group.iter().filter(|other| *other == image).count();
                        let even = images_of_each / size.min(images_of_each);
                        prop_assert!(times == even || times == even + 1);
                        *seen.entry(*image).or_default() += 1;
                    }
                    *groups_of.entry(identity(group)).or_default() += 1;
                }
            }
            prop_assert!(seen.values().all(|groups| *groups == 1), "an image in two groups");
            for (identity, groups) in groups_of {
                prop_assert!(groups <= (sizes[usize::from(identity)] / images_of_each).max(1));
            }
        }
    }

    #[test]
    fn images_of_an_identity_are_of_different_cameras(
        sizes in proptest::collection::vec(4usize..20, 2..6),
        cameras in 1usize..6,
        seed in 0u64..1000,
    ) {
        let set = images(&sizes);
        let numbers: Vec<u16> = (0..set.len()).map(|image| (image * image % cameras) as u16).collect();
        let set = set.with_cameras(numbers.clone()).unwrap();
        let loader = loader(&set, 2, 4, seed).unwrap();
        for batch in batches(&loader, seed) {
            for group in batch.chunks(4) {
                let identity = set.label(group[0]);
                let count = sizes[usize::from(identity)] / 4;
                for camera in 0..cameras as u16 {
                    let all = (0..set.len()).filter(|image| set.label(*image) == identity && numbers[*image] == camera);
                    let here = group.iter().filter(|image| numbers[**image] == camera).count();
                    // The images of a camera are spread over all groups of the identity.
                    prop_assert!(here <= all.count().div_ceil(count), "camera {} {} times", camera, here);
                }
            }
        }
    }
}

#[test]
fn equal_classes_are_visited_whole() {
    // 10 classes of 12 images: every image is in every epoch.
    let set = images(&[12; 10]);
    let loader = loader(&set, 5, 4, 1).unwrap();
    assert_eq!(loader.num_batches(), 6);
    let mut orders = HashSet::new();
    let mut partners = HashSet::new();
    for epoch in 0..20 {
        let batches = batches(&loader, epoch);
        let mut all: Vec<usize> = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..120).collect::<Vec<_>>());
        for batch in &batches {
            let mut identities: Vec<u16> = batch.iter().step_by(4).map(|image| set.label(*image)).collect();
            identities.sort_unstable();
            partners.insert(identities);
        }
        assert!(orders.insert(batches), "epoch {epoch} repeats an order");
    }
    // 120 draws of 5 of 10 identities, of which there are 252.
    assert!(partners.len() > 60, "only {} different batches of identities", partners.len());
}

#[test]
fn left_over_images_change_from_epoch_to_epoch() {
    let set = images(&[7, 7, 7]);
    let loader = loader(&set, 3, 4, 1).unwrap();
    assert_eq!(loader.num_batches(), 1);
    let seen: BTreeSet<usize> = (0..20).flat_map(|epoch| batches(&loader, epoch).concat()).collect();
    assert_eq!(seen.len(), 21);
}

fn contents(batches: impl Iterator<Item = ViewBatch<B>>) -> Vec<(Vec<u32>, Vec<i64>, Vec<usize>)> {
    let bits = |batch: &ViewBatch<B>| batch.images.clone().into_data().iter::<f32>().map(f32::to_bits).collect();
    batches.map(|batch| (bits(&batch), batch.labels.into_data().iter::<i64>().collect(), batch.indices)).collect()
}

#[test]
fn batches_are_a_function_of_images_seed_and_epoch() {
    let set = images(&[9, 3, 5, 14, 8]);
    let make = |seed, workers| {
        let config = LoaderConfig { batch_size: 12, seed, workers, ..CONFIG };
        let loader = Loader::new(set.clone(), config, EpochCursor::default(), &FlexDevice).unwrap();
        loader.by_identity(4).unwrap()
    };
    let whole = contents(make(1, 0).epoch(5));
    for workers in [1, 3] {
        assert_eq!(contents(make(1, workers).epoch(5)), whole);
    }
    assert_ne!(contents(make(1, 0).epoch(6)), whole);
    assert_ne!(contents(make(2, 0).epoch(5)), whole);
    for (_, labels, indices) in &whole {
        assert!(labels.iter().zip(indices).all(|(label, image)| *label == i64::from(set.label(*image))));
    }
    // Shares of several devices, put together, and slices are the same batches.
    let shards: Vec<_> =
        (0..5).map(|rank| contents(make(1, 0).shard(Shard { rank, count: 5 }).unwrap().epoch(5))).collect();
    for (batch, (_, _, indices)) in whole.iter().enumerate() {
        let together: Vec<usize> = shards.iter().flat_map(|shard| shard[batch].2.clone()).collect();
        assert_eq!(together, *indices);
    }
    let loader = make(1, 0);
    let first = loader.slice(0, 12);
    assert_eq!(first.iter().map(|batch| batch.indices).collect::<Vec<_>>(), batches(&loader, 0)[..1]);
}

#[test]
fn repeated_images_have_different_views() {
    let set = images(&[1, 1]);
    let loader = loader(&set, 2, 4, 3).unwrap();
    let (bits, _, indices) = contents(loader.epoch(0)).remove(0);
    assert_eq!(indices.iter().collect::<BTreeSet<_>>().len(), 2);
    let views: HashSet<&[u32]> = bits.chunks(3 * 64).collect();
    assert!(views.len() > 2, "all views of an image are the same");
}

#[test]
fn what_cannot_be_batched_is_an_error() {
    let set = images(&[4, 4, 4]);
    let told = |set: &ImageSet, batch_size: usize, images: usize| {
        let config = LoaderConfig { batch_size, ..CONFIG };
        let loader = Loader::new(set.clone(), config, EpochCursor::default(), &FlexDevice).unwrap();
        loader.by_identity(images).unwrap_err().to_string()
    };
    assert!(told(&set, 8, 3).contains("divides the batch size, 8"));
    assert!(told(&set, 8, 0).contains("divides the batch size, 8"));
    assert!(told(&set, 8, 2).contains("at most 6, 2 images of each of 3 identities"));
    assert!(told(&set.clone().with_labels_unknown(), 8, 4).contains("labels"));
}
