//! The sources of photographs, and random crops that are drawn from them.

use std::fs;
use std::path::{Path, PathBuf};

use burn_flex::{Flex, FlexDevice};
use image::{Rgb, RgbImage};
use qare_data::crop::{CropBox, RandomCrop};
use qare_data::resize::Resizer;
use qare_data::views::ContrastiveView;
use qare_data::{
    AugmentOn, Augmentation, DataError, DatasetName, Draw, EpochCursor, ImageSet, LoadOptions, LoaderConfig,
    Normalization, Purpose, Scratch, SourceImage, Splits, ViewLoader, load, write_view, write_view_of,
};
use tempfile::{TempDir, tempdir};

const PLAIN: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };
const SIDE: usize = 20;
const SOURCE: usize = 26;

/// Widths and heights of photographs: broad, upright, square, smaller than a source, and smaller than an image.
const SIZES: [(u32, u32); 7] = [(60, 45), (45, 60), (52, 52), (26, 26), (22, 31), (90, 12), (9, 13)];

/// A picture with smooth and noisy parts.
fn picture(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let value = |factor: u32| ((x * factor + y * 3 + (x + seed) * y % 17 * factor) % 256) as u8;
        Rgb([value(5), value(7 + seed), 255 - value(2)])
    })
}

fn planes(image: &RgbImage) -> Vec<u8> {
    (0..3).flat_map(|channel| image.pixels().map(move |pixel| pixel.0[channel])).collect()
}

/// A training split with an image of each size, and the same images for testing.
fn photographs() -> (TempDir, Vec<RgbImage>) {
    let dir = tempdir().unwrap();
    let images: Vec<RgbImage> =
        SIZES.iter().zip(0..).map(|(&(width, height), seed)| picture(width, height, seed)).collect();
    for (number, image) in images.iter().enumerate() {
        for split in ["train", "test"] {
            let path = dir.path().join(format!("{split}/{}/{number}.png", ["a", "b"][number % 2]));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            image.save(path).unwrap();
        }
    }
    (dir, images)
}

fn options(dir: &Path) -> LoadOptions<'_> {
    LoadOptions { dir: Some(dir), image_size: Some(SIDE), source_size: Some(SOURCE), ..Default::default() }
}

fn read(dir: &Path, memory_limit: usize) -> Splits {
    load(DatasetName::Folder, &LoadOptions { memory_limit, ..options(dir) }).unwrap()
}

fn number(images: &ImageSet, index: usize) -> usize {
    let name = Path::new(images.file_name(index).unwrap());
    name.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

fn cache(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(".qare-cache")).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn assert_same(found: &ImageSet, expected: &ImageSet) {
    assert_eq!(found.labels(), expected.labels());
    for index in 0..expected.len() {
        assert_eq!(found.file_name(index), expected.file_name(index));
        assert_eq!(found.pixels(index), expected.pixels(index), "image {index}");
        assert_eq!(found.source(index), expected.source(index), "source {index}");
    }
}

/// A source is the whole image, resized by the reference resizer if its shorter side is too long. The squares are as without sources.
#[test]
fn sources_are_the_whole_images() {
    let (dir, images) = photographs();
    let splits = read(dir.path(), usize::MAX);
    let without = load(DatasetName::Folder, &LoadOptions { source_size: None, ..options(dir.path()) }).unwrap();
    assert!(splits.train.has_sources() && !splits.test.has_sources() && !without.train.has_sources());
    for index in 0..splits.train.len() {
        let image = &images[number(&splits.train, index)];
        let (height, width) = (image.height() as usize, image.width() as usize);
        let short = height.min(width);
        let (to_height, to_width) =
            if short > SOURCE { (SOURCE * height / short, SOURCE * width / short) } else { (height, width) };
        let mut expected = vec![0; 3 * to_height * to_width];
        let whole = CropBox { top: 0, left: 0, height, width };
        Resizer::default().resized_crop(&planes(image), (height, width), &whole, (to_height, to_width), &mut expected);
        let source = splits.train.source(index).unwrap();
        assert_eq!(source, SourceImage::new(&expected, (to_height, to_width)), "{height}x{width}");
        assert_eq!(splits.train.pixels(index), without.train.pixels(index));
    }
    let note = splits.notes.iter().find(|note| note.contains("random crops")).unwrap();
    assert!(note.contains("7 images") && note.contains("26 pixels at most") && note.contains("in memory"), "{note}");
    assert!(!without.notes.iter().any(|note| note.contains("random crops")));
}

#[test]
fn files_hold_what_memory_would() {
    let (dir, _) = photographs();
    let expected = read(dir.path(), usize::MAX).train;
    assert!(cache(dir.path()).is_empty());
    let bytes: usize = (0..expected.len()).map(|index| expected.source(index).unwrap().pixels().len()).sum();
    let squares = expected.len() * 3 * SIDE * SIDE;
    assert!(squares < bytes);
    // Of each split: neither, the sources alone, and both.
    for (limit, files) in [(bytes, 0), (bytes - 1, 1), (squares, 1), (squares - 1, 3), (0, 3)] {
        let (dir, _) = photographs();
        for _ in 0..2 {
            let splits = read(dir.path(), limit);
            assert_same(&splits.train, &expected);
            assert_eq!(cache(dir.path()).len(), files, "limit {limit}: {:?}", cache(dir.path()));
            let in_file = splits.notes.iter().any(|note| note.contains("in a file"));
            assert_eq!(in_file, files > 0, "{:?}", splits.notes);
        }
        // The squares of an earlier run are not decoded again, and neither are they needed for the sources.
        let sources = cache(dir.path()).into_iter().find(|path| path.to_str().unwrap().contains("train-source-26-"));
        if let Some(sources) = sources {
            fs::remove_file(&sources).unwrap();
            assert_same(&read(dir.path(), limit).train, &expected);
            assert!(sources.is_file());
            // A file that is cut off is replaced.
            let whole = fs::read(&sources).unwrap();
            for length in [0, 40, 96, 200, whole.len() - 1] {
                fs::write(&sources, &whole[..length]).unwrap();
                assert_same(&read(dir.path(), limit).train, &expected);
                assert_eq!(fs::read(&sources).unwrap(), whole);
            }
            // So is one whose sizes are not those of the pixels.
            let mut wrong = whole.clone();
            let sizes = whole.len() - 8 * expected.len();
            wrong[sizes] += 1;
            fs::write(&sources, &wrong).unwrap();
            assert_same(&read(dir.path(), limit).train, &expected);
        }
    }
}

/// The test runs itself again where no folder for temporary files exists.
#[test]
#[cfg(unix)]
fn sources_that_fit_nowhere_are_an_error() {
    const NAME: &str = "sources_that_fit_nowhere_are_an_error";
    if std::env::var_os("QARE_TEST_WITHOUT_TEMPORARY_FILES").is_none() {
        let (dir, _) = photographs();
        fs::write(dir.path().join(".qare-cache"), "not a folder").unwrap();
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME]).env("QARE_TEST_WITHOUT_TEMPORARY_FILES", dir.path());
        let output = again.env("TMPDIR", dir.path().join("missing")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let dir = PathBuf::from(std::env::var_os("QARE_TEST_WITHOUT_TEMPORARY_FILES").unwrap());
    // They fit into memory.
    assert!(read(&dir, usize::MAX).train.has_sources());
    let error = load(DatasetName::Folder, &LoadOptions { memory_limit: 2000, ..options(&dir) }).unwrap_err();
    assert!(matches!(error, DataError::SourcesDoNotFit { limit: 2000, .. }), "{error:?}");
    let told = error.to_string();
    for words in ["more than the 2000 bytes", "train-source-26-", "missing", "--source-size"] {
        assert!(told.contains(words), "{told}");
    }
    // Squares alone stay in memory.
    let without = LoadOptions { memory_limit: 2000, source_size: None, ..options(&dir) };
    assert!(load(DatasetName::Folder, &without).unwrap().train.is_in_memory());
}

#[test]
fn broken_images_have_no_source() {
    let (dir, _) = photographs();
    fs::write(dir.path().join("train/a/2.png"), "not an image").unwrap();
    for limit in [usize::MAX, 0] {
        let error = load(DatasetName::Folder, &LoadOptions { memory_limit: limit, ..options(dir.path()) }).unwrap_err();
        assert!(error.to_string().contains("2.png"), "{error}");
        let skipping = LoadOptions { memory_limit: limit, skip_broken: true, ..options(dir.path()) };
        for _ in 0..2 {
            let splits = load(DatasetName::Folder, &skipping).unwrap();
            assert_eq!((splits.train.len(), splits.skipped.len()), (SIZES.len() - 1, 1));
            let (expected, _) = photographs();
            let whole = read(expected.path(), usize::MAX).train;
            for index in 0..splits.train.len() {
                let same = (0..whole.len()).find(|other| whole.file_name(*other) == splits.train.file_name(index));
                assert_eq!(splits.train.source(index), whole.source(same.unwrap()));
            }
        }
    }
}

/// Images of the right size are their own sources. Views are then those of a set without sources, also on a device.
#[test]
fn squares_of_the_right_size_need_no_sources() {
    let dir = tempdir().unwrap();
    for number in 0..4 {
        let path = dir.path().join(format!("{number}.png"));
        picture(SIDE as u32, SIDE as u32, number).save(path).unwrap();
    }
    for limit in [usize::MAX, 0] {
        let splits = read(dir.path(), limit);
        assert!(!splits.train.has_sources());
        assert!(!splits.notes.iter().any(|note| note.contains("random crops")), "{:?}", splits.notes);
    }
}

#[test]
fn a_selection_keeps_its_sources() {
    let (dir, _) = photographs();
    for limit in [usize::MAX, 0] {
        let all = read(dir.path(), limit).train;
        let some = all.select(&[5, 1, 1]).select(&[2, 0]);
        assert_eq!((some.source(0), some.source(1)), (all.source(1), all.source(5)));
        assert!(some.clone().without_sources().source(0).is_none());
    }
}

#[test]
fn sources_must_match_the_images() {
    let set = || ImageSet::new(vec![0; 2 * 12], vec![0, 0], 2, vec!["a".into()]).unwrap();
    let refused = |sources| match set().with_sources(sources) {
        Err(DataError::Sources { problem }) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(vec![(vec![0; 12], (2, 2))]), "1 sources for 2 images");
    let wrong = refused(vec![(vec![0; 12], (2, 2)), (vec![0; 12], (2, 3))]);
    assert_eq!(wrong, "the source of image 1 is of 2x3 pixels, and has 12 bytes");
    refused(vec![(vec![0; 12], (2, 2)), (Vec::new(), (0, 3))]);
    let sources = vec![(vec![1; 12], (2, 2)), (vec![2; 18], (3, 2))];
    let set = set().with_sources(sources).unwrap();
    assert_eq!(set.source(1).unwrap(), SourceImage::new(&[2; 18], (3, 2)));
}

fn config(augmentation: Augmentation, workers: usize) -> LoaderConfig {
    let (batch_size, views, seed) = (3, 3, 9);
    LoaderConfig {
        batch_size,
        views,
        seed,
        workers,
        shuffle: true,
        drop_last: false,
        augmentation,
        normalization: PLAIN,
    }
}

/// The values of each batch of epoch 4, and its images.
fn batches(images: &ImageSet, config: LoaderConfig, on: AugmentOn) -> Vec<(Vec<f32>, Vec<usize>)> {
    let loader = ViewLoader::<Flex>::new(images.clone(), config, EpochCursor::default(), &FlexDevice).unwrap();
    let loader = loader.augment_on(on).unwrap();
    let values = |batch: qare_data::ViewBatch<Flex>| {
        assert_eq!(batch.images.dims()[1..], [3, 3, SIDE, SIDE]);
        (batch.images.into_data().to_vec().unwrap(), batch.indices)
    };
    loader.epoch(4).map(values).collect()
}

/// Views with resized crops are made of sources and all others of squares, with any number of workers, and wherever the pixels are.
#[test]
fn loaders_draw_crops_from_sources() {
    let (dir, _) = photographs();
    let images = read(dir.path(), usize::MAX).train;
    let mapped = read(dir.path(), 0).train;
    let crop = RandomCrop::PHOTOGRAPH;
    for augmentation in [
        Augmentation::Contrastive,
        Augmentation::ResizedCrop { crop, flip: true },
        Augmentation::Crop,
        Augmentation::Flip,
        Augmentation::None,
    ] {
        let found = batches(&images, config(augmentation, 0), AugmentOn::Host);
        for workers in [1, 3] {
            assert_eq!(batches(&images, config(augmentation, workers), AugmentOn::Host), found);
            assert_eq!(batches(&mapped, config(augmentation, workers), AugmentOn::Host), found);
        }
        let (size, mut scratch) = (3 * SIDE * SIDE, Scratch::default());
        let mut out = vec![0.0; size];
        for (values, indices) in &found {
            for (place, view) in values.chunks_exact(size).enumerate() {
                let (index, number) = (indices[place / 3], (place % 3) as u64);
                let draw = &mut Draw::new(9, Purpose::View, 4, index as u64, number);
                if augmentation.draws_crops() {
                    let source = images.source(index).unwrap();
                    write_view_of(augmentation, source, SIDE, draw, &PLAIN, &mut scratch, &mut out);
                } else {
                    write_view(augmentation, &images.pixels(index), SIDE, draw, &PLAIN, &mut scratch, &mut out);
                }
                assert_eq!(view, out, "{augmentation:?} of image {index}");
            }
        }
        if augmentation == Augmentation::Contrastive {
            let bytes = |batches: &[(Vec<f32>, Vec<usize>)]| -> Vec<u8> {
                batches.iter().flat_map(|(values, _)| values).map(|value| (255.0 * value).round() as u8).collect()
            };
            let on_device = batches(&images, config(augmentation, 2), AugmentOn::Device);
            assert_eq!(bytes(&on_device), bytes(&found));
        }
    }
}

/// A view of a square is the same by both functions.
#[test]
fn a_view_of_a_square_source_is_that_of_the_square() {
    let pixels = planes(&picture(SIDE as u32, SIDE as u32, 3));
    let (mut scratch, size) = (Scratch::default(), pixels.len());
    for augmentation in
        [Augmentation::Contrastive, Augmentation::ResizedCrop { crop: RandomCrop::CHARACTER, flip: false }]
    {
        for index in 0..50 {
            let draw = || Draw::new(2, Purpose::View, 0, index, 0);
            let (mut one, mut other) = (vec![0.0; size], vec![0.0; size]);
            write_view(augmentation, &pixels, SIDE, &mut draw(), &PLAIN, &mut scratch, &mut one);
            let source = SourceImage::square(&pixels, SIDE);
            write_view_of(augmentation, source, SIDE, &mut draw(), &PLAIN, &mut scratch, &mut other);
            assert_eq!(one, other);
        }
    }
}

/// A crop of a stored source shows what the same part of the original shows.
///
/// In an image whose values are a linear function of the position, every filter that is symmetric and sums to one keeps the values: only
/// rounding remains, to half a step in each of two passes of two resizes, which is 2. Within two pixels of the border of the original or of a
/// crop the filters are cut off, and the values are left out.
#[test]
fn a_crop_of_a_source_is_that_part_of_the_original() {
    let (height, width) = (375usize, 500usize);
    // The same at every scale: position from 0 to 1 on both axes.
    let value = |x: f64, y: f64| 20.0 + 130.0 * x + 80.0 * y;
    let plane = (0..height * width).map(|place| {
        let (row, column) = (place / width, place % width);
        value((column as f64 + 0.5) / width as f64, (row as f64 + 0.5) / height as f64).round() as u8
    });
    let plane: Vec<u8> = plane.collect();
    let original = [&plane[..], &plane, &plane].concat();
    for (side, most) in [(224, 256), (96, 110), (64, 73), (64, 300)] {
        let size = (most, most * width / height);
        let mut source = vec![0; 3 * size.0 * size.1];
        let whole = CropBox { top: 0, left: 0, height, width };
        let mut resizer = Resizer::default();
        resizer.resized_crop(&original, (height, width), &whole, size, &mut source);
        for index in 0..60 {
            let crop = ContrastiveView::draw_of(size, &mut Draw::new(3, Purpose::View, 0, index, 0)).crop;
            let mut view = vec![0; 3 * side * side];
            resizer.resized_crop(&source, size, &crop, (side, side), &mut view);
            // The widest filter of the two resizes, in pixels of the view.
            let across = |from: usize| (side as f64 / from as f64).max(1.0);
            let edge = 2 + (2.0 * across(crop.width).max(across(crop.height))).ceil() as usize;
            for (place, &found) in view[..side * side].iter().enumerate() {
                let (row, column) = (place / side, place % side);
                if !(edge..side - edge).contains(&row) || !(edge..side - edge).contains(&column) {
                    continue;
                }
                let at = |start: usize, length: usize, place: usize, of: usize| {
                    (start as f64 + length as f64 * (place as f64 + 0.5) / side as f64) / of as f64
                };
                let expected = value(at(crop.left, crop.width, column, size.1), at(crop.top, crop.height, row, size.0));
                // The original is rounded as well.
                assert!(
                    (f64::from(found) - expected).abs() <= 2.5,
                    "{side} of {most}, {crop:?}: {found}, not {expected}"
                );
            }
        }
    }
}
