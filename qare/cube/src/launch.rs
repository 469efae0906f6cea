//! Calls on tensors of CubeCL's runtimes.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use crate::call::{Call, Fold, Normalize, Patches};
use crate::kernels::moments;
use crate::kernels::normalization::{self, NormalizationLaunch, SizesLaunch};
use crate::kernels::patches::{self, ConvolutionLaunch};
use crate::launch_of_adam::adam_step;
use crate::launch_of_rows::{
    cosine_gradient, frobenius_of_sets, nt_xent_of_all, nt_xent_of_rows, sparse_clr, sparsemax, squares_of_rows,
    unit_rows,
};
use crate::product::product;

/// Number of units that compute sums of groups of rows: enough for a large GPU.
const UNITS: usize = 1 << 16;
/// Number of units of a cube that computes one channel or row.
pub(crate) const THREADS: u32 = 256;

/// Runs a call. See [`Call`] for its inputs.
pub(crate) fn run<R: CubeRuntime>(call: Call, inputs: Vec<CubeTensor<R>>) -> Vec<CubeTensor<R>> {
    // These take matrices and gradients as they lie.
    match call {
        Call::Product { .. } => return vec![product(inputs)],
        Call::Adam(call) => return adam_step(call, inputs),
        _ => (),
    }
    let inputs: Vec<_> = inputs.into_iter().map(into_contiguous).collect();
    let maps = &inputs[0];
    let shapes: Vec<_> = inputs.iter().map(|input| &input.meta.shape).collect();
    let outputs: Vec<_> =
        call.outputs(&shapes, maps.dtype).into_iter().map(|(shape, dtype)| empty(maps, shape, dtype)).collect();
    match call {
        Call::Moments { momentum } => moments(momentum, &inputs, &outputs),
        Call::Normalize(normalize) => self::normalize(normalize, &inputs, &outputs[0]),
        Call::ParameterGradients(normalize) => parameter_gradients(normalize, &inputs, &outputs),
        Call::MapsGradient(normalize) => maps_gradient(normalize, &inputs, &outputs),
        Call::Patches(patches) => self::patches(patches, maps, &outputs[0]),
        Call::Fold(fold) => self::fold(fold, maps, &outputs[0]),
        Call::Product { .. } | Call::Adam(_) => unreachable!("these have returned"),
        Call::Sparsemax { rounds } => sparsemax(rounds, maps, &outputs),
        Call::UnitRows => unit_rows(maps, &outputs),
        Call::NtXentOfRows(call) => nt_xent_of_rows(call, &inputs, &outputs),
        Call::NtXentOfAll(call) => nt_xent_of_all(call, &inputs, &outputs),
        Call::SparseClr(call) => sparse_clr(call, &inputs, &outputs),
        Call::CosineGradient(call) => cosine_gradient(call, &inputs, &outputs),
        Call::SquaresOfRows => squares_of_rows(&inputs, &outputs),
        Call::FrobeniusOfSets { sets } => frobenius_of_sets(sets, maps, &outputs),
    }
    outputs
}

pub(crate) fn empty<R: CubeRuntime>(like: &CubeTensor<R>, shape: Shape, dtype: DType) -> CubeTensor<R> {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape, dtype)
}

pub(crate) fn array<R: CubeRuntime>(tensor: &CubeTensor<R>) -> ArrayArg<R> {
    tensor.clone().into_array_arg()
}

/// The number of cubes, and units of each, for so many units.
pub(crate) fn grid<R: CubeRuntime>(of: &CubeTensor<R>, units: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&of.client, units);
    (calculate_cube_count_elemwise(&of.client, units, dim), dim)
}

/// Groups of rows of maps, whose sums are computed apart.
struct Groups<R: CubeRuntime> {
    channels: usize,
    rows: usize,
    groups: usize,
    /// Two numbers for each channel of each group, `[2, G, C]`.
    results: CubeTensor<R>,
}

impl<R: CubeRuntime> Groups<R> {
    fn of(maps: &CubeTensor<R>) -> Self {
        let [images, height, width, channels] = maps.meta.shape.dims();
        let rows = images * height * width;
        let groups = (UNITS / channels).clamp(1, rows);
        Self { channels, rows, groups, results: empty(maps, Shape::from([2, groups, channels]), DType::F32) }
    }

    /// The grid of a kernel with a unit for each channel of each group.
    fn units(&self) -> (CubeCount, CubeDim) {
        grid(&self.results, self.groups * self.channels)
    }

    /// The grid of a kernel with a cube for each channel.
    fn cubes(&self) -> (CubeCount, CubeDim) {
        (CubeCount::Static(self.channels as u32, 1, 1), CubeDim::new_1d(THREADS))
    }
}

fn moments<R: CubeRuntime>(momentum: f64, inputs: &[CubeTensor<R>], outputs: &[CubeTensor<R>]) {
    let maps = &inputs[0];
    let of = Groups::of(maps);
    let (count, dim) = of.units();
    let client = &maps.client;
    moments::moments_of_groups::launch::<R>(
        client,
        count,
        dim,
        array(maps),
        array(&of.results),
        of.channels,
        of.groups,
        maps.dtype.into(),
    );
    let (count, dim) = of.cubes();
    moments::moments_of_channels::launch::<R>(
        client,
        count,
        dim,
        array(&of.results),
        array(&inputs[1]),
        array(&inputs[2]),
        array(&inputs[3]),
        array(&outputs[0]),
        array(&outputs[1]),
        array(&outputs[2]),
        array(&outputs[3]),
        momentum as f32,
        of.channels,
        of.groups,
        of.rows,
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
    normalization::normalize::launch::<R>(
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
    let of = Groups::of(maps);
    let (count, dim) = of.units();
    let client = &maps.client;
    normalization::gradient_sums_of_groups::launch::<R>(
        client,
        count,
        dim,
        array(maps),
        residual(call, inputs, 5),
        array(&inputs[4]),
        array(&of.results),
        normalization(call, inputs),
        sizes(call, maps),
        of.groups,
        call.residual,
        maps.dtype.into(),
    );
    let (count, dim) = of.cubes();
    normalization::gradient_sums_of_channels::launch::<R>(
        client,
        count,
        dim,
        array(&of.results),
        array(&outputs[0]),
        array(&outputs[1]),
        of.channels,
        of.groups,
        THREADS,
    );
}

fn maps_gradient<R: CubeRuntime>(call: Normalize, inputs: &[CubeTensor<R>], outputs: &[CubeTensor<R>]) {
    let maps = &inputs[0];
    let (count, dim) = grid(maps, maps.meta.num_elements());
    // Without a residual its gradient is not written: the kernel gets an array that it does not use.
    let unused = (!call.residual).then(|| empty(maps, Shape::from([1]), maps.dtype));
    let of_residual = unused.as_ref().unwrap_or_else(|| &outputs[1]);
    normalization::gradient_of_maps::launch::<R>(
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

fn convolution<R: CubeRuntime>(
    Patches { kernel, stride, padding }: Patches,
    [height, width, channels]: [usize; 3],
    [out_height, out_width]: [usize; 2],
) -> ConvolutionLaunch<R> {
    ConvolutionLaunch::new(height, width, channels, out_height, out_width, kernel, stride, padding)
}

fn patches<R: CubeRuntime>(call: Patches, maps: &CubeTensor<R>, output: &CubeTensor<R>) {
    let [_, height, width, channels] = maps.meta.shape.dims();
    let (count, dim) = grid(maps, output.meta.num_elements());
    let places = [height, width].map(|length| call.places(length));
    let of = convolution(call, [height, width, channels], places);
    patches::gather_patches::launch::<R>(&maps.client, count, dim, array(maps), array(output), of, maps.dtype.into());
}

fn fold<R: CubeRuntime>(call: Fold, patches: &CubeTensor<R>, output: &CubeTensor<R>) {
    let [_, height, width, channels] = output.meta.shape.dims();
    let (count, dim) = grid(patches, output.meta.num_elements());
    let places = [height, width].map(|length| call.patches.places(length));
    let of = convolution(call.patches, [height, width, channels], places);
    patches::fold_patches::launch::<R>(
        &patches.client,
        count,
        dim,
        array(patches),
        array(output),
        of,
        patches.dtype.into(),
    );
}
