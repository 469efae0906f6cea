//! The sources of the datasets.

use qare_fetch::{ArchiveFormat, ExpectedFile, Limits, Source};
use qare_printable::printable;

/// The names of the datasets that can be downloaded.
pub const DOWNLOADABLE: [&str; 5] = ["cifar10", "cifar100", "supercifar100", "stl10", "tiny"];

/// A dataset has no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No dataset has this name.
    #[error("unknown dataset `{}`; these can be fetched: {}", printable(name), DOWNLOADABLE.join(", "))]
    Unknown {
        /// The name as given.
        name: String,
    },

    /// The dataset exists, but is not downloaded.
    #[error("dataset `{dataset}` cannot be fetched: {advice}")]
    NotDownloadable {
        /// The name of the dataset.
        dataset: String,
        /// How to get it.
        advice: &'static str,
    },
}

/// The source of a dataset.
///
/// # Errors
/// If no dataset has this name, or the dataset is not downloaded; then the error says how to get it.
pub fn source(dataset: &str) -> Result<Source, SourceError> {
    match dataset {
        "cifar10" => Ok(cifar10()),
        // The files contain both kinds of labels.
        "cifar100" | "supercifar100" => Ok(cifar100(dataset)),
        "stl10" => Ok(stl10()),
        "tiny" => Ok(tiny()),
        _ => Err(match otherwise(dataset) {
            Some(advice) => SourceError::NotDownloadable { dataset: dataset.to_owned(), advice },
            None => SourceError::Unknown { name: dataset.to_owned() },
        }),
    }
}

/// How to get a dataset that is not downloaded.
fn otherwise(dataset: &str) -> Option<&'static str> {
    match dataset {
        "slim" => Some(
            "SlimageNet64 (Antoniou et al., Defining Benchmarks for Continual Few-Shot Learning, 2020) is given out under \
             ImageNet's terms: download it in a browser from https://zenodo.org/record/3672132, which \
             https://github.com/AntreasAntoniou/FewShotContinualLearning names, and unpack it",
        ),
        "omniglot" => Some(
            "download images_background.zip and images_evaluation.zip from https://github.com/brendenlake/omniglot, and unpack them \
             into one folder",
        ),
        "cub200" => Some("download CUB_200_2011.tgz from https://data.caltech.edu/records/65de6-vp158, and unpack it"),
        "cars196" => Some(
            "get Stanford Cars (Krause et al., 3D Object Representations for Fine-Grained Categorization, 2013): cars_train.tgz, \
             cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat, or car_ims.tgz and cars_annos.mat, or a copy with a \
             folder for each of its 196 classes",
        ),
        "sop" => Some(
            "download Stanford_Online_Products.zip from https://cvgl.stanford.edu/projects/lifted_struct/, and unpack it",
        ),
        "market1501" => Some(
            "its authors give out Market-1501-v15.09.15.zip at https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html: \
             download and unpack it",
        ),
        "cuhk03" => Some(
            "https://github.com/zhunzhong07/person-re-ranking says how to get cuhk03-np, the protocol with 767 people for training",
        ),
        "folder" => Some("it is a folder of your own images: name it, one folder of images a class"),
        "shapes" => Some("it is drawn by the program itself and needs no download"),
        _ => None,
    }
}

/// The binary version. Checksum: <https://www.cs.toronto.edu/~kriz/cifar.html>, which redirects to the second address.
fn cifar10() -> Source {
    let batches = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];
    Source {
        name: "cifar10".to_owned(),
        urls: addresses(&[
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
        ]),
        file_name: "cifar-10-binary.tar.gz".to_owned(),
        format: ArchiveFormat::TarGz,
        size: Some(170_052_171),
        md5: "c32a1d4ab5d03f1284b67883e8d87530".to_owned(),
        folder: "cifar-10-batches-bin".to_owned(),
        files: batches.iter().map(|batch| sized(&format!("{batch}.bin"), 10_000 * (1 + 3 * 32 * 32))).collect(),
        limits: Limits { entries: 100, bytes: 200_000_000 },
    }
}

/// The binary version. Checksum: <https://www.cs.toronto.edu/~kriz/cifar.html>.
fn cifar100(name: &str) -> Source {
    Source {
        name: name.to_owned(),
        urls: addresses(&[
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            "https://cave.cs.toronto.edu/kriz/cifar-100-binary.tar.gz",
        ]),
        file_name: "cifar-100-binary.tar.gz".to_owned(),
        format: ArchiveFormat::TarGz,
        size: Some(168_513_733),
        md5: "03b5dce01913d631647c71ecec9e9cb8".to_owned(),
        folder: "cifar-100-binary".to_owned(),
        files: vec![
            sized("train.bin", 50_000 * (2 + 3 * 32 * 32)),
            sized("test.bin", 10_000 * (2 + 3 * 32 * 32)),
            ExpectedFile { path: "fine_label_names.txt".to_owned(), size: None },
            ExpectedFile { path: "coarse_label_names.txt".to_owned(), size: None },
        ],
        limits: Limits { entries: 100, bytes: 200_000_000 },
    }
}

/// <https://cs.stanford.edu/~acoates/stl10/>. The authors publish no checksum; this is torchvision's.
fn stl10() -> Source {
    let image = 3 * 96 * 96;
    Source {
        name: "stl10".to_owned(),
        urls: addresses(&[
            "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        ]),
        file_name: "stl10_binary.tar.gz".to_owned(),
        format: ArchiveFormat::TarGz,
        size: Some(2_640_397_119),
        md5: "91f7769df0f17e558f3565bffb0c7dfb".to_owned(),
        folder: "stl10_binary".to_owned(),
        files: vec![
            sized("train_X.bin", 5_000 * image),
            sized("train_y.bin", 5_000),
            sized("test_X.bin", 8_000 * image),
            sized("test_y.bin", 8_000),
            sized("unlabeled_X.bin", 100_000 * image),
        ],
        limits: Limits { entries: 100, bytes: 3_200_000_000 },
    }
}

/// Tiny ImageNet of Stanford's course CS231n. The course publishes no checksum; this is Avalanche's
/// (`avalanche/benchmarks/datasets/tiny_imagenet`).
fn tiny() -> Source {
    Source {
        name: "tiny".to_owned(),
        urls: addresses(&[
            "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        ]),
        file_name: "tiny-imagenet-200.zip".to_owned(),
        format: ArchiveFormat::Zip,
        size: Some(248_100_043),
        md5: "90528d7ca1a48142e341f4ef8d21d0de".to_owned(),
        folder: "tiny-imagenet-200".to_owned(),
        files: ["wnids.txt", "train", "val/images", "val/val_annotations.txt"]
            .map(|path| ExpectedFile { path: path.to_owned(), size: None })
            .to_vec(),
        // 120 000 images in some 400 folders.
        limits: Limits { entries: 150_000, bytes: 1_000_000_000 },
    }
}

fn addresses(urls: &[&str]) -> Vec<String> {
    urls.iter().map(|&url| url.to_owned()).collect()
}

fn sized(path: &str, size: u64) -> ExpectedFile {
    ExpectedFile { path: path.to_owned(), size: Some(size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_whole() {
        for name in DOWNLOADABLE {
            let source = source(name).unwrap();
            assert_eq!(source.name, name);
            assert!(source.urls[0].starts_with("https://"), "{name}");
            for url in &source.urls {
                assert_eq!(url.rsplit('/').next(), Some(source.file_name.as_str()), "{name}: {url}");
            }
            assert!(source.md5.len() == 32 && source.md5.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
            let expected: u64 = source.files.iter().filter_map(|file| file.size).sum();
            assert!(expected < source.limits.bytes, "{name}: {expected} bytes do not fit the limit");
            assert!(!source.files.is_empty() && !source.folder.contains('/'), "{name}");
        }
        assert_eq!(source("supercifar100").unwrap().md5, source("cifar100").unwrap().md5);
    }

    #[test]
    fn what_cannot_be_fetched_says_how_to_get_it() {
        let message = |name| source(name).unwrap_err().to_string();
        assert!(message("slim").contains("https://zenodo.org/record/3672132"));
        assert!(message("folder").contains("your own images"));
        assert!(message("shapes").contains("needs no download"));
        assert!(message("cifar").contains("cifar10, cifar100, supercifar100, stl10, tiny"));
    }
}
