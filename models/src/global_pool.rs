use burn::tensor::{Tensor, backend::Backend};

/// Mean over all places of each channel, `[N, C, H, W]` → `[N, C]`.
pub(crate) fn global_average<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n, c, h, w] = maps.dims();
    maps.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
}
