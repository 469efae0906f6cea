//! The recipe's `precision`: the number type of the networks' computations.
//!
//! Images are cast where they enter a backbone, and each layer computes in the type of its input. Weights, their gradients, the
//! optimizer's state, batch normalisation, losses and returned features are always f32.

use std::fmt;
use std::str::FromStr;

use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};

/// The number type of convolutions and linear layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 significant bits.
    #[default]
    F32,
    /// 11 significant bits, largest number 65,504. Training needs a [`LossScale`](crate::training::loss_scale::LossScale).
    F16,
    /// 8 significant bits and the range of f32.
    Bf16,
}

impl Precision {
    /// All precisions.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Bf16];

    /// Returns the name in recipes and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
        }
    }

    fn dtype(self) -> FloatDType {
        match self {
            Precision::F32 => FloatDType::F32,
            Precision::F16 => FloatDType::F16,
            Precision::Bf16 => FloatDType::BF16,
        }
    }

    /// Casts images to this precision.
    pub fn of<B: Backend, const D: usize>(self, images: Tensor<B, D>) -> Tensor<B, D> {
        images.cast(self.dtype())
    }

    fn is_supported<B: Backend>(self, device: &B::Device) -> bool {
        self == Precision::F32 || B::supports_dtype(device, self.dtype().into())
    }

    /// Checks that a device supports this precision. `backend` names the backend in the message.
    ///
    /// # Errors
    /// If the device does not support it.
    pub fn require<B: Backend>(self, backend: &str, device: &B::Device) -> Result<()> {
        if self.is_supported::<B>(device) {
            return Ok(());
        }
        let all = Precision::ALL.into_iter();
        let supported: Vec<&str> = all.filter(|other| other.is_supported::<B>(device)).map(Precision::as_str).collect();
        Err(LabError::Usage(format!("--precision {self}: {}", refusal(backend, &supported))))
    }
}

/// Describes the precisions that a backend supports, with advice.
fn refusal(backend: &str, supported: &[&str]) -> String {
    match backend {
        "ndarray" => {
            "the backend ndarray computes in f32 only; build with cuda, vulkan, metal or flex, or use --precision f32"
                .to_string()
        }
        _ if supported.len() == 1 => {
            format!("the backend {backend} computes in f32 only on this device: use --precision f32")
        }
        _ => format!("the backend {backend} computes in {} on this device: use one of these", supported.join(" and ")),
    }
}

/// Casts a tensor to f32, the precision of losses.
pub fn single<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    tensor.cast(FloatDType::F32)
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Precision::ALL
            .into_iter()
            .find(|precision| precision.as_str() == name)
            .ok_or_else(|| format!("unknown precision `{name}`; known are f32, f16 and bf16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};
    use burn::tensor::DType;

    #[test]
    fn names_are_the_same_in_flags_and_files() {
        for precision in Precision::ALL {
            assert_eq!(precision.as_str().parse(), Ok(precision));
            assert_eq!(serde_json::to_value(precision).unwrap(), precision.as_str());
        }
        assert!("f64".parse::<Precision>().unwrap_err().contains("f32, f16 and bf16"));
    }

    #[test]
    fn an_unsupported_precision_is_refused_by_name() {
        let device = any_device();
        let require = |precision: Precision| precision.require::<Plain>("own", &device);
        require(Precision::F32).unwrap();
        for precision in [Precision::F16, Precision::Bf16] {
            match require(precision) {
                Ok(()) => {
                    let tensor = precision.of(Tensor::<Plain, 1>::from_floats([1.0, -2.5], &device));
                    assert_eq!(tensor.dtype(), DType::from(precision.dtype()));
                    assert_eq!(crate::evaluation::features::values(single(tensor * 2.0)), [2.0, -5.0]);
                }
                Err(error) => {
                    assert_eq!(error.exit_code(), 2);
                    let message = error.to_string();
                    assert!(message.starts_with(&format!("--precision {precision}: the backend own")));
                }
            }
        }
        let expected = "the backend vulkan computes in f32 and f16 on this device: use one of these";
        assert_eq!(refusal("vulkan", &["f32", "f16"]), expected);
        assert!(refusal("vulkan", &["f32"]).contains("f32 only on this device"));
    }
}
