use std::fmt;
use std::str::FromStr;

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::cifar_resnet::CifarResNet;
use crate::conv4::Conv4;
use crate::imagenet_resnet::ImageNetResNet;

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
    /// CIFAR ResNet with 18 blocks a stage.
    Resnet110,
    /// ImageNet ResNet with 2 blocks a stage, 11 176 512 parameters.
    Resnet18,
    /// ImageNet ResNet with 3, 4, 6 and 3 blocks a stage, 21 284 672 parameters.
    Resnet34,
    /// ImageNet ResNet with 3, 4, 6 and 3 bottlenecks a stage, 23 508 032 parameters.
    Resnet50,
}

impl BackboneName {
    /// Every backbone: those for small images, then those for large images, each from small to large.
    pub const ALL: [Self; 10] = [
        Self::Conv4,
        Self::Resnet8,
        Self::Resnet20,
        Self::Resnet32,
        Self::Resnet44,
        Self::Resnet56,
        Self::Resnet110,
        Self::Resnet18,
        Self::Resnet34,
        Self::Resnet50,
    ];

    /// The name as written in files and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conv4 => "conv4",
            Self::Resnet8 => "resnet8",
            Self::Resnet20 => "resnet20",
            Self::Resnet32 => "resnet32",
            Self::Resnet44 => "resnet44",
            Self::Resnet56 => "resnet56",
            Self::Resnet110 => "resnet110",
            Self::Resnet18 => "resnet18",
            Self::Resnet34 => "resnet34",
            Self::Resnet50 => "resnet50",
        }
    }

    /// Number of features F of an image.
    pub const fn feature_dim(self) -> usize {
        match self {
            Self::Conv4
            | Self::Resnet8
            | Self::Resnet20
            | Self::Resnet32
            | Self::Resnet44
            | Self::Resnet56
            | Self::Resnet110 => 64,
            Self::Resnet18 | Self::Resnet34 => 512,
            Self::Resnet50 => 2048,
        }
    }

    /// Number of channels C of the maps that [`Backbone::forward_with_maps`] returns.
    pub const fn map_channels(self) -> usize {
        match self {
            Self::Conv4 => 8,
            Self::Resnet8 | Self::Resnet20 | Self::Resnet32 | Self::Resnet44 | Self::Resnet56 | Self::Resnet110 => 16,
            Self::Resnet18 | Self::Resnet34 | Self::Resnet50 => 64,
        }
    }

    /// A backbone whose weights are a function of name and `seed`, the same on every backend.
    pub fn init<B: Backend>(self, seed: u64, device: &B::Device) -> Backbone<B> {
        let resnet = |blocks| Backbone::ResNet(CifarResNet::new(blocks, seed, device));
        let imagenet = |blocks| Backbone::ImageNet(ImageNetResNet::basic(blocks, seed, device));
        match self {
            Self::Conv4 => Backbone::Conv4(Conv4::new(seed, device)),
            Self::Resnet8 => resnet(1),
            Self::Resnet20 => resnet(3),
            Self::Resnet32 => resnet(5),
            Self::Resnet44 => resnet(7),
            Self::Resnet56 => resnet(9),
            Self::Resnet110 => resnet(18),
            Self::Resnet18 => imagenet([2, 2, 2, 2]),
            Self::Resnet34 => imagenet([3, 4, 6, 3]),
            Self::Resnet50 => Backbone::ImageNet(ImageNetResNet::bottleneck([3, 4, 6, 3], seed, device)),
        }
    }
}

impl fmt::Display for BackboneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error for a name that no backbone has.
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

/// A network from images to features, made by [`BackboneName::init`].
///
/// It trains on an autodiff backend and evaluates on any other (see [`BatchNorm`](crate::BatchNorm)): `valid()` has features
/// that do not depend on the rest of the batch.
// A program holds one of these, and its tensors are on the heap anyway: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum Backbone<B: Backend> {
    /// Four convolution blocks.
    Conv4(Conv4<B>),
    /// A CIFAR ResNet of any depth.
    ResNet(CifarResNet<B>),
    /// An ImageNet ResNet, of basic blocks or bottlenecks.
    ImageNet(ImageNetResNet<B>),
}

impl<B: Backend> Backbone<B> {
    /// Features of normalised images, `[N, 3, H, W]` → `[N, F]`, of the images' type.
    ///
    /// On images of f16 or bf16 (`images.cast(FloatDType::BF16)`), convolutions and linear layers compute in that type, with
    /// weights rounded to it; batch normalisation and global pooling compute in f32. Parameters, their gradients and running
    /// statistics are f32. With f16, scale the loss, or small gradients underflow.
    ///
    /// # Panics
    ///
    /// If the images do not have three channels, or if they are smaller than the network can halve
    /// (8 pixels a side for conv4).
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        match self {
            Self::Conv4(net) => net.forward(images),
            Self::ResNet(net) => net.forward(images),
            Self::ImageNet(net) => net.forward(images),
        }
    }

    /// The maps after the first convolution, batch normalisation and ReLU, before pooling, and the features: what Deep InfoMax
    /// (Hjelm et al. 2018) compares.
    ///
    /// # Shapes
    ///
    /// `[N, 3, H, W]` → maps `[N, C, H, W]` (half of H and W for the ImageNet ResNets), features `[N, F]`
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_with_maps(&self, images: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 2>) {
        match self {
            Self::Conv4(net) => net.forward_with_maps(images),
            Self::ResNet(net) => net.forward_with_maps(images),
            Self::ImageNet(net) => net.forward_with_maps(images),
        }
    }

    /// The backbone with fixed batch normalisation, as metric learning often fine-tunes pretrained weights: in training, every
    /// [`BatchNorm`](crate::BatchNorm) computes what it computes in evaluation, and its statistics, weight and bias do not change.
    pub fn with_frozen_batch_norm(self) -> Self {
        match self {
            Self::Conv4(net) => Self::Conv4(net.with_frozen_batch_norm()),
            Self::ResNet(net) => Self::ResNet(net.with_frozen_batch_norm()),
            Self::ImageNet(net) => Self::ImageNet(net.with_frozen_batch_norm()),
        }
    }

    /// Number of features F.
    pub fn feature_dim(&self) -> usize {
        match self {
            Self::Conv4(_) => Conv4::<B>::FEATURES,
            Self::ResNet(_) => CifarResNet::<B>::FEATURES,
            Self::ImageNet(net) => net.feature_dim(),
        }
    }

    /// Number of channels C of the maps that [`forward_with_maps`](Self::forward_with_maps) returns.
    pub fn map_channels(&self) -> usize {
        match self {
            Self::Conv4(_) => Conv4::<B>::MAPS,
            Self::ResNet(_) => CifarResNet::<B>::MAPS,
            Self::ImageNet(_) => ImageNetResNet::<B>::MAPS,
        }
    }
}
