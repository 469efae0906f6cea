//! Tensors whose memory the kernels use again.

use qare_host::{FloatPrimitive, HostBackend};
use qare_kernels::Buffer;

/// Values of a tensor. If nobody else holds them in the end, the kernels use their memory again.
#[derive(Debug)]
pub(super) struct Held<H: HostBackend>(Option<H::Values>);

impl<H: HostBackend> Held<H> {
    pub fn new(tensor: FloatPrimitive<H>) -> Self {
        Self(Some(H::values(tensor)))
    }

    /// All values, in row-major order.
    pub fn slice(&self) -> &[f32] {
        H::slice(self.0.as_ref().expect("values that are only taken when dropped"))
    }
}

impl<H: HostBackend> Drop for Held<H> {
    fn drop(&mut self) {
        drop(self.0.take().and_then(H::into_vec).map(Buffer::from));
    }
}
