use std::io::Write;

use super::*;
use crate::images::mapped::map;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

fn three_images() -> ImageSet {
    let pixels = (0..3 * 12).map(|value| value as u8).collect();
    ImageSet::new(pixels, vec![1, 0, 1], 2, names(2)).unwrap()
}

/// The same three images in a file, after seven other bytes.
fn three_mapped_images(by_columns: bool) -> ImageSet {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[99; 7]).unwrap();
    let images = three_images();
    for index in 0..3 {
        let pixels = images.pixels(index);
        // A transposition is its own inverse.
        file.write_all(&if by_columns { transposed(&pixels, 2) } else { pixels.into_owned() }).unwrap();
    }
    let map = map(&file).unwrap();
    ImageSet::mapped(MappedPixels { map, start: 7, bytes: 36, by_columns }, vec![1, 0, 1], 2, names(2)).unwrap()
}

#[test]
fn hands_out_what_was_put_in() {
    let images = three_images();
    assert_eq!((images.len(), images.side(), images.classes()), (3, 2, 2));
    assert_eq!(*images.pixels(1), (12..24).collect::<Vec<u8>>());
    let item = Dataset::get(&images, 2).unwrap();
    assert_eq!((item.label, item.index, item.side), (1, 2, 2));
    assert_eq!(item.pixels, *images.pixels(2));
    assert!(Dataset::get(&images, 3).is_none());
    assert!(matches!(images.pixels(0), Cow::Borrowed(_)));
    assert_eq!(images.file_name(0), None);
}

#[test]
fn a_mapped_file_is_the_same_set() {
    let images = three_images();
    for by_columns in [false, true] {
        let mapped = three_mapped_images(by_columns);
        assert!(images.is_in_memory() && !mapped.is_in_memory());
        for (index, place) in [2, 1, 1, 0].into_iter().enumerate() {
            assert_eq!(mapped.pixels(place), images.pixels(place));
            // Indices of a selection of a selection refer to the first selection.
            let part = mapped.select(&[0, 2, 1]).select(&[1, 2, 2, 0]);
            assert_eq!((part.pixels(index), part.label(index)), (images.pixels(place), images.label(place)));
            assert_eq!(matches!(part.pixels(index), Cow::Borrowed(_)), !by_columns);
        }
    }
}

#[test]
fn select_copies_in_the_given_order() {
    let names = ["a/1.png", "a/2.png", "b/1.png"].map(str::to_owned).to_vec();
    let images = three_images().with_file_names(names).unwrap();
    let part = images.select(&[2, 1]);
    assert_eq!(part.labels(), &[1, 0]);
    assert_eq!(part.pixels(0), images.pixels(2));
    assert_eq!(part.pixels(1), images.pixels(1));
    assert_eq!((part.file_name(0), part.file_name(1)), (Some("b/1.png"), Some("a/2.png")));
    assert!(images.select(&[]).is_empty());
}

#[test]
fn refuses_what_does_not_fit() {
    let short = ImageSet::new(vec![0; 11], vec![0], 2, names(1)).unwrap_err();
    assert_eq!(short.to_string(), "1 images of 3x2x2 need 12 bytes of pixels, found 11");
    let label = ImageSet::new(vec![0; 24], vec![0, 7], 2, names(2)).unwrap_err();
    assert!(label.to_string().contains("image 1 has label 7, expected 0 to 1"));
    assert!(ImageSet::new(vec![], vec![], 0, names(1)).is_err());
    let files = three_images().with_file_names(vec!["a.png".into()]).unwrap_err();
    assert_eq!(files.to_string(), "1 file names for 3 images");
}
