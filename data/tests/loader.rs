//! Tests the promises of the loader on small images.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::data::dataloader::DataLoader;
use burn_flex::{Flex, FlexDevice};
use qare_data::on_device::ContrastiveTable;
use qare_data::{
    AugmentOn, Augmentation, DataError, EpochCursor, ImageSet, LoaderConfig, Normalization, Shard, Share, ViewBatch,
    ViewLoader,
};

type B = Flex;
type Loader = ViewLoader<B>;

const NORMALIZATION: Normalization = Normalization { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] };

const CONFIG: LoaderConfig = LoaderConfig {
    batch_size: 8,
    views: 2,
    seed: 7,
    workers: 0,
    shuffle: true,
    drop_last: false,
    augmentation: Augmentation::Contrastive,
    normalization: NORMALIZATION,
};

fn images(count: usize, side: usize) -> ImageSet {
    let size = 3 * side * side;
    let pixels = (0..count * size).map(|place| (place * 31 + place / size * 17) as u8).collect();
    let labels = (0..count).map(|index| (index % 5) as u16).collect();
    ImageSet::new(pixels, labels, side, (0..5).map(|class| format!("class {class}")).collect()).unwrap()
}

fn loader(count: usize, config: LoaderConfig) -> Loader {
    Loader::new(images(count, 8), config, EpochCursor::default(), &FlexDevice).unwrap()
}

/// The content of a batch, for comparisons bit by bit.
#[derive(Debug, PartialEq, Clone)]
struct Content {
    values: Vec<u32>,
    shape: [usize; 5],
    labels: Vec<i64>,
    indices: Vec<usize>,
}

fn content(batch: ViewBatch<B>) -> Content {
    Content {
        shape: batch.images.dims(),
        values: batch.images.into_data().iter::<f32>().map(f32::to_bits).collect(),
        labels: batch.labels.into_data().iter::<i64>().collect(),
        indices: batch.indices,
    }
}

fn contents(loader: &dyn DataLoader<B, ViewBatch<B>>) -> Vec<Content> {
    loader.iter().map(content).collect()
}

fn indices(batches: &[Content]) -> Vec<usize> {
    batches.iter().flat_map(|batch| batch.indices.clone()).collect()
}

#[test]
fn batches_have_the_promised_form() {
    let loader = loader(21, CONFIG);
    let batches = contents(&loader);
    assert_eq!(batches.iter().map(|batch| batch.shape[0]).collect::<Vec<_>>(), [8, 8, 5]);
    assert_eq!((loader.num_items(), loader.num_batches()), (21, 3));
    for batch in &batches {
        assert_eq!(batch.shape[1..], [2, 3, 8, 8]);
        assert_eq!(batch.indices.len(), batch.shape[0]);
        let labels: Vec<i64> = batch.indices.iter().map(|&index| loader.images().label(index).into()).collect();
        assert_eq!(batch.labels, labels);
    }
}

#[test]
fn without_augmentation_views_are_the_normalised_images() {
    let config = LoaderConfig { augmentation: Augmentation::None, shuffle: false, views: 3, ..CONFIG };
    let loader = loader(11, config);
    let batches = contents(&loader);
    assert_eq!(indices(&batches), (0..11).collect::<Vec<_>>());
    for batch in batches {
        let mut values = batch.values.iter().map(|&bits| f32::from_bits(bits));
        for index in batch.indices {
            for _ in 0..3 {
                for (place, &pixel) in loader.images().pixels(index).iter().enumerate() {
                    let channel = place / 64;
                    let expected =
                        (f32::from(pixel) / 255.0 - NORMALIZATION.mean[channel]) / NORMALIZATION.std[channel];
                    assert_eq!(values.next().unwrap(), expected);
                }
            }
        }
    }
}

#[test]
fn any_number_of_workers_gives_the_same_batches() {
    for (drop_last, augmentation) in [(false, Augmentation::Contrastive), (true, Augmentation::None)] {
        let config = LoaderConfig { drop_last, augmentation, ..CONFIG };
        let expected = contents(&loader(101, config));
        for workers in [1, 2, 4, 7] {
            assert_eq!(contents(&loader(101, LoaderConfig { workers, ..config })), expected, "{workers} workers");
        }
    }
}

#[test]
fn an_epoch_has_every_image_once_in_an_order_of_its_own() {
    let epoch = EpochCursor::default();
    let loader = Loader::new(images(50, 8), CONFIG, epoch.clone(), &FlexDevice).unwrap();
    let mut orders = HashSet::new();
    for number in 0..4 {
        epoch.set(number);
        let order = indices(&contents(&loader));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert!(orders.insert(order), "epoch {number} repeats an order");
    }
}

#[test]
fn views_differ_between_views_epochs_seeds_and_images() {
    // The same image four times, so only the draws can differ.
    let image = images(1, 8);
    let same = image.select(&[0, 0, 0, 0]);
    let mut seen = HashSet::new();
    for (seed, number) in [(1, 0), (1, 1), (2, 0)] {
        let epoch = EpochCursor::default();
        epoch.set(number);
        let config = LoaderConfig { seed, views: 3, ..CONFIG };
        let batches = contents(&Loader::new(same.clone(), config, epoch, &FlexDevice).unwrap());
        for view in batches[0].values.chunks(3 * 8 * 8) {
            seen.insert(view.to_vec());
        }
    }
    assert_eq!(seen.len(), 3 * 4 * 3);
}

#[test]
fn resuming_at_an_epoch_gives_what_the_whole_run_gave() {
    let config = LoaderConfig { workers: 2, ..CONFIG };
    let epoch = EpochCursor::default();
    let whole = Loader::new(images(30, 8), config, epoch.clone(), &FlexDevice).unwrap();
    let mut run = Vec::new();
    for number in 0..5 {
        epoch.set(number);
        run.push(contents(&whole));
    }
    let later = EpochCursor::default();
    later.set(3);
    let resumed = Loader::new(images(30, 8), config, later.clone(), &FlexDevice).unwrap();
    assert_eq!(contents(&resumed), run[3]);
    later.set(4);
    assert_eq!(contents(&resumed), run[4]);
}

#[test]
fn the_epoch_is_read_when_an_iteration_starts() {
    let epoch = EpochCursor::default();
    let loader = Loader::new(images(30, 8), CONFIG, epoch.clone(), &FlexDevice).unwrap();
    let expected = contents(&loader);
    let iterator = loader.iter();
    epoch.set(9);
    assert_eq!(iterator.map(content).collect::<Vec<_>>(), expected);
    assert_ne!(contents(&loader), expected);
}

#[test]
fn drop_last_leaves_out_only_the_incomplete_batch() {
    let all = contents(&loader(21, CONFIG));
    let dropping = loader(21, LoaderConfig { drop_last: true, ..CONFIG });
    assert_eq!((dropping.num_items(), dropping.num_batches()), (16, 2));
    assert_eq!(contents(&dropping), all[..2]);
    assert_eq!(contents(&loader(16, LoaderConfig { drop_last: true, ..CONFIG })).len(), 2);
}

#[test]
fn progress_counts_images() {
    for workers in [0, 2] {
        let loader = loader(21, LoaderConfig { workers, ..CONFIG });
        let mut iterator = loader.iter();
        let mut counts = vec![iterator.progress().items_processed];
        while iterator.next().is_some() {
            assert_eq!(iterator.progress().items_total, 21);
            counts.push(iterator.progress().items_processed);
        }
        assert_eq!(counts, [0, 8, 16, 21]);
        assert!(iterator.next().is_none());
    }
}

#[test]
fn slices_partition_the_epoch() {
    let loader = loader(45, CONFIG);
    let all = contents(&loader);
    let parts = [loader.slice(0, 16), loader.slice(16, 32), loader.slice(32, 45)];
    assert_eq!(parts.each_ref().map(|part| part.num_items()), [16, 16, 13]);
    assert_eq!(parts.iter().flat_map(|part| contents(&**part)).collect::<Vec<_>>(), all);
    // The bounds of a slice of a slice count from the start of the outer one. Bounds beyond the end are cut off.
    assert_eq!(contents(&*loader.slice(8, 45).slice(8, 24)), all[2..4]);
    assert_eq!(contents(&*loader.slice(40, 1000)), all[5..]);
    assert!(contents(&*loader.slice(50, 60)).is_empty());
    assert!(contents(&*loader.slice(20, 10)).is_empty());
    let dropping =
        Loader::new(images(45, 8), LoaderConfig { drop_last: true, ..CONFIG }, EpochCursor::default(), &FlexDevice)
            .unwrap();
    assert_eq!(dropping.slice(0, 23).num_items(), 16);
}

#[test]
fn shards_put_together_are_the_batches() {
    for (workers, count) in [(0, 1), (0, 2), (2, 3), (1, 5)] {
        let config = LoaderConfig { workers, ..CONFIG };
        let whole = contents(&loader(45, config));
        let shards: Vec<Loader> =
            (0..count).map(|rank| loader(45, config).shard(Shard { rank, count }).unwrap()).collect();
        let parts: Vec<Vec<(Share, Content)>> = shards
            .iter()
            .map(|shard| shard.iter().map(|batch| (batch.share, content(batch))).collect::<Vec<_>>())
            .collect();
        for (number, whole) in whole.iter().enumerate() {
            let (mut values, mut indices, mut labels) = (Vec::new(), Vec::new(), Vec::new());
            for (rank, part) in parts.iter().enumerate() {
                let (share, content) = &part[number];
                let images = content.indices.len();
                let expected =
                    Share { shard: Shard { rank, count }, offset: indices.len(), images, batch: whole.shape[0] };
                assert_eq!(*share, expected);
                assert_eq!(content.shape[0], images);
                let fair = whole.shape[0] / count;
                assert!((fair..=fair + 1).contains(&images), "{images} of {} for {count}", whole.shape[0]);
                values.extend(&content.values);
                indices.extend(&content.indices);
                labels.extend(&content.labels);
            }
            assert_eq!((&values, &indices, &labels), (&whole.values, &whole.indices, &whole.labels));
        }
        assert!(parts.iter().all(|part| part.len() == whole.len()));
    }
}

#[test]
fn a_rest_that_does_not_go_round_is_left_out_by_every_shard() {
    // Five of the 21 images are left for a third batch: enough for five shards, and not for six.
    let batches = |count| {
        let batches = |rank| contents(&loader(21, CONFIG).shard(Shard { rank, count }).unwrap()).len();
        (0..count).map(batches).collect::<Vec<usize>>()
    };
    assert_eq!(batches(5), [3; 5]);
    assert_eq!(batches(6), [2; 6]);
}

#[test]
fn progress_of_a_shard_counts_whole_batches() {
    let shard = loader(21, CONFIG).shard(Shard { rank: 1, count: 3 }).unwrap();
    let mut iterator = shard.iter();
    let mut counts = Vec::new();
    while iterator.next().is_some() {
        assert_eq!(iterator.progress().items_total, 21);
        counts.push(iterator.progress().items_processed);
    }
    assert_eq!((counts, shard.num_items()), (vec![8, 16, 21], 21));
}

#[test]
fn shards_that_would_be_empty_are_errors() {
    let refuse = |images, rank, count| loader(images, CONFIG).shard(Shard { rank, count }).unwrap_err().to_string();
    assert_eq!(refuse(21, 0, 9), "loader setting `batch_size` is 8, expected at least one image for each of 9 shards");
    assert!(refuse(5, 0, 6).contains("`images` is 5"));
    assert!(refuse(21, 2, 2).contains("below the number of shards, 2"));
}

#[test]
fn to_device_keeps_everything_else() {
    let loader = loader(21, CONFIG);
    assert_eq!(contents(&*loader.to_device(&FlexDevice)), contents(&loader));
}

#[test]
fn stopping_early_does_not_hang() {
    for workers in [0, 1, 2, 4] {
        for taken in 0..3 {
            let loader = loader(400, LoaderConfig { workers, ..CONFIG });
            let start = Instant::now();
            let mut iterator = loader.iter();
            for _ in 0..taken {
                iterator.next().unwrap();
            }
            drop(iterator);
            assert!(start.elapsed() < Duration::from_secs(2));
        }
    }
}

#[test]
fn two_iterations_at_once_do_not_disturb_each_other() {
    let loader = loader(40, LoaderConfig { workers: 2, ..CONFIG });
    let expected = contents(&loader);
    let (mut first, mut second) = (loader.iter(), loader.iter());
    for expected in expected {
        assert_eq!(content(first.next().unwrap()), expected);
        assert_eq!(content(second.next().unwrap()), expected);
    }
}

#[test]
fn settings_that_cannot_work_are_errors() {
    let refuse = |images: ImageSet, config| match Loader::new(images, config, EpochCursor::default(), &FlexDevice) {
        Err(error @ DataError::Setting { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let message = refuse(images(4, 8), LoaderConfig { batch_size: 0, ..CONFIG });
    assert_eq!(message, "loader setting `batch_size` is 0, expected at least 1");
    assert!(refuse(images(4, 8), LoaderConfig { views: 0, ..CONFIG }).contains("`views` is 0"));
    assert!(refuse(images(4, 8).select(&[]), CONFIG).contains("at least one image"));
    let message = refuse(images(4, 8), LoaderConfig { drop_last: true, ..CONFIG });
    assert!(message.contains("`batch_size` is 8") && message.contains("at most the number of images, 4"), "{message}");
}

#[test]
fn a_loader_can_be_shared_between_threads() {
    let loader: Arc<dyn DataLoader<B, ViewBatch<B>>> = Arc::new(loader(21, CONFIG));
    let other = loader.clone();
    let thread = std::thread::spawn(move || contents(&*other));
    assert_eq!(contents(&*loader), thread.join().unwrap());
}

#[test]
fn a_device_gives_the_batches_of_the_host_with_any_number_of_workers() {
    let expected = contents(&loader(21, CONFIG));
    for workers in [0, 1, 3] {
        let loader = loader(21, LoaderConfig { workers, ..CONFIG }).augment_on(AugmentOn::Device).unwrap();
        assert_eq!(contents(&loader), expected, "{workers} workers");
    }
}

#[test]
fn views_that_no_device_computes_are_errors() {
    let told = |loader: Loader| match loader.augment_on(AugmentOn::Device) {
        Err(error @ DataError::Setting { name: "augment_on", .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    for augmentation in
        [Augmentation::None, Augmentation::Crop, Augmentation::Flip, Augmentation::Affine { erase: None }]
    {
        let told = told(loader(21, LoaderConfig { augmentation, ..CONFIG }));
        assert!(told.contains("contrastive") && told.contains("host"), "{told}");
        loader(21, LoaderConfig { augmentation, ..CONFIG }).augment_on(AugmentOn::Host).unwrap();
    }
    // The side of the smallest image that is too large.
    let side = ContrastiveTable::MAX_PIXELS.isqrt() + 1;
    let large = Loader::new(images(1, side), CONFIG, EpochCursor::default(), &FlexDevice).unwrap();
    let told = told(large);
    assert!(told.contains(&format!("{side}×{side}")) && told.contains("host"), "{told}");
}
