//! Calls on rows of embeddings and similarities.

use burn_cubecl::CubeRuntime;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::call::{CosineGradient, NtXent, SparseClr};
use crate::kernels::pairs::PairsLaunch;
use crate::kernels::{cosine, frobenius, nt_xent, sparse_clr, sparsemax};
use crate::launch::{THREADS, array};

/// A cube for each row.
fn rows_grid(rows: usize) -> (CubeCount, CubeDim) {
    // The most cubes in a dimension of a grid that all APIs allow.
    const MOST: usize = 65_535;
    (CubeCount::Static(rows.min(MOST) as u32, rows.div_ceil(MOST) as u32, 1), CubeDim::new_1d(THREADS))
}

pub(crate) fn sparsemax<R: CubeRuntime>(rounds: u32, rows: &CubeTensor<R>, outputs: &[CubeTensor<R>]) {
    let [rows_count, entries] = rows.meta.shape.dims();
    let (count, dim) = rows_grid(rows_count);
    sparsemax::sparsemax_of_rows::launch::<R>(
        &rows.client,
        count,
        dim,
        array(rows),
        array(&outputs[0]),
        array(&outputs[1]),
        entries,
        rounds,
        THREADS,
    );
}

pub(crate) fn unit_rows<R: CubeRuntime>(rows: &CubeTensor<R>, outputs: &[CubeTensor<R>]) {
    let [number, width] = rows.meta.shape.dims();
    let (count, dim) = rows_grid(number);
    let [units, norms] = [&outputs[0], &outputs[1]].map(array);
    cosine::unit_rows::launch::<R>(&rows.client, count, dim, array(rows), units, norms, number, width, THREADS);
}

pub(crate) fn nt_xent_of_rows<R: CubeRuntime>(call: NtXent, inputs: &[CubeTensor<R>], outputs: &[CubeTensor<R>]) {
    let [rows, _] = inputs[0].meta.shape.dims();
    let (count, dim) = rows_grid(rows);
    nt_xent::nt_xent_of_rows::launch::<R>(
        &inputs[0].client,
        count,
        dim,
        array(&inputs[0]),
        array(&inputs[1]),
        array(&outputs[0]),
        array(&outputs[1]),
        array(&outputs[2]),
        rows,
        PairsLaunch::new(call.views, call.temperature as f32),
        call.mean_of_logs,
        call.floored,
        THREADS,
    );
}

pub(crate) fn nt_xent_of_all<R: CubeRuntime>(call: NtXent, inputs: &[CubeTensor<R>], outputs: &[CubeTensor<R>]) {
    let [rows, _] = inputs[0].meta.shape.dims();
    nt_xent::nt_xent_of_all::launch::<R>(
        &inputs[0].client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(THREADS),
        array(&inputs[0]),
        array(&inputs[1]),
        array(&outputs[0]),
        array(&outputs[1]),
        rows,
        PairsLaunch::new(call.views, call.temperature as f32),
        call.mean_of_logs,
        THREADS,
    );
}

pub(crate) fn sparse_clr<R: CubeRuntime>(call: SparseClr, inputs: &[CubeTensor<R>], outputs: &[CubeTensor<R>]) {
    let [rows, _] = inputs[0].meta.shape.dims();
    let (count, dim) = rows_grid(rows);
    sparse_clr::sparse_clr_of_rows::launch::<R>(
        &inputs[0].client,
        count,
        dim,
        array(&inputs[0]),
        array(&inputs[1]),
        array(&outputs[0]),
        array(&outputs[1]),
        rows,
        PairsLaunch::new(call.views, call.margin as f32),
        call.rounds,
        call.floored,
        THREADS,
    );
}

pub(crate) fn cosine_gradient<R: CubeRuntime>(
    call: CosineGradient,
    inputs: &[CubeTensor<R>],
    outputs: &[CubeTensor<R>],
) {
    let [rows, width] = inputs[0].meta.shape.dims();
    let (count, dim) = rows_grid(rows);
    cosine::cosine_gradient::launch::<R>(
        &inputs[0].client,
        count,
        dim,
        array(&inputs[0]),
        array(&inputs[1]),
        array(&inputs[2]),
        // Not read without weights.
        array(if call.weighted { &inputs[3] } else { &inputs[1] }),
        array(&outputs[0]),
        array(&outputs[1]),
        rows,
        width,
        call.weighted,
        call.floored,
        THREADS,
    );
}

pub(crate) fn squares_of_rows<R: CubeRuntime>(inputs: &[CubeTensor<R>], outputs: &[CubeTensor<R>]) {
    let [rows, width] = inputs[0].meta.shape.dims();
    let (count, dim) = rows_grid(rows);
    frobenius::squares_of_rows::launch::<R>(
        &inputs[0].client,
        count,
        dim,
        array(&inputs[0]),
        array(&inputs[1]),
        array(&outputs[0]),
        array(&outputs[1]),
        rows,
        width,
        THREADS,
    );
}

pub(crate) fn frobenius_of_sets<R: CubeRuntime>(sets: usize, sums: &CubeTensor<R>, outputs: &[CubeTensor<R>]) {
    let [rows, _] = sums.meta.shape.dims();
    frobenius::frobenius_of_sets::launch::<R>(
        &sums.client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(THREADS),
        array(sums),
        array(&outputs[0]),
        array(&outputs[1]),
        rows,
        sets,
        THREADS,
    );
}
