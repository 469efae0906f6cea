//! `write_view` for every augmentation: the values that it writes, and the names of the augmentations.

use qare_data::crop::{CropBox, RandomCrop};
use qare_data::geometric_views::{AffineView, CropView, FlipView, ResizedCropView};
use qare_data::views::ContrastiveView;
use qare_data::{Augmentation, Draw, Normalization, Purpose, RandomErasing, Scratch, write_view};

const NORMALIZATION: Normalization = Normalization { mean: [0.5, 0.4, 0.3], std: [0.25, 0.5, 0.2] };

const ALL: [Augmentation; 8] = [
    Augmentation::None,
    Augmentation::Contrastive,
    Augmentation::Crop,
    Augmentation::Flip,
    Augmentation::Affine { erase: None },
    Augmentation::Affine { erase: Some(RandomErasing::STL10) },
    Augmentation::ResizedCrop { crop: RandomCrop::PHOTOGRAPH, flip: true },
    Augmentation::ResizedCrop { crop: RandomCrop::CHARACTER, flip: false },
];

fn image(side: usize) -> Vec<u8> {
    let mut draw = Draw::new(0, Purpose::Picture, 0, 0, 0);
    (0..3 * side * side).map(|_| draw.below(256) as u8).collect()
}

fn draw(index: u64) -> Draw {
    Draw::new(4, Purpose::View, 1, index, 0)
}

fn view(augmentation: Augmentation, side: usize, index: u64, scratch: &mut Scratch) -> Vec<f32> {
    let mut out = vec![f32::NAN; 3 * side * side];
    write_view(augmentation, &image(side), side, &mut draw(index), &NORMALIZATION, scratch, &mut out);
    out
}

/// The normalised value (pixel / 255 - mean) / std at a place of the image.
fn value(image: &[u8], side: usize, channel: usize, row: usize, column: usize) -> f32 {
    let pixel = f32::from(image[(channel * side + row) * side + column]);
    (pixel / 255.0 - NORMALIZATION.mean[channel]) / NORMALIZATION.std[channel]
}

#[test]
fn none_and_flip_are_the_image_and_its_mirror_image() {
    let (side, mut scratch) = (9, Scratch::default());
    let image = image(side);
    let places = || (0..3).flat_map(|c| (0..9).flat_map(move |row| (0..9).map(move |column| (c, row, column))));
    let whole: Vec<f32> = places().map(|(c, row, column)| value(&image, side, c, row, column)).collect();
    let mirrored: Vec<f32> = places().map(|(c, row, column)| value(&image, side, c, row, 8 - column)).collect();
    assert_eq!(view(Augmentation::None, side, 0, &mut scratch), whole);
    for index in 0..20 {
        let expected = if FlipView::draw(&mut draw(index)).flip { &mirrored } else { &whole };
        assert_eq!(view(Augmentation::Flip, side, index, &mut scratch), *expected);
    }
}

/// This also shows that the scratch carries nothing over to a later view.
#[test]
fn views_are_their_choices_applied() {
    let mut scratch = Scratch::default();
    for (index, side) in (0..60).map(|index| (index, [16, 33, 24][index as usize % 3])) {
        let (image, mut out) = (image(side), vec![f32::NAN; 3 * side * side]);
        for augmentation in ALL {
            let (mut draw, new) = (draw(index), &mut Scratch::default());
            match augmentation {
                Augmentation::None => continue,
                Augmentation::Contrastive => {
                    ContrastiveView::draw(side, &mut draw).apply(&image, side, &NORMALIZATION, new, &mut out);
                }
                Augmentation::Crop => {
                    CropView::draw(side, &mut draw).apply(&image, side, &NORMALIZATION, new, &mut out)
                }
                Augmentation::Flip => FlipView::draw(&mut draw).apply(&image, side, &NORMALIZATION, new, &mut out),
                Augmentation::Affine { erase } => {
                    AffineView::draw(side, erase, &mut draw).apply(&image, side, &NORMALIZATION, new, &mut out);
                }
                Augmentation::ResizedCrop { crop, flip } => {
                    let view = ResizedCropView::draw(side, crop, flip, &mut draw);
                    view.apply(&image, side, &NORMALIZATION, new, &mut out);
                }
            }
            assert_eq!(view(augmentation, side, index, &mut scratch), out, "{augmentation:?}");
        }
    }
}

/// Without changes of colour, a contrastive view is a resized crop.
#[test]
fn resized_crops_are_those_of_contrastive_views() {
    let (side, scratch) = (32, &mut Scratch::default());
    let image = image(side);
    let mut flips = 0;
    for index in 0..200 {
        let crop = RandomCrop { scale: (0.3, 0.7), ..RandomCrop::PHOTOGRAPH };
        let view = ResizedCropView::draw(side, crop, true, &mut draw(index));
        flips += usize::from(view.flip);
        let CropBox { height, width, .. } = view.crop;
        // Sides are rounded to whole pixels, so the area is off by less than half a pixel on each.
        let (least, most) =
            ((height as f64 - 0.5) * (width as f64 - 0.5), (height as f64 + 0.5) * (width as f64 + 0.5));
        let area = (side * side) as f64;
        assert!(most >= 0.3 * area && least <= 0.7 * area, "{view:?}");
        assert!(!ResizedCropView::draw(side, crop, false, &mut draw(index)).flip);
        let of_contrast = ContrastiveView { crop: view.crop, flip: view.flip, jitter: None, grayscale: false };
        let (mut one, mut other) = (vec![f32::NAN; image.len()], vec![f32::NAN; image.len()]);
        view.apply(&image, side, &NORMALIZATION, scratch, &mut one);
        of_contrast.apply(&image, side, &NORMALIZATION, scratch, &mut other);
        assert_eq!(one, other);
    }
    // Five standard deviations of 200 coins.
    assert!(flips.abs_diff(100) < 36, "{flips} flips");
}

/// Later versions of this crate must repeat a run.
#[test]
fn the_choices_never_change() {
    let crop = CropView::draw(32, &mut draw(0));
    assert_eq!((crop.crop.top, crop.crop.left, crop.flip), (2, 0, true));
    let view = AffineView::draw(96, Some(RandomErasing::STL10), &mut draw(7));
    let affine = view.affine.unwrap();
    assert_eq!((view.flip, affine.right, affine.down), (true, 0, 4));
    for (number, expected) in
        [(affine.angle, -17.26280900766805), (affine.scale, 0.9357168409926909), (affine.shear, 5.388477988148654)]
    {
        assert!((number - expected).abs() < 1e-12, "{affine:?}");
    }
    assert_eq!(view.erased, Some(CropBox { top: 14, left: 52, height: 32, width: 32 }));
}

#[test]
fn names_in_files() {
    let json = |augmentation| serde_json::to_string(&augmentation).unwrap();
    assert_eq!(ALL.map(json)[..4], ["\"none\"", "\"contrastive\"", "\"crop\"", "\"flip\""]);
    assert_eq!(json(ALL[5]), r#"{"affine":{"erase":0.111}}"#);
    let character = r#"{"resizedcrop":{"crop":{"scale":[0.6,1.0],"ratio":[0.75,1.3333333333333333]},"flip":false}}"#;
    assert_eq!(json(ALL[7]), character);
    for augmentation in ALL {
        assert_eq!(serde_json::from_str::<Augmentation>(&json(augmentation)).unwrap(), augmentation);
    }
    let without: Augmentation = serde_json::from_str(r#"{"affine":{}}"#).unwrap();
    assert_eq!(without, Augmentation::Affine { erase: None });
    assert!(serde_json::from_str::<Augmentation>(r#"{"affine":{"erasing":0.1}}"#).is_err());
}
