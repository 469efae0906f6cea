//! JPEG files: segments, pixels, and the verdict on damaged files.

pub(super) mod check;
pub(super) mod pixels;
pub(super) mod segments;
