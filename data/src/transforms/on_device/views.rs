//! The whole chain of contrastive views on a device.

use std::ops::Range;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element, ElementConversion, Int, Tensor, TensorData};

use super::color::{blend, luma, replace};
use super::hue::{SECTORS, turn_hue};
use super::resize::resample;
use super::schedule::{BLENDS, STEPS, Step};
use super::table::{Axis, COLORS, ContrastiveTable, OF_BLEND, OF_HUE, TableShape, WEIGHTS};
use crate::transforms::normalize::Normalization;

/// Computes the views of a table, normalised, `[images, views, 3, height, width]`.
///
/// Before the normalisation the values equal those of [`ContrastiveView::apply`](crate::views::ContrastiveView::apply) exactly.
pub fn contrastive_views<B: Backend>(
    table: ContrastiveTable,
    normalization: &Normalization,
    device: &B::Device,
) -> Tensor<B, 5> {
    let on_device = OnDevice::<B>::upload(table, normalization, device);
    let TableShape { images, views, height, width } = on_device.shape;
    let mut result = on_device.images().expand([images, views, 3, height, width]);
    for axis in [Axis::Columns, Axis::Rows] {
        result = resample(result, axis, on_device.places(axis), on_device.weights(axis));
    }
    for step in STEPS {
        result = match step {
            Step::Blend(index) => blend(result, on_device.colors(OF_BLEND * index)),
            Step::Hue(index) => {
                let [share, steps] = on_device.colors(OF_BLEND * BLENDS + OF_HUE * index);
                let turned = turn_hue(&result, steps, on_device.of_channels(2));
                replace(result, turned, share)
            }
        };
    }
    let [grayscale] = on_device.colors(COLORS - 1);
    let gray = luma(&result);
    let result = replace(result, gray, grayscale);
    let normalised = (result / 255.0 - on_device.of_channels(0)) / on_device.of_channels(1);
    normalised.cast(B::FloatElem::dtype())
}

/// A table in the memory of a device.
struct OnDevice<B: Backend> {
    shape: TableShape,
    /// The numbers of the table, then three of each channel: mean, standard deviation, and [`SECTORS`].
    numbers: Tensor<B, 1>,
    /// The places of the table, then the pixels, packed.
    integers: Tensor<B, 1, Int>,
}

impl<B: Backend> OnDevice<B> {
    fn upload(table: ContrastiveTable, normalization: &Normalization, device: &B::Device) -> Self {
        let integers = table.integers();
        let ContrastiveTable { shape, mut numbers, .. } = table;
        numbers.extend([normalization.mean, normalization.std, SECTORS].as_flattened());
        let (count, integer_count) = (numbers.len(), integers.len());
        Self {
            shape,
            numbers: Tensor::from_data(TensorData::new(numbers, [count]), (device, DType::F32)),
            integers: Tensor::from_data(TensorData::new(integers, [integer_count]), device),
        }
    }

    /// The raw images, `[images, 1, 3, height, width]`, values from 0 to 255.
    fn images(&self) -> Tensor<B, 5> {
        let TableShape { images, height, width, .. } = self.shape;
        let [count] = self.integers.dims();
        let start = Axis::Rows.places(self.shape).end;
        let words = self.integers.clone().narrow(0, start, count - start).reshape([count - start, 1]);
        let shifts = Tensor::<B, 1, Int>::arange_step(0..32, 8, &self.integers.device()).reshape([1, 4]);
        let shape = [count - start, 4];
        let bytes = words.expand(shape).bitwise_right_shift(shifts.expand(shape)).bitwise_and_scalar(255i32.elem());
        let pixels = bytes.float().cast(DType::F32).reshape([4 * (count - start)]);
        pixels.narrow(0, 0, images * self.shape.image()).reshape([images, 1, 3, height, width])
    }

    /// The first neighbours on an axis.
    fn places(&self, axis: Axis) -> Tensor<B, 5, Int> {
        self.integers.clone().slice([axis.places(self.shape)]).reshape(self.of_axis(axis))
    }

    /// The weights of the neighbours on an axis.
    fn weights(&self, axis: Axis) -> [Tensor<B, 5>; WEIGHTS] {
        let range = axis.weights(self.shape);
        let length = range.len() / WEIGHTS;
        std::array::from_fn(|table| {
            self.section(range.start + table * length..range.start + (table + 1) * length, self.of_axis(axis))
        })
    }

    /// Numbers of the colours of each view, `[images, views, 1, 1, 1]` each, from number `first` on.
    fn colors<const N: usize>(&self, first: usize) -> [Tensor<B, 5>; N] {
        let TableShape { images, views, .. } = self.shape;
        let (start, length) = (self.shape.colors().start, self.shape.all_views());
        std::array::from_fn(|number| {
            let start = start + (first + number) * length;
            self.section(start..start + length, [images, views, 1, 1, 1])
        })
    }

    /// A number of each channel, `[1, 1, 3, 1, 1]`: its mean, standard deviation or sector.
    fn of_channels(&self, number: usize) -> Tensor<B, 5> {
        let start = self.shape.colors().end + 3 * number;
        self.section(start..start + 3, [1, 1, 3, 1, 1])
    }

    fn section(&self, range: Range<usize>, shape: [usize; 5]) -> Tensor<B, 5> {
        self.numbers.clone().slice([range]).reshape(shape)
    }

    fn of_axis(&self, axis: Axis) -> [usize; 5] {
        let TableShape { images, views, height, width } = self.shape;
        match axis {
            Axis::Columns => [images, views, 1, 1, width],
            Axis::Rows => [images, views, 1, height, 1],
        }
    }
}
