use burn::tensor::{Tensor, backend::Backend};

/// Numbers that a backend may sum one after the other in single precision.
const AT_ONCE: usize = 1024;
/// Sums as long as this are parted.
const LONG: usize = 4096;

/// Σ_j x_ij: `[N, M]` → `[N, 1]`.
///
/// Long rows are summed in parts and then the parts: one after the other, hundreds of thousands of numbers that make up 1 would
/// each lose most of their digits to the sum.
pub(crate) fn sum_rows<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let [count, width] = rows.dims();
    if width <= LONG {
        return rows.sum_dim(1);
    }
    let parts = width / AT_ONCE;
    let whole = parts * AT_ONCE;
    let sums = |part: Tensor<B, 2>, parts: usize| {
        part.reshape([count, parts, AT_ONCE]).sum_dim(2).reshape([count, parts]).sum_dim(1)
    };
    if whole == width {
        return sums(rows, parts);
    }
    sums(rows.clone().narrow(1, 0, whole), parts) + rows.narrow(1, whole, width - whole).sum_dim(1)
}
