//! Compares the backend of this build with the reference's values and with the CPU backends.

mod adam;
// The libraries' own test code, which the libraries run on the CPU backends only.
#[path = "../../../../data/tests/suite/device_views.rs"]
mod device_views;
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
#[path = "../../../../qare/tests/suite/golden.rs"]
mod golden;
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
#[path = "../../../../models/tests/suite/golden_backbone.rs"]
mod golden_backbone;
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
#[path = "../../../../qare/tests/suite/metric/golden.rs"]
mod metric;
#[cfg(feature = "gpu")]
mod odd_sizes;
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
#[path = "../../../../models/tests/suite/open_relus.rs"]
mod open_relus;
#[cfg(feature = "gpu")]
mod products;
mod same_seed;
#[cfg(feature = "gpu")]
mod set_terms;
#[cfg(feature = "gpu")]
mod terms;

// Compiled for the backend already: see `src/backend/mod.rs`.
#[cfg(feature = "gpu")]
use burn_dispatch as _;

#[cfg(feature = "cuda")]
type Plain = burn_cuda::Cuda;
#[cfg(feature = "flex")]
type Plain = burn_flex::Flex;
#[cfg(feature = "ndarray")]
type Plain = burn_ndarray::NdArray;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
type Plain = burn_wgpu::Wgpu;

/// The relative tolerances equal those of the CPU backends: 1e-4 for a loss and 1e-3 for its gradient, except on CUDA.
///
/// On NVIDIA GPUs since Ampere CubeCL multiplies matrices of f32 in TF32, with no way to turn it off.
#[cfg(not(any(feature = "flex", feature = "ndarray")))]
mod reference {
    use burn::backend::Autodiff;
    use burn::tensor::backend::Backend;
    use burn::tensor::{DType, FloatDType};

    use super::{Plain, golden, golden_backbone, metric, open_relus};

    /// Those of cosines that are products in TF32, which has 11 digits in base two. A processor may cut off the others instead of rounding:
    /// each of both factors is then off by up to 2⁻¹⁰ of itself, and a cosine by 2⁻⁹. Values and gradients have it times 1/t = 2 of NT-Xent.
    const TF32: golden::Tolerances = golden::Tolerances { value: 1.0 / 256.0, gradient: 1.0 / 256.0 };

    const TOLERANCES: golden::Tolerances = if cfg!(feature = "cuda") { TF32 } else { golden::SINGLE };

    // As the program does.
    fn use_kernels() {
        qare_models::use_kernels::<Plain>();
    }

    #[test]
    fn losses_agree() {
        use_kernels();
        golden::losses::<Autodiff<Plain>>(TOLERANCES);
    }

    #[test]
    fn set_terms_agree() {
        golden::set_terms::<Autodiff<Plain>>(TOLERANCES);
    }

    /// Losses over labels. Of one file alone, since a driver compiles kernels for every loss and shape anew.
    #[test]
    fn metric_losses_agree() {
        use_kernels();
        let golden::Tolerances { value, gradient } = TOLERANCES;
        // Proxies are scaled by 32 to 64 before an exponential, which multiplies the error of a cosine.
        let scale = if cfg!(feature = "cuda") { 64.0 } else { 1.0 };
        let tolerance = metric::Tolerance { value: scale * value, gradient: scale * gradient, least: 1e-3 };
        metric::check::<Autodiff<Plain>>(DType::F32, &tolerance, Some("balanced"));
    }

    #[test]
    fn backbones_agree() {
        use_kernels();
        if cfg!(feature = "cuda") {
            golden_backbone::check_tf32::<Autodiff<Plain>>("cuda");
        } else {
            golden_backbone::check::<Autodiff<Plain>>("this backend");
        }
    }

    /// The half precisions that the device supports. Prints those that it does not.
    pub fn half_precisions() -> impl Iterator<Item = FloatDType> {
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
        use_kernels();
        half_precisions().for_each(|dtype| golden::losses_in_half_precision::<Autodiff<Plain>>(dtype, TOLERANCES));
    }

    /// Factor on the tolerance: a convolution may accumulate over channels and pixels in half precision, too.
    const SLACK: f64 = 8.0;

    #[test]
    fn backbones_agree_in_half_precision() {
        use_kernels();
        half_precisions().for_each(|dtype| golden_backbone::check_half_precision::<Autodiff<Plain>>(dtype, SLACK));
    }

    #[test]
    fn gradients_of_open_relus_agree_in_half_precision() {
        use_kernels();
        half_precisions().for_each(|dtype| open_relus::check::<Autodiff<Plain>>(dtype, 4.0));
    }
}

/// Views that a device computes have the host's bytes.
mod views_of_the_device {
    use super::device_views;

    // The library runs these tests on flex.
    #[cfg(feature = "flex")]
    type Plain = burn_ndarray::NdArray;
    #[cfg(not(feature = "flex"))]
    type Plain = super::Plain;

    #[test]
    fn drawn_views() {
        device_views::drawn_views::<Plain>();
    }

    #[test]
    fn crops() {
        device_views::crops::<Plain>();
    }

    #[test]
    fn lengths() {
        device_views::lengths::<Plain>();
    }

    #[test]
    fn colors() {
        device_views::colors::<Plain>();
    }

    #[test]
    fn contrast_of_large_images() {
        device_views::contrast_of_large_images::<Plain>();
    }

    #[test]
    fn orders() {
        device_views::orders::<Plain>();
    }
}
