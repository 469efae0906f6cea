//! Datasets in their official layouts: few images where the layout allows it, and else black ones in sparse files.

use std::fs::{self, File};
use std::path::Path;

use image::{Rgb, RgbImage};

fn black(path: &Path, bytes: u64) {
    File::create(path).unwrap().set_len(bytes).unwrap();
}

/// Writes small coloured pictures, all different.
fn pictures(folder: &Path, count: u32, side: u32, extension: &str) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..count {
        let colour =
            |x: u32, y: u32| Rgb([(x * 4 + number) as u8, (y * 5 + 40 * number) as u8, (x * y + number) as u8]);
        let picture = RgbImage::from_fn(side, side, colour);
        picture.save(folder.join(format!("picture_{number}.{extension}"))).unwrap();
    }
}

/// Writes the files of a dataset into `dir`, as its archive unpacks.
pub fn write(dataset: &str, dir: &Path) {
    let folder = |name: &str| {
        let folder = dir.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    };
    match dataset {
        "cifar10" => {
            let folder = folder("cifar-10-batches-bin");
            for batch in 1..=5 {
                black(&folder.join(format!("data_batch_{batch}.bin")), 10_000 * 3073);
            }
            black(&folder.join("test_batch.bin"), 10_000 * 3073);
        }
        "cifar100" | "supercifar100" => {
            let folder = folder("cifar-100-binary");
            black(&folder.join("train.bin"), 50_000 * 3074);
            black(&folder.join("test.bin"), 10_000 * 3074);
        }
        "stl10" => {
            let folder = folder("stl10_binary");
            let size = 3 * 96 * 96;
            for (name, images) in [("train", 5000u64), ("test", 8000)] {
                black(&folder.join(format!("{name}_X.bin")), images * size);
                let labels: Vec<u8> = (0..images).map(|image| (image % 10) as u8 + 1).collect();
                fs::write(folder.join(format!("{name}_y.bin")), labels).unwrap();
            }
            black(&folder.join("unlabeled_X.bin"), 100_000 * size);
        }
        "tiny" => {
            let folder = folder("tiny-imagenet-200");
            let classes = ["n01443537", "n01629819", "n01641577"];
            fs::write(folder.join("wnids.txt"), classes.join("\n")).unwrap();
            let mut annotations = String::new();
            for (number, class) in classes.iter().enumerate() {
                pictures(&folder.join("train").join(class).join("images"), 8, 64, "JPEG");
                for picture in 0..3 {
                    annotations += &format!("val_{}.JPEG\t{class}\t0\t0\t62\t62\n", 3 * number + picture);
                }
            }
            pictures(&folder.join("val/images"), 9, 64, "JPEG");
            for number in 0..9 {
                let images = folder.join("val/images");
                fs::rename(images.join(format!("picture_{number}.JPEG")), images.join(format!("val_{number}.JPEG")))
                    .unwrap();
            }
            fs::write(folder.join("val/val_annotations.txt"), annotations).unwrap();
        }
        "slim" | "folder" => {
            for class in ["bird", "fish", "tree"] {
                pictures(&dir.join("train").join(class), 8, 64, "png");
                pictures(&dir.join("test").join(class), 3, 64, "png");
            }
        }
        other => panic!("no files for {other}"),
    }
}
