//! Softmax regression in loops over `f32` slices, for few weights on backends whose tensors are in host memory.
//!
//! Everything runs on one thread, so the result does not depend on the number of threads. The bias is the weight of an additional
//! feature that is always 1. Features and classes are padded with zeros to complete tiles; the padding stays zero.

use std::marker::PhantomData;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use qare_models::LinearClassifier;

use super::{Trainer, tensor};
use crate::evaluation::features::{Features, values};
use crate::training::optimizer::{BETA_1, BETA_2, EPSILON};

/// Rows and columns of a tile. The sums of a tile stay in registers.
const TILE: usize = 4;

pub struct HostTrainer<'a, B: Backend> {
    features: &'a Features,
    classes: usize,
    /// Number of features plus one for the bias, padded to complete tiles.
    inputs: usize,
    /// Number of classes, padded to complete tiles.
    outputs: usize,
    /// `[inputs, outputs]`, like `gradient` and the moments.
    weight: Vec<f32>,
    gradient: Vec<f32>,
    /// Adam's running mean of the gradient.
    moment_1: Vec<f32>,
    /// Adam's running mean of the squared gradient.
    moment_2: Vec<f32>,
    steps: i32,
    device: B::Device,
    backend: PhantomData<B>,
}

/// The features and residuals of a batch. Rows are padded with zeros to complete tiles.
#[derive(Default)]
struct Batch {
    /// `[rows, inputs]`
    x: Vec<f32>,
    /// Logits, then (p − y) / rows, `[rows, outputs]`.
    residual: Vec<f32>,
}

impl<'a, B: Backend> HostTrainer<'a, B> {
    pub fn new(features: &'a Features, initial: &LinearClassifier<B>) -> Self {
        let [classes, dim] = initial.weight.dims();
        let (inputs, outputs) = ((dim + 1).next_multiple_of(TILE), classes.next_multiple_of(TILE));
        let mut weight = vec![0.0; inputs * outputs];
        for (class, row) in values(initial.weight.val()).chunks_exact(dim).enumerate() {
            row.iter().enumerate().for_each(|(feature, value)| weight[feature * outputs + class] = *value);
        }
        weight[dim * outputs..][..classes].copy_from_slice(&values(initial.bias.val()));
        let zeros = || vec![0.0; inputs * outputs];
        let (gradient, moment_1, moment_2) = (zeros(), zeros(), zeros());
        let device = initial.weight.device();
        Self {
            features,
            classes,
            inputs,
            outputs,
            weight,
            gradient,
            moment_1,
            moment_2,
            steps: 0,
            device,
            backend: PhantomData,
        }
    }

    /// Fills the batch with the features of these rows and their residuals (p − y) / rows. Returns the mean cross entropy if
    /// `with_loss`, and 0 otherwise.
    fn residual(&self, rows: &[usize], with_loss: bool, Batch { x, residual }: &mut Batch) -> f64 {
        let dim = self.features.dim;
        let padded = rows.len().next_multiple_of(TILE);
        x.resize(padded * self.inputs, 0.0);
        residual.resize(padded * self.outputs, 0.0);
        for (row, x) in rows.iter().zip(x.chunks_exact_mut(self.inputs)) {
            x[..dim].copy_from_slice(&self.features.values[row * dim..][..dim]);
            x[dim] = 1.0;
        }
        x[rows.len() * self.inputs..].fill(0.0);
        logits(x, &self.weight, self.inputs, self.outputs, residual);
        let (mut loss, share) = (0.0, 1.0 / rows.len() as f32);
        for (row, residual) in rows.iter().zip(residual.chunks_exact_mut(self.outputs)) {
            let class = usize::from(self.features.labels[*row]);
            let residual = &mut residual[..self.classes];
            softmax(residual);
            if with_loss {
                loss -= f64::from(residual[class]).ln() / rows.len() as f64;
            }
            residual[class] -= 1.0;
            residual.iter_mut().for_each(|value| *value *= share);
        }
        loss
    }

    /// Takes a step of Adam, with the operations in Burn's order.
    fn step(&mut self, rate: f32) {
        self.steps += 1;
        let correction = (1.0 - BETA_2.powi(self.steps)).sqrt();
        let (factor, epsilon) = (correction / (1.0 - BETA_1.powi(self.steps)), EPSILON * correction);
        let moments = self.moment_1.iter_mut().zip(&mut self.moment_2);
        for ((weight, gradient), (first, second)) in self.weight.iter_mut().zip(&self.gradient).zip(moments) {
            *first = *first * BETA_1 + gradient * (1.0 - BETA_1);
            *second = *second * BETA_2 + gradient * gradient * (1.0 - BETA_2);
            *weight -= *first * factor / (second.sqrt() + epsilon) * rate;
        }
    }
}

impl<B: Backend> Trainer<B> for HostTrainer<'_, B> {
    fn epoch(&mut self, order: &[usize], batch: usize, rate: f64) -> f64 {
        let (mut loss, mut buffers) = (f64::NAN, Batch::default());
        let last = order.len().div_ceil(batch).saturating_sub(1);
        for (number, rows) in order.chunks(batch).enumerate() {
            loss = self.residual(rows, number == last, &mut buffers);
            weight_gradient(&buffers.x, &buffers.residual, self.inputs, self.outputs, &mut self.gradient);
            self.step(rate as f32);
        }
        loss
    }

    fn into_weights(self: Box<Self>) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let dim = self.features.dim;
        let at = |class: usize, feature: usize| self.weight[feature * self.outputs + class];
        let weight = (0..self.classes).flat_map(|class| (0..dim).map(move |feature| at(class, feature))).collect();
        let bias = (0..self.classes).map(|class| at(class, dim)).collect();
        (tensor(weight, [self.classes, dim], &self.device), tensor(bias, [self.classes], &self.device))
    }
}

/// out = `x` `[rows, inputs]` · `weight` `[inputs, outputs]`. All sizes are multiples of [`TILE`].
fn logits(x: &[f32], weight: &[f32], inputs: usize, outputs: usize, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(TILE * inputs).zip(out.chunks_exact_mut(TILE * outputs)) {
        let (x0, x) = x.split_at(inputs);
        let (x1, x) = x.split_at(inputs);
        let (x2, x3) = x.split_at(inputs);
        for column in (0..outputs).step_by(TILE) {
            let mut sums = [[0.0f32; TILE]; TILE];
            let rows = x0.iter().zip(x1).zip(x2).zip(x3);
            for ((((x0, x1), x2), x3), weight) in rows.zip(weight.chunks_exact(outputs)) {
                add_product(&mut sums, [*x0, *x1, *x2, *x3], &weight[column..column + TILE]);
            }
            for (sums, out) in sums.iter().zip(out.chunks_exact_mut(outputs)) {
                out[column..column + TILE].copy_from_slice(sums);
            }
        }
    }
}

/// out = `x`ᵀ `[inputs, rows]` · `residual` `[rows, outputs]`. `inputs` and `outputs` are multiples of [`TILE`].
fn weight_gradient(x: &[f32], residual: &[f32], inputs: usize, outputs: usize, out: &mut [f32]) {
    for (row, out) in (0..inputs).step_by(TILE).zip(out.chunks_exact_mut(TILE * outputs)) {
        for column in (0..outputs).step_by(TILE) {
            let mut sums = [[0.0f32; TILE]; TILE];
            for (x, residual) in x.chunks_exact(inputs).zip(residual.chunks_exact(outputs)) {
                let x = x[row..row + TILE].try_into().expect("a tile of features");
                add_product(&mut sums, x, &residual[column..column + TILE]);
            }
            for (sums, out) in sums.iter().zip(out.chunks_exact_mut(outputs)) {
                out[column..column + TILE].copy_from_slice(sums);
            }
        }
    }
}

/// sums += left · rightᵀ
#[inline(always)]
fn add_product(sums: &mut [[f32; TILE]; TILE], left: [f32; TILE], right: &[f32]) {
    let right: [f32; TILE] = right.try_into().expect("a tile of columns");
    for (sums, left) in sums.iter_mut().zip(left) {
        for (sum, right) in sums.iter_mut().zip(right) {
            *sum += left * right;
        }
    }
}

/// Replaces logits by probabilities.
fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - largest).exp();
        sum += *value;
    }
    row.iter_mut().for_each(|value| *value /= sum);
}
