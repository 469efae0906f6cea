//! Compares crops, affine transforms and erasing with torchvision and Pillow, for the same images and the same choices. The 8-bit
//! pixels are equal, and so are the normalised values. `make_view_cases.py` makes the file.

use std::path::Path;

use md5::{Digest, Md5};
use qare_data::affine::{Affine, Warper};
use qare_data::color::flip_horizontally;
use qare_data::crop::CropBox;
use qare_data::geometric_views::{AffineView, CropView};
use qare_data::padded_crop::PaddedCrop;
use qare_data::resize::Resizer;
use qare_data::{Normalization, RandomErasing, Scratch};
use serde::Deserialize;

/// Largest allowed difference of a normalised value.
const MOST: f32 = 1e-6;

#[derive(Deserialize)]
struct File {
    step: usize,
    cases: Vec<Case>,
    resized: Vec<ResizedCase>,
}

/// A resized crop of an image of any size.
#[derive(Deserialize)]
struct ResizedCase {
    size: (usize, usize),
    seed: u32,
    /// Top, left, height and width.
    crop: [usize; 4],
    side: usize,
    pixels_md5: String,
}

#[derive(Deserialize)]
struct Case {
    side: usize,
    seed: u32,
    flip: bool,
    crop: Option<Crop>,
    affine: Option<Transform>,
    share: Option<f64>,
    erased: Option<Square>,
    mean: [f32; 3],
    std: [f32; 3],
    /// The hash of the pixels before normalisation, planar.
    pixels_md5: String,
    /// The hash of one byte for every value of the view: 1 where the value is 0.
    zeros_md5: String,
    /// Every `step`-th value of the view.
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Crop {
    top: usize,
    left: usize,
    padding: usize,
}

#[derive(Deserialize)]
struct Transform {
    angle: f64,
    right: i32,
    down: i32,
    scale: f64,
    shear: f64,
}

#[derive(Deserialize)]
struct Square {
    top: usize,
    left: usize,
    side: usize,
}

impl Case {
    fn name(&self) -> String {
        let kind = if self.crop.is_some() { "crop" } else { "affine" };
        format!("{kind} of {0}x{0}, seed {1}", self.side, self.seed)
    }

    fn image(&self) -> Vec<u8> {
        noise(3 * self.side * self.side, self.seed)
    }

    fn crop(&self) -> Option<PaddedCrop> {
        self.crop.as_ref().map(|&Crop { top, left, padding }| PaddedCrop { padding, top, left })
    }

    fn affine(&self) -> Option<Affine> {
        self.affine.as_ref().map(|&Transform { angle, right, down, scale, shear }| Affine {
            angle,
            right,
            down,
            scale,
            shear,
        })
    }

    /// The 8-bit pixels that are normalised.
    fn pixels(&self) -> Vec<u8> {
        let (size, image) = ((self.side, self.side), self.image());
        let mut out = image.clone();
        if let Some(affine) = self.affine() {
            Warper::default().warp(&image, size, self.flip, &affine, &mut out);
            return out;
        }
        if let Some(crop) = self.crop() {
            crop.cut(&image, size, &mut out);
        }
        if self.flip {
            flip_horizontally(&mut out, self.side);
        }
        out
    }

    fn view(&self) -> Vec<f32> {
        let image = self.image();
        let normalization = Normalization { mean: self.mean, std: self.std };
        let (mut scratch, mut out) = (Scratch::default(), vec![f32::NAN; image.len()]);
        match self.crop() {
            Some(crop) => {
                let view = CropView { crop, flip: self.flip };
                view.apply(&image, self.side, &normalization, &mut scratch, &mut out);
            }
            None => {
                let erased = self.erased.as_ref().map(|&Square { top, left, side }| CropBox {
                    top,
                    left,
                    height: side,
                    width: side,
                });
                let view = AffineView { flip: self.flip, affine: self.affine(), erased };
                view.apply(&image, self.side, &normalization, &mut scratch, &mut out);
            }
        }
        out
    }
}

fn noise(values: usize, seed: u32) -> Vec<u8> {
    let value = |place: usize| {
        let value = (place as u32).wrapping_add(seed.wrapping_mul(1_000_003)).wrapping_mul(2_654_435_761);
        ((value ^ (value >> 15)).wrapping_mul(2_246_822_519) >> 24) as u8
    };
    (0..values).map(value).collect()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file() -> File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/view_cases.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn cases() -> (usize, Vec<Case>) {
    let File { step, cases, .. } = file();
    assert!(cases.iter().filter(|case| case.crop.is_some()).count() >= 16);
    assert!(cases.iter().filter(|case| case.affine.is_some()).count() >= 32);
    assert!(cases.iter().filter(|case| case.erased.is_some()).count() >= 16);
    (step, cases)
}

#[test]
fn resized_crops_of_any_size_are_torchvisions_to_the_bit() {
    let cases = file().resized;
    assert!(cases.len() >= 48);
    let mut resizer = Resizer::default();
    for ResizedCase { size, seed, crop: [top, left, height, width], side, pixels_md5 } in cases {
        let crop = CropBox { top, left, height, width };
        let mut out = vec![0; 3 * side * side];
        resizer.resized_crop(&noise(3 * size.0 * size.1, seed), size, &crop, (side, side), &mut out);
        assert_eq!(md5(&out), pixels_md5, "{crop:?} of {size:?} to {side}");
    }
}

#[test]
fn pixels_are_torchvisions_to_the_bit() {
    for case in cases().1 {
        assert_eq!(md5(&case.pixels()), case.pixels_md5, "{}", case.name());
    }
}

#[test]
fn normalised_values_are_torchvisions() {
    let (step, cases) = cases();
    let mut worst = 0.0f32;
    for case in cases {
        let view = case.view();
        let zeros: Vec<u8> = view.iter().map(|&value| u8::from(value == 0.0)).collect();
        assert_eq!(md5(&zeros), case.zeros_md5, "erased part of {}", case.name());
        let ours: Vec<f32> = view.iter().step_by(step).copied().collect();
        assert_eq!(ours.len(), case.values.len(), "{}", case.name());
        for (place, (ours, theirs)) in ours.iter().zip(&case.values).enumerate() {
            let difference = (ours - theirs).abs();
            assert!(difference <= MOST, "{}: {ours} and {theirs} at {}", case.name(), place * step);
            worst = worst.max(difference);
        }
    }
    println!("largest difference {worst}");
}

#[test]
fn squares_are_as_large_as_torchvisions() {
    for case in cases().1 {
        if let (Some(area), Some(square)) = (case.share, &case.erased) {
            assert_eq!(RandomErasing { area }.side(case.side, case.side), square.side, "share {area} of {}", case.side);
        }
    }
}
