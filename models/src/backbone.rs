use std::fmt;
use std::str::FromStr;

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::conv4::Conv4;
use crate::resnet::CifarResNet;

/// The backbones, by the names that configurations, flags and weights files use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackboneName {
    /// Four convolution blocks, 24 648 parameters.
    Conv4,
    /// CIFAR ResNet with 1 block a stage.
    Resnet8,
    /// CIFAR ResNet with 3 blocks a stage.
    Resnet20,
    /// CIFAR ResNet with 5 blocks a stage.
    Resnet32,
    /// CIFAR ResNet with 7 blocks a stage.
    Resnet44,
    /// CIFAR ResNet with 9 blocks a stage.
    Resnet56,
}

impl BackboneName {
    /// Every backbone, small to large.
    pub const ALL: [Self; 6] =
        [Self::Conv4, Self::Resnet8, Self::Resnet20, Self::Resnet32, Self::Resnet44, Self::Resnet56];

    /// The name as written in files and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conv4 => "conv4",
            Self::Resnet8 => "resnet8",
            Self::Resnet20 => "resnet20",
            Self::Resnet32 => "resnet32",
            Self::Resnet44 => "resnet44",
            Self::Resnet56 => "resnet56",
        }
    }

    /// Number of features F that the backbone makes of an image.
    pub const fn feature_dim(self) -> usize {
        match self {
            Self::Conv4 => 64,
            Self::Resnet8 | Self::Resnet20 | Self::Resnet32 | Self::Resnet44 | Self::Resnet56 => 64,
        }
    }

    /// A backbone whose weights are a function of name and `seed`, the same on every backend.
    pub fn init<B: Backend>(self, seed: u64, device: &B::Device) -> Backbone<B> {
        let resnet = |blocks| Backbone::ResNet(CifarResNet::new(blocks, seed, device));
        match self {
            Self::Conv4 => Backbone::Conv4(Conv4::new(seed, device)),
            Self::Resnet8 => resnet(1),
            Self::Resnet20 => resnet(3),
            Self::Resnet32 => resnet(5),
            Self::Resnet44 => resnet(7),
            Self::Resnet56 => resnet(9),
        }
    }
}

impl fmt::Display for BackboneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no backbone's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown backbone `{found}`; known are {}", BackboneName::ALL.map(BackboneName::as_str).join(", "))]
pub struct UnknownBackbone {
    /// The name given.
    pub found: String,
}

impl FromStr for BackboneName {
    type Err = UnknownBackbone;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or_else(|| UnknownBackbone { found: name.to_owned() })
    }
}

/// A network that makes features of images. Made by [`BackboneName::init`].
///
/// It trains on an autodiff backend and evaluates on any other (see
/// [`BatchNorm`](crate::BatchNorm)): take `valid()` for features that do not depend on the batch.
// A program holds one of these, and its tensors are elsewhere: a box would only be in the way.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum Backbone<B: Backend> {
    /// Four convolution blocks.
    Conv4(Conv4<B>),
    /// A CIFAR ResNet of any depth.
    ResNet(CifarResNet<B>),
}

impl<B: Backend> Backbone<B> {
    /// Features of normalised images, `[N, 3, H, W]` → `[N, F]`.
    ///
    /// # Panics
    ///
    /// If the images do not have three channels, or if they are smaller than the network can halve
    /// (8 pixels a side for conv4).
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        match self {
            Self::Conv4(net) => net.forward(images),
            Self::ResNet(net) => net.forward(images),
        }
    }

    /// Number of features F.
    pub fn feature_dim(&self) -> usize {
        match self {
            Self::Conv4(_) => Conv4::<B>::FEATURES,
            Self::ResNet(_) => CifarResNet::<B>::FEATURES,
        }
    }
}
