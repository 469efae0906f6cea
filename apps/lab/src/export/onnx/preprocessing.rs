//! The preparation of images as nodes of a graph.

use qare_data::Normalization;
use qare_onnx::{Attribute, Element, Graph, Number, Value};

use super::resize::bilinear;
use crate::export::facts::LONGEST;

/// Adds the preparation of upright 8-bit images of one size, `[N, H, W, 3]` → `[N, 3, size, size]`: the resizing that `Facts::resize` describes,
/// with the same pixels, then (v / 255 − mean) / standard deviation.
pub fn add(graph: &mut Graph, image: &Value, size: usize, normalization: Normalization) -> Value {
    let mut steps = Steps { graph, count: 0 };
    let side = steps.constant(&[1], &[size as i64]);
    let [height, width] = [1, 2].map(|axis| {
        steps.op_with("Shape", &[image], &[("start", Attribute::Int(axis)), ("end", Attribute::Int(axis + 1))])
    });
    let shorter = steps.op("Min", &[&height, &width]);
    let factor = steps.constant(&[1], &[LONGEST as i64]);
    let longest = steps.op("Mul", &[&shorter, &factor]);
    let mut pixels = steps.transpose(image, &[0, 3, 1, 2]); // [N, 3, H, W]

    // Each pass works along the last axis and leaves the other axis last: width, then height.
    for length in [&width, &height] {
        let part = steps.op("Min", &[length, &longest]);
        pixels = steps.middle(&pixels, length, &part);
        let product = steps.op("Mul", &[&side, &part]);
        let resized = steps.op("Div", &[&product, &shorter]);
        pixels = bilinear(&mut steps, &pixels, &part, &resized);
        pixels = steps.middle(&pixels, &resized, &side);
        pixels = steps.transpose(&pixels, &[0, 1, 3, 2]);
    }

    let values = steps.cast(&pixels, Element::F32);
    let most = steps.constant(&[1], &[255.0f32]);
    let [mean, std] = [normalization.mean, normalization.std].map(|values| steps.constant(&[1, 3, 1, 1], &values));
    let values = steps.op("Div", &[&values, &most]);
    let values = steps.op("Sub", &[&values, &mean]);
    steps.op("Div", &[&values, &std])
}

/// A graph whose next nodes are numbered.
pub struct Steps<'a> {
    graph: &'a mut Graph,
    count: usize,
}

impl Steps<'_> {
    fn name(&mut self, what: &str) -> String {
        self.count += 1;
        format!("preprocessing.{}.{what}", self.count)
    }

    pub fn op(&mut self, operator: &str, inputs: &[&Value]) -> Value {
        self.op_with(operator, inputs, &[])
    }

    pub fn op_with(&mut self, operator: &str, inputs: &[&Value], attributes: &[(&str, Attribute)]) -> Value {
        let name = self.name(operator);
        self.graph.node(&name, operator, inputs, attributes)
    }

    pub fn constant<T: Number>(&mut self, shape: &[usize], values: &[T]) -> Value {
        let name = self.name("Constant");
        self.graph.constant(&name, shape, values)
    }

    pub fn cast(&mut self, value: &Value, to: Element) -> Value {
        let name = self.name("Cast");
        self.graph.cast(&name, value, to)
    }

    fn transpose(&mut self, value: &Value, axes: &[i64]) -> Value {
        self.op_with("Transpose", &[value], &[("perm", Attribute::Ints(axes))])
    }

    /// The middle `part` of the `length` places of the last axis of `[N, 3, …, length]`; half a place is rounded to even.
    fn middle(&mut self, value: &Value, length: &Value, part: &Value) -> Value {
        let two = self.constant(&[1], &[2i64]);
        let around = self.op("Sub", &[length, part]);
        let [half, odd] = ["Div", "Mod"].map(|operator| self.op(operator, &[&around, &two]));
        // half + 1/2 is rounded up if half is odd.
        let half_is_odd = self.op("Mod", &[&half, &two]);
        let up = self.op("Mul", &[&odd, &half_is_odd]);
        let start = self.op("Add", &[&half, &up]);
        let end = self.op("Add", &[&start, part]);
        let axis = self.constant(&[1], &[3i64]);
        self.op("Slice", &[value, &start, &end, &axis])
    }
}
