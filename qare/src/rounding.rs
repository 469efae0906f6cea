use burn::tensor::{DType, FloatDType, Tensor, backend::Backend};

/// The tensor in f32, if it is of f16 or bf16: the objectives are not computed with fewer digits. The gradient comes back in the
/// tensor's own type.
pub(crate) fn at_least_f32<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(FloatDType::F32),
        _ => tensor,
    }
}
