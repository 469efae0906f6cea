//! Validation of the settings of a recipe.

use qare_data::datasets::MAX_SOURCE;
use qare_data::{AugmentOn, Augmentation, DatasetName, folder};

use super::{InfoMaxRecipe, Recipe, SourceSize};
use crate::error::{LabError, Result};
use crate::methods::Method;
use crate::printable_path::PrintablePath;

/// Valid heights and widths of images, in pixels.
pub const SIZES: std::ops::RangeInclusive<usize> = 8..=2048;

/// Maximum length of `id` in bytes, which leaves room for the rest of the run folder's name.
const MAX_ID_BYTES: usize = 100;

/// The setting under both of its names, because the user may have written either.
const BATCH_SIZE: &str = "batch_size/data_size";
const PROBE_BATCH_SIZE: &str = "probe.batch_size/probe.data_size";

impl Recipe {
    /// Checks that all settings are valid and consistent.
    ///
    /// # Errors
    /// If a setting is out of range or contradicts another one.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            (BATCH_SIZE, self.batch_size, 2),
            ("K", self.views, 2),
            ("clusters", self.clusters.unwrap_or(2), 2),
            ("image_size", self.image_size.unwrap_or(8), *SIZES.start()),
            ("test_images", self.test_images.unwrap_or(1), 1),
            ("epochs", self.epochs, 1),
            ("outter_fs", self.outter_fs, if self.is_metric() { 0 } else { 1 }),
            ("images_per_identity", self.images_per_identity, 2),
            ("knn.neighbours", self.knn.neighbours, 1),
            ("knn.held_out", self.knn.held_out, 1),
            ("knn.bank", self.knn.bank, 1),
            ("probe.epochs", self.probe.epochs, 1),
            (PROBE_BATCH_SIZE, self.probe.batch_size, 1),
        ];
        for (name, value, least) in counts {
            if value < least {
                return Err(LabError::Usage(format!("{name} is {value}: it must be at least {least}")));
            }
        }
        if self.max_pixels == Some(0) {
            return Err(LabError::Usage("max_pixels is 0: it must be at least 1".into()));
        }
        // Larger values are typing errors. Without the bounds they would end in failed allocations.
        let bounds = [
            (BATCH_SIZE, self.batch_size, 1 << 20),
            ("K", self.views, 1024),
            ("clusters", self.clusters.unwrap_or(2), 1 << 24),
            ("image_size", self.image_size.unwrap_or(8), *SIZES.end()),
            ("outter_fs", self.outter_fs, 1 << 16),
            ("images_per_identity", self.images_per_identity, 1024),
            ("the number of gpus", self.devices().len(), 256),
            ("num_workers", self.num_workers, 1024),
            (PROBE_BATCH_SIZE, self.probe.batch_size, 1 << 30),
        ];
        for (name, value, most) in bounds {
            if value > most {
                return Err(LabError::Usage(format!("{name} is {value}: it must be at most {most}")));
            }
        }
        for (name, seed) in [("seed", Some(self.seed)), ("probe.seed", self.probe.seed)] {
            if seed.is_some_and(|seed| seed > i64::MAX as u64) {
                return Err(LabError::Usage(format!(
                    "{name} must be at most {}, the largest integer of TOML",
                    i64::MAX
                )));
            }
        }
        for (name, path) in
            [("out", Some(&self.out)), ("data_dir", self.data_dir.as_ref()), ("checkpoint", self.checkpoint.as_ref())]
        {
            if path.is_some_and(|path| path.as_os_str().is_empty()) {
                return Err(LabError::Usage(format!("{name} is empty: expected a path, or no such setting")));
            }
        }
        for path in [Some(&self.out), self.data_dir.as_ref(), self.checkpoint.as_ref()].into_iter().flatten() {
            if path.to_str().is_none() {
                return Err(LabError::Usage(format!("{}: a path in a recipe must be UTF-8", path.printable())));
            }
        }
        if self.checkpoint.is_some() && self.method == Method::Randomweights {
            return Err(LabError::Usage(
                "randomweights does not start from a checkpoint: leave out --checkpoint".into(),
            ));
        }
        let plan = self.method.plan(self);
        if self.augment_on == AugmentOn::Device
            && plan.is_some_and(|plan| plan.augmentation != Augmentation::Contrastive)
        {
            return Err(LabError::Usage(format!(
                "augment_on is device: only contrastive views are computed on the device, those of simclr, simclr_qare, \
                 sparseclr, sparseclr_qare and relationnet; {} needs --augment-on host, the default",
                self.method
            )));
        }
        if self.train_images.is_some_and(|images| images < 2) {
            return Err(LabError::Usage("train_images must be at least 2: training needs two images".into()));
        }
        let positive = [
            ("temperature", self.temperature),
            ("learning_rate", self.learning_rate),
            ("proxy_rate", self.proxy_rate()),
            ("scale", self.scale.unwrap_or(1.0)),
            ("positive_scale", self.positive_scale.unwrap_or(1.0)),
            ("negative_scale", self.negative_scale.unwrap_or(1.0)),
            ("knn.temperature", self.knn.temperature),
            ("probe.learning_rate", self.probe.learning_rate),
        ];
        for (name, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(LabError::Usage(format!("{name} is {value}: it must be a positive number")));
            }
        }
        let InfoMaxRecipe { local, global, prior } = self.infomax;
        let weights = [
            ("alpha", self.alpha),
            ("beta", self.beta),
            ("margin", self.margin),
            ("positive_margin", self.positive_margin.unwrap_or(0.0)),
            ("momentum", self.momentum),
        ];
        let terms = [("infomax.local", local), ("infomax.global", global), ("infomax.prior", prior)];
        for (name, value) in weights.into_iter().chain(terms) {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(LabError::Usage(format!("{name} is {value}: it must be zero or a positive number")));
            }
        }
        if let Some(base) = self.base_similarity.filter(|base| !base.is_finite()) {
            return Err(LabError::Usage(format!("base_similarity is {base}: it must be a number, such as 0.5")));
        }
        if self.method == Method::Deepinfomax && terms.iter().all(|(_, weight)| *weight == 0.0) {
            return Err(LabError::Usage(
                "infomax: at least one of the weights local, global and prior must be positive".into(),
            ));
        }
        if [Method::SimclrQare, Method::SparseclrQare].iter().any(|method| self.method == *method)
            && self.alpha == 0.0
            && self.beta == 0.0
        {
            return Err(LabError::Usage("alpha and beta are both 0: the loss would be zero".into()));
        }
        if !(0.0..=0.9).contains(&self.validation_share) {
            return Err(LabError::Usage(format!(
                "validation_share is {}: it must be from 0, which leaves the validation out, to 0.9",
                self.validation_share
            )));
        }
        if self.freeze_batch_norm && self.checkpoint.is_none() {
            return Err(LabError::Usage(
                "freeze_batch_norm keeps the statistics of the weights that training starts from: name them with --checkpoint"
                    .into(),
            ));
        }
        let of_each = self.images_per_identity;
        if self.is_metric() && (!self.batch_size.is_multiple_of(of_each) || self.batch_size < 2 * of_each) {
            return Err(LabError::Usage(format!(
                "{BATCH_SIZE} is {}: {} needs a multiple of images_per_identity, {of_each}, and at least {}, two classes",
                self.batch_size,
                self.method,
                2 * of_each
            )));
        }
        if self.probe.augment && !self.probe.finetune {
            return Err(LabError::Usage(
                "augment needs finetune (--augment --finetune): a linear probe is trained on frozen features of plain images"
                    .into(),
            ));
        }
        if let (Some(size), Some(side)) = (self.image_size, self.dataset.side())
            && size != side
            && !self.dataset.is_resizable()
        {
            return Err(LabError::Usage(format!(
                "image_size is {size}: the images of {} are {side}×{side}",
                self.dataset
            )));
        }
        if let Some(SourceSize::Pixels(pixels)) = self.source_size {
            let side = self.image_size.unwrap_or(folder::SIDE);
            let problem = match self.dataset.side() {
                Some(side) => format!(
                    "the images of {} are {side}×{side}; larger ones to draw crops from are kept of photographs of any size, as in folder, cub200, \
                     cars196 and sop",
                    self.dataset
                ),
                None if !(side..=MAX_SOURCE).contains(&pixels) => {
                    format!("it must be from {side}, the image size, to {MAX_SOURCE}, or square")
                }
                None => String::new(),
            };
            if !problem.is_empty() {
                return Err(LabError::Usage(format!("source_size is {pixels}: {problem}")));
            }
        }
        if let Some(classes) = &self.test_classes
            && ![self.dataset, self.probed()].contains(&DatasetName::Folder)
        {
            return Err(LabError::Usage(format!(
                "test_classes is {classes}: only dataset folder can be divided by class, and this is {}",
                self.dataset
            )));
        }
        if let Some(gpus) = &self.gpus {
            if gpus.is_empty() {
                return Err(LabError::Usage("gpus is empty: name at least one device, or leave out gpus".into()));
            }
            if let Some(device) = self.device {
                return Err(LabError::Usage(format!(
                    "device is {device}, and gpus is set as well: use only one of the two"
                )));
            }
        }
        let (devices, least) = (self.devices().len(), self.least_batch());
        if self.batch_size < least {
            let each = if least > devices { "two images" } else { "one image" };
            return Err(LabError::Usage(format!(
                "{BATCH_SIZE} is {}: on {devices} devices {} needs {least} images in a batch, {each} for each device",
                self.batch_size, self.method
            )));
        }
        if self.momentum >= 1.0 {
            return Err(LabError::Usage(format!("momentum is {}: it must be below 1", self.momentum)));
        }
        if self.id.as_deref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
            return Err(LabError::Usage(format!(
                "id has more than {MAX_ID_BYTES} bytes: it is part of the run folder's name, whose length is limited"
            )));
        }
        let forbidden = |c: char| c == '/' || c == '\\' || c.is_control();
        if self.id.as_deref().is_some_and(|id| id.trim().is_empty() || id.contains(forbidden)) {
            return Err(LabError::Usage(
                "id must not be empty and must not contain slashes or line breaks: it is part of the run folder's name"
                    .into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_errors() {
        for text in [
            "batch_size = 0",
            "K = 1",
            "epochs = 0",
            "alpha = nan",
            "learning_rate = 0.0",
            "K = 1000000000",
            "id = \"a/b\"",
            "id = \"a\\nb\"",
            "id = \" \"",
        ] {
            assert!(Recipe::parse(text).unwrap().validate().is_err(), "{text}");
        }
        Recipe::default().validate().unwrap();
        let source = |size: &str, dataset: &str| {
            let text = format!("source_size = {size}\nimage_size = 64\ndataset = \"{dataset}\"");
            Recipe::parse(&text).unwrap().validate().map_err(|error| error.to_string())
        };
        for size in ["64", "73", "4096", "\"square\""] {
            source(size, "folder").unwrap();
        }
        let message = "source_size is 63: it must be from 64, the image size, to 4096, or square";
        assert_eq!(source("63", "folder").unwrap_err(), message);
        assert!(source("4097", "sop").unwrap_err().contains("source_size is 4097"));
        assert!(source("73", "tiny").unwrap_err().contains("the images of tiny are 64×64"));
        let divided = |dataset: &str| Recipe::parse(&format!("test_classes = 2\n{dataset}")).unwrap().validate();
        divided("dataset = \"folder\"").unwrap();
        divided("probe.dataset = \"folder\"").unwrap();
        let message = divided("dataset = \"tiny\"").unwrap_err().to_string();
        assert_eq!(message, "test_classes is 2: only dataset folder can be divided by class, and this is tiny");
    }
}
