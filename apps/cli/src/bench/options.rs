//! The sizes of a benchmark: the flags and their defaults.

use std::path::PathBuf;

use qare_models::BackboneName;

use crate::cli::BenchArgs;
use qare_lab::methods::Method;
use qare_lab::precision::Precision;
use qare_lab::recipe::DeviceChoice;
use qare_lab::recipe::Recipe;
use qare_lab::{LabError, Result};

/// The sizes of a benchmark.
#[derive(Clone, Debug)]
pub struct Options {
    pub quick: bool,
    /// Whether this process measures one row for another.
    pub row: bool,
    /// Methods of the part `methods`, if chosen.
    pub methods: Vec<Method>,
    /// Pixels of an image's side in the parts `photographs`, `backbones` and `methods`, if chosen.
    pub sizes: Vec<usize>,
    /// Backbones and batch sizes, if chosen.
    pub chosen_backbones: Option<Vec<BackboneName>>,
    pub chosen_batches: Option<Vec<usize>>,
    pub backbones: Vec<BackboneName>,
    pub batches: Vec<usize>,
    pub max_batch: usize,
    pub max_views: usize,
    pub images: usize,
    /// Number of images of the part `photographs`.
    pub photographs: usize,
    /// The folder of the files of the part `photographs`.
    pub photographs_dir: Option<PathBuf>,
    pub probe_epochs: usize,
    pub steps: usize,
    pub seconds: f64,
    pub data_dir: Option<PathBuf>,
    pub device: Option<DeviceChoice>,
    /// Precision that backbones compute in.
    pub precision: Precision,
    /// Workers of loaders that run beside training. By default as many as in a recipe.
    pub num_workers: Option<usize>,
}

impl Options {
    pub fn of(args: &BenchArgs) -> Result<Self> {
        let quick = args.quick;
        let size = |given: Option<usize>, small: usize, full: usize| given.unwrap_or(if quick { small } else { full });
        let sizes = |given: &[usize], small: &[usize], full: &[usize]| match given {
            [] if quick => small.to_vec(),
            [] => full.to_vec(),
            given => given.to_vec(),
        };
        let backbones = match args.backbones.as_slice() {
            [] if quick => vec![BackboneName::Conv4],
            [] => vec![BackboneName::Conv4, BackboneName::Resnet8, BackboneName::Resnet32],
            given => given.to_vec(),
        };
        let options = Self {
            quick,
            row: args.row,
            methods: args.methods.clone(),
            sizes: args.sizes.clone(),
            chosen_backbones: Some(args.backbones.clone()).filter(|chosen| !chosen.is_empty()),
            chosen_batches: Some(args.batches.clone()).filter(|chosen| !chosen.is_empty()),
            backbones,
            batches: sizes(&args.batches, &[128], &[128, 256]),
            max_batch: size(args.max_batch, 512, 4096),
            max_views: size(args.max_views, 8, 32),
            images: size(args.images, 5000, 50_000),
            photographs: size(args.images, 500, 10_000),
            photographs_dir: args.photographs.clone(),
            probe_epochs: if quick { 10 } else { 100 },
            steps: size(args.steps, 50, 500),
            seconds: args.seconds.unwrap_or(if quick { 0.3 } else { 2.0 }),
            data_dir: args.machine.data_dir.clone(),
            device: args.machine.device,
            precision: args.precision,
            num_workers: args.machine.num_workers,
        };
        options.validated()
    }

    fn validated(self) -> Result<Self> {
        let least = [
            ("--batches", self.batches.iter().copied().min().unwrap_or(0), 2),
            ("--max-batch", self.max_batch, 64),
            ("--max-views", self.max_views, 2),
            ("--images", self.images, 2),
            ("--steps", self.steps, 1),
            ("--sizes", self.sizes.iter().copied().min().unwrap_or(32), 16),
        ];
        if let Some((flag, value, least)) = least.into_iter().find(|(_, value, least)| value < least) {
            return Err(LabError::Usage(format!("{flag} {value}: must be at least {least}")));
        }
        if !(self.seconds > 0.0 && self.seconds.is_finite()) {
            return Err(LabError::Usage(format!("--seconds {}: must be a number above 0", self.seconds)));
        }
        if let Some(dir) = self.data_dir.as_deref() {
            qare_data::expect_folder(dir)
                .map_err(|error| LabError::Usage(format!("--data-dir {}", LabError::from(error))))?;
        }
        Ok(self)
    }

    /// The name of a backbone in the keys and labels of figures, with the precision unless it is f32.
    pub fn network(&self, backbone: BackboneName) -> String {
        match self.precision {
            Precision::F32 => backbone.to_string(),
            other => format!("{backbone}-{other}"),
        }
    }

    /// Number of workers of loaders that run beside training.
    pub fn workers(&self) -> usize {
        self.num_workers.unwrap_or(Recipe::default().num_workers)
    }
}
