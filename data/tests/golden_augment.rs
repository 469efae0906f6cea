//! Compares the operations with Pillow and torchvision, on the same images with the same parameters.
//!
//! The files are those of the folder `QARE_GOLDEN_DIR`, or of `golden/` beside this file. Each file says which images, of which size,
//! and which parameters it has.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use qare_data::color;
use qare_data::crop::CropBox;
use qare_data::hue::hue;
use qare_data::resize::Resizer;
use safetensors::SafeTensors;
use serde::Deserialize;

/// Files of these kinds belong to other crates, or to `golden_views.rs`.
const OTHERS: [&str; 4] = ["loss_", "qare_", "backbone_", "view_"];

/// The largest difference that is allowed of an 8-bit value, and of the average.
const MOST: u8 = 3;
const MEAN: f64 = 1.0;

#[derive(Deserialize)]
struct Crop {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
    /// Height and width of the result.
    out: [usize; 2],
}

struct Golden {
    metadata: HashMap<String, String>,
    images: HashMap<String, Image>,
}

/// Planar pixels.
struct Image {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

fn folder() -> PathBuf {
    match std::env::var_os("QARE_GOLDEN_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
    }
}

fn files() -> Vec<PathBuf> {
    let folder = folder();
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("augment_") && name.ends_with(".safetensors") {
            files.push(path);
        } else if !OTHERS.iter().any(|kind| name.starts_with(kind)) {
            panic!("{} is of no known kind", path.display());
        }
    }
    assert!(!files.is_empty(), "no augment_*.safetensors in {}", folder.display());
    files.sort();
    files
}

fn read(path: &Path) -> Golden {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().expect("metadata");
    assert_eq!(metadata["kind"], "augment", "{}", path.display());
    assert_eq!(metadata["layout"], "HWC u8", "{}", path.display());
    let images = SafeTensors::deserialize(&bytes)
        .unwrap()
        .iter()
        .map(|(name, tensor)| {
            assert_eq!(tensor.dtype(), safetensors::Dtype::U8, "{}: {name}", path.display());
            let [height, width, 3] = *tensor.shape() else { panic!("{}: {name} is not [H, W, 3]", path.display()) };
            let interleaved = tensor.data();
            let pixels = (0..3).flat_map(|channel| interleaved.iter().skip(channel).step_by(3).copied()).collect();
            (name.to_owned(), Image { height, width, pixels })
        })
        .collect();
    Golden { metadata, images }
}

impl Golden {
    fn number(&self, name: &str) -> f64 {
        self.metadata[name].parse().unwrap()
    }

    /// The result of this crate for the operation with this name.
    fn ours(&self, result: &str) -> Vec<u8> {
        let image = &self.images["image"];
        let mut pixels = image.pixels.clone();
        match result {
            "resized_crop" => {
                let crop: Crop = serde_json::from_str(&self.metadata["crop"]).unwrap();
                let [out_height, out_width] = crop.out;
                let area = CropBox { top: crop.top, left: crop.left, height: crop.height, width: crop.width };
                pixels = vec![0; 3 * out_height * out_width];
                Resizer::default().resized_crop(
                    &image.pixels,
                    (image.height, image.width),
                    &area,
                    (out_height, out_width),
                    &mut pixels,
                );
            }
            "brightness" => color::brightness(&mut pixels, self.number(result) as f32),
            "contrast" => color::contrast(&mut pixels, self.number(result) as f32),
            "saturation" => color::saturation(&mut pixels, self.number(result) as f32),
            "hue" => hue(&mut pixels, self.number(result)),
            "grayscale" => color::grayscale(&mut pixels),
            "hflip" => color::flip_horizontally(&mut pixels, image.width),
            other => panic!("unknown result `{other}`"),
        }
        pixels
    }
}

#[test]
fn every_golden_file_is_met() {
    let mut worst: HashMap<String, (u8, f64)> = HashMap::new();
    for path in files() {
        let golden = read(&path);
        let results = golden.images.iter().filter(|(name, _)| *name != "image");
        assert!(results.clone().count() > 0, "{} has no results", path.display());
        for (name, expected) in results {
            let ours = golden.ours(name);
            assert_eq!(ours.len(), expected.pixels.len(), "{}: {name}", path.display());
            let differences = ours.iter().zip(&expected.pixels).map(|(ours, theirs)| ours.abs_diff(*theirs));
            let most = differences.clone().max().unwrap();
            let mean = differences.map(f64::from).sum::<f64>() / ours.len() as f64;
            assert!(most <= MOST && mean <= MEAN, "{}: {name}: most {most}, mean {mean}", path.display());
            let entry = worst.entry(name.clone()).or_default();
            *entry = (entry.0.max(most), entry.1.max(mean));
        }
    }
    for (name, (most, mean)) in worst {
        println!("{name}: largest difference {most}, largest mean {mean}");
    }
}
