//! The backend that this build is for, against the reference's values and against the CPU backends.

// Those of the libraries, which run them on the CPU backends only.
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
#[path = "../../../../qare/tests/suite/golden.rs"]
mod golden;
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
#[path = "../../../../models/tests/suite/golden_backbone.rs"]
mod golden_backbone;
mod same_seed;

#[cfg(feature = "cuda")]
type Plain = burn_cuda::Cuda;
#[cfg(feature = "flex")]
type Plain = burn_flex::Flex;
#[cfg(feature = "ndarray")]
type Plain = burn_ndarray::NdArray;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
type Plain = burn_wgpu::Wgpu;

/// Tolerances are those of the CPU backends: 1e-4 for a loss and 1e-3 for its gradient, relative.
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
mod reference {
    use burn::backend::Autodiff;
    use burn::tensor::FloatDType;
    use burn::tensor::backend::Backend;

    use super::{Plain, golden, golden_backbone};

    #[test]
    fn losses_agree() {
        golden::losses::<Autodiff<Plain>>();
    }

    #[test]
    fn set_terms_agree() {
        golden::set_terms::<Autodiff<Plain>>();
    }

    #[test]
    fn backbones_agree() {
        golden_backbone::check::<Autodiff<Plain>>("this backend");
    }
    /// The half precisions that the device computes in; others are told.
    fn halves() -> impl Iterator<Item = FloatDType> {
        [FloatDType::F16, FloatDType::BF16].into_iter().filter(|dtype| {
            let supported = Plain::supports_dtype(&Default::default(), (*dtype).into());
            if !supported {
                println!("this device does not compute in {dtype:?}");
            }
            supported
        })
    }

    #[test]
    fn losses_agree_in_half_precision() {
        halves().for_each(golden::losses_in_half_precision::<Autodiff<Plain>>);
    }

    /// A convolution's sums over channels and pixels may be in half precision as well.
    const SLACK: f64 = 8.0;

    #[test]
    fn backbones_agree_in_half_precision() {
        halves().for_each(|dtype| golden_backbone::check_half_precision::<Autodiff<Plain>>(dtype, SLACK));
    }
}
