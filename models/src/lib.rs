//! Networks for self-supervised learning, generic over Burn's [`Backend`](burn::tensor::backend::Backend): backbones from images
//! to features, a projection head from features to embeddings, a linear classifier, and weights in files under PyTorch's names.
//!
//! Networks compute in the type of their input: features of f16 or bf16 images are of that type, while the parameters stay f32
//! (see [`Backbone::forward`]).
//!
//! ```no_run
//! use burn_flex::Flex;
//! use qare_models::{BackboneName, ProjectionHeadConfig, StateDict, named_tensors, write_safetensors};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Default::default();
//! let name: BackboneName = "resnet32".parse()?;
//! let backbone = name.init::<Flex>(1, &device);
//! let head = ProjectionHeadConfig::new(name.feature_dim()).init::<Flex>(1, &device);
//!
//! let mut tensors = named_tensors(&backbone, "backbone");
//! tensors.extend(named_tensors(&head, "head"));
//! write_safetensors("run.safetensors".as_ref(), &tensors, None)?;
//!
//! let saved = StateDict::read_safetensors("run.safetensors".as_ref())?;
//! let backbone = saved.load_into(backbone, "backbone")?;
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod backbone;
mod batch_norm;
mod block;
mod cifar_resnet;
mod classifier;
mod conv4;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod cpu;
mod discriminators;
mod embedding_head;
mod head;
mod hidden_layer;
mod imagenet_resnet;
mod initial_weights;
mod layers;
mod maps;
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
mod nothing_kept;
#[cfg(feature = "onnx")]
mod onnx;
mod pool;
mod relation_head;
pub mod replicas;
mod residual_block;
mod running_statistics;
mod tensor_block;
mod weights;

pub use backbone::{Backbone, BackboneName, UnknownBackbone};
pub use batch_norm::BatchNorm;
pub use cifar_resnet::CifarResNet;
pub use classifier::{LinearClassifier, LinearClassifierConfig};
pub use conv4::{Conv4, ConvBlock};
#[cfg(any(feature = "flex", feature = "ndarray"))]
pub use cpu::{KeptWeights, keep_weights};
pub use discriminators::{
    Discriminators, DiscriminatorsConfig, GlobalDiscriminator, LocalDiscriminator, PriorDiscriminator,
};
pub use embedding_head::{EmbeddingHead, EmbeddingHeadConfig};
pub use head::{ProjectionHead, ProjectionHeadConfig};
pub use imagenet_resnet::ImageNetResNet;
pub use initial_weights::{InitialWeights, WeightStream};
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
pub use nothing_kept::{KeptWeights, keep_weights};
#[cfg(feature = "cubecl")]
#[doc(hidden)]
pub use qare_cube;
pub use qare_host::computes_on_host;
#[cfg(any(feature = "flex", feature = "ndarray"))]
pub use qare_kernels::CacheAligned;
pub use relation_head::{RelationHead, RelationHeadConfig};
pub use residual_block::ResidualBlock;
#[cfg(feature = "cubecl")]
pub use tensor_block::use_kernels;
pub use tensor_block::{differentiate_blocks, differentiate_blocks_with};
pub use weights::{
    FoundBackbone, LeftOut, NamedTensor, StateDict, WeightsError, load_pytorch, load_safetensors, named_tensors,
    parameter_count, record_bytes, safetensors_bytes, save_record, save_safetensors, write_safetensors,
};

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
