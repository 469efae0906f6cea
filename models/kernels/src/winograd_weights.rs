//! Weights of 3×3 at the 36 points of Winograd's algorithm, and their gradient from sums at the points.

// Tiles are indexed by row and column.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};

use crate::vectors::{load, store, vectorize};
use crate::winograd_lines::{weight_gradients, weights};
use crate::winograd_points::{POINTS, WINDOW};

/// Writes weights `[3, 3, C, w]` at the points, `[36, C, w]`.
///
/// # Panics
///
/// If the lengths are not those.
pub(crate) fn transform_weights(width: usize, panel: &[f32], points: &mut [f32]) {
    assert!(panel.len().is_multiple_of(9 * width) && panel.len() * POINTS == points.len() * 9);
    vectorize(width, TransformWeights { panel, points });
}

/// Made by [`transform_weights`] alone: there are 9 and 36 times as many whole vectors.
struct TransformWeights<'a> {
    panel: &'a [f32],
    points: &'a mut [f32],
}

impl WithSimd for TransformWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let len = self.panel.len() / 9;
        for at in (0..len).step_by(S::F32_LANES) {
            let mut half = [[simd.splat_f32s(0.0); 3]; WINDOW];
            for column in 0..3 {
                // SAFETY: `at` and the vector from there on are in a ninth of the weights.
                let read = |row: usize| unsafe { load::<S>(self.panel.as_ptr().add((row * 3 + column) * len + at)) };
                let line = weights(simd, [read(0), read(1), read(2)]);
                for row in 0..WINDOW {
                    half[row][column] = line[row];
                }
            }
            for row in 0..WINDOW {
                let line = weights(simd, half[row]);
                for column in 0..WINDOW {
                    // SAFETY: the points are 36 times as many.
                    unsafe {
                        store::<S>(self.points.as_mut_ptr().add((row * WINDOW + column) * len + at), line[column])
                    };
                }
            }
        }
    }
}

/// Writes the gradient of weights, `[3, 3, C, w]`, given sums at the points, `[36, C, w]`.
///
/// # Panics
///
/// If the lengths are not those.
pub(crate) fn transform_sums(width: usize, sums: &[f32], gradient: &mut [f32]) {
    assert!(gradient.len().is_multiple_of(9 * width) && gradient.len() * POINTS == sums.len() * 9);
    vectorize(width, TransformSums { sums, gradient });
}

/// Made by [`transform_sums`] alone: there are 36 and 9 times as many whole vectors.
struct TransformSums<'a> {
    sums: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for TransformSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let len = self.gradient.len() / 9;
        for at in (0..len).step_by(S::F32_LANES) {
            let mut half = [[simd.splat_f32s(0.0); WINDOW]; 3];
            for column in 0..WINDOW {
                let mut line = [simd.splat_f32s(0.0); WINDOW];
                for row in 0..WINDOW {
                    // SAFETY: `at` and the vector from there on are in each of 36 parts of the sums.
                    line[row] = unsafe { load::<S>(self.sums.as_ptr().add((row * WINDOW + column) * len + at)) };
                }
                let line = weight_gradients(simd, line);
                for row in 0..3 {
                    half[row][column] = line[row];
                }
            }
            for row in 0..3 {
                let line = weight_gradients(simd, half[row]);
                for column in 0..3 {
                    // SAFETY: the gradient has nine such parts.
                    unsafe { store::<S>(self.gradient.as_mut_ptr().add((row * 3 + column) * len + at), line[column]) };
                }
            }
        }
    }
}
