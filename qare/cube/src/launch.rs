//! Calls on tensors of CubeCL's runtimes.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use crate::call::{Call, Normalize, Patches};
use crate::kernels::{self, ConvolutionLaunch, NormalizationLaunch, SizesLaunch};

/// Number of units that compute sums of groups of rows: enough for a large GPU.
const UNITS: usize = 1 << 16;
/// Number of units that add the sums of all groups for a channel.
const THREADS: u32 = 256;

/// Runs a call. See [`Call`] for its inputs.
pub(crate) fn run<R: CubeRuntime>(call: Call, inputs: Vec<CubeTensor<R>>) -> Vec<CubeTensor<R>> {
    let inputs: Vec<_> = inputs.into_iter().map(into_contiguous).collect();
    let maps = &inputs[0];
    let outputs: Vec<_> = call
        .outputs(&maps.meta.shape, maps.dtype)
        .into_iter()
        .map(|(shape, dtype)| empty(maps, shape, dtype))
        .collect();
    match call {
        Call::Moments => moments(maps, &outputs),
        Call::Normalize(normalize) => self::normalize(normalize, &inputs, &outputs[0]),
        Call::ParameterGradients(normalize) => parameter_gradients(normalize, &inputs, &outputs),
        Call::MapsGradient(normalize) => maps_gradient(normalize, &inputs, &outputs),
        Call::Patches(patches) => self::patches(patches, maps, &outputs[0]),
        Call::Sparsemax { rounds } => sparsemax(rounds, maps, &outputs),
    }
    outputs
}

fn empty<R: CubeRuntime>(like: &CubeTensor<R>, shape: Shape, dtype: DType) -> CubeTensor<R> {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape, dtype)
}

fn array<R: CubeRuntime>(tensor: &CubeTensor<R>) -> ArrayArg<R> {
    tensor.clone().into_array_arg()
}

/// The number of cubes, and units of each, for so many units.
fn grid<R: CubeRuntime>(of: &CubeTensor<R>, units: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&of.client, units);
    (calculate_cube_count_elemwise(&of.client, units, dim), dim)
}

/// Channels, rows, and groups of rows whose sums are computed apart.
fn groups<R: CubeRuntime>(maps: &CubeTensor<R>) -> (usize, usize, usize) {
    let [images, height, width, channels] = maps.meta.shape.dims();
    let rows = images * height * width;
    (channels, rows, (UNITS / channels).clamp(1, rows))
}

fn moments<R: CubeRuntime>(maps: &CubeTensor<R>, outputs: &[CubeTensor<R>]) {
    let (channels, rows, groups) = groups(maps);
    let of_groups = empty(maps, Shape::from([2, groups, channels]), DType::F32);
    let (count, dim) = grid(maps, groups * channels);
    let client = &maps.client;
    kernels::moments_of_groups::launch::<R>(
        client,
        count,
        dim,
        array(maps),
        array(&of_groups),
        channels,
        groups,
        maps.dtype.into(),
    );
    kernels::moments_of_channels::launch::<R>(
        client,
        CubeCount::Static(channels as u32, 1, 1),
        CubeDim::new_1d(THREADS),
        array(&of_groups),
        array(&outputs[0]),
        array(&outputs[1]),
        array(&outputs[2]),
        channels,
        groups,
        rows,
        THREADS,
    );
}

fn normalization<R: CubeRuntime>(call: Normalize, inputs: &[CubeTensor<R>]) -> NormalizationLaunch<R> {
    let [moments, gamma, beta] = [&inputs[1], &inputs[2], &inputs[3]].map(array);
    NormalizationLaunch::new(moments, gamma, beta, call.epsilon as f32, call.slope as f32)
}

fn sizes<R: CubeRuntime>(call: Normalize, maps: &CubeTensor<R>) -> SizesLaunch<R> {
    let [_, height, width, channels] = maps.meta.shape.dims();
    SizesLaunch::new(height, width, channels, call.window[0], call.window[1])
}

/// The residual after `known` other inputs, or else the maps, which are not read then.
fn residual<R: CubeRuntime>(call: Normalize, inputs: &[CubeTensor<R>], known: usize) -> ArrayArg<R> {
    array(if call.residual { &inputs[known] } else { &inputs[0] })
}

fn normalize<R: CubeRuntime>(call: Normalize, inputs: &[CubeTensor<R>], output: &CubeTensor<R>) {
    let maps = &inputs[0];
    let (count, dim) = grid(maps, output.meta.num_elements());
    kernels::normalize::launch::<R>(
        &maps.client,
        count,
        dim,
        array(maps),
        residual(call, inputs, 4),
        array(output),
        normalization(call, inputs),
        sizes(call, maps),
        call.residual,
        maps.dtype.into(),
    );
}

fn parameter_gradients<R: CubeRuntime>(call: Normalize, inputs: &[CubeTensor<R>], outputs: &[CubeTensor<R>]) {
    let maps = &inputs[0];
    let (channels, _, groups) = groups(maps);
    let of_groups = empty(maps, Shape::from([2, groups, channels]), DType::F32);
    let (count, dim) = grid(maps, groups * channels);
    let client = &maps.client;
    kernels::gradient_sums_of_groups::launch::<R>(
        client,
        count,
        dim,
        array(maps),
        residual(call, inputs, 5),
        array(&inputs[4]),
        array(&of_groups),
        normalization(call, inputs),
        sizes(call, maps),
        groups,
        call.residual,
        maps.dtype.into(),
    );
    kernels::gradient_sums_of_channels::launch::<R>(
        client,
        CubeCount::Static(channels as u32, 1, 1),
        CubeDim::new_1d(THREADS),
        array(&of_groups),
        array(&outputs[0]),
        array(&outputs[1]),
        channels,
        groups,
        THREADS,
    );
}

fn maps_gradient<R: CubeRuntime>(call: Normalize, inputs: &[CubeTensor<R>], outputs: &[CubeTensor<R>]) {
    let maps = &inputs[0];
    let (count, dim) = grid(maps, maps.meta.num_elements());
    // Without a residual its gradient is not written: the kernel gets an array that it does not use.
    let unused = (!call.residual).then(|| empty(maps, Shape::from([1]), maps.dtype));
    let of_residual = unused.as_ref().unwrap_or_else(|| &outputs[1]);
    kernels::gradient_of_maps::launch::<R>(
        &maps.client,
        count,
        dim,
        array(maps),
        residual(call, inputs, 7),
        array(&inputs[4]),
        array(&inputs[5]),
        array(&inputs[6]),
        array(&outputs[0]),
        array(of_residual),
        normalization(call, inputs),
        sizes(call, maps),
        call.residual,
        maps.dtype.into(),
    );
}

fn patches<R: CubeRuntime>(call: Patches, maps: &CubeTensor<R>, output: &CubeTensor<R>) {
    let [_, height, width, channels] = maps.meta.shape.dims();
    let (count, dim) = grid(maps, output.meta.num_elements());
    let (out_height, out_width) = (call.places(height), call.places(width));
    let Patches { kernel, stride, padding } = call;
    kernels::gather_patches::launch::<R>(
        &maps.client,
        count,
        dim,
        array(maps),
        array(output),
        ConvolutionLaunch::new(height, width, channels, out_height, out_width, kernel, stride, padding),
        maps.dtype.into(),
    );
}

fn sparsemax<R: CubeRuntime>(rounds: u32, rows: &CubeTensor<R>, outputs: &[CubeTensor<R>]) {
    let [count, entries] = rows.meta.shape.dims();
    // The most cubes in a dimension of a grid that all APIs allow.
    const MOST: usize = 65_535;
    kernels::sparsemax_of_rows::launch::<R>(
        &rows.client,
        CubeCount::Static(count.min(MOST) as u32, count.div_ceil(MOST) as u32, 1),
        CubeDim::new_1d(THREADS),
        array(rows),
        array(&outputs[0]),
        array(&outputs[1]),
        entries,
        rounds,
        THREADS,
    );
}
