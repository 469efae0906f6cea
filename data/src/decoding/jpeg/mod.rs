//! JPEG files: their segments, their pixels, and which damaged ones are read.

pub(super) mod check;
pub(super) mod pixels;
pub(super) mod segments;
