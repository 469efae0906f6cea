//! The operators of networks, with the attributes that PyTorch's layers have.

use crate::graph::{Attribute, Element, Graph, Value};

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSizes {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps downwards and to the right.
    pub stride: [usize; 2],
    /// Rows or columns of zeros at the top, left, bottom and right.
    pub padding: [usize; 4],
}

/// The parameters of a batch normalisation, `[C]` each.
#[derive(Clone, Copy, Debug)]
pub struct Normalization<'a> {
    /// γ
    pub weight: &'a Value,
    /// β
    pub bias: &'a Value,
    /// The running mean.
    pub mean: &'a Value,
    /// The running variance.
    pub variance: &'a Value,
    /// ε
    pub epsilon: f32,
}

impl Graph {
    /// A convolution without bias, `[N, C, H, W]` → `[N, C', H', W']`, with a weight `[C', C, k, k']`.
    pub fn conv(&mut self, name: &str, input: &Value, weight: &Value, sizes: ConvSizes) -> Value {
        let attributes = [
            ("kernel_shape", Attribute::Ints(&sizes.kernel.map(|size| size as i64))),
            ("strides", Attribute::Ints(&sizes.stride.map(|size| size as i64))),
            ("pads", Attribute::Ints(&sizes.padding.map(|size| size as i64))),
        ];
        self.node(name, "Conv", &[input, weight], &attributes)
    }

    /// Batch normalisation with running statistics, `[N, C, …]` → `[N, C, …]`: (x − mean) / √(variance + ε) · γ + β.
    pub fn batch_norm(&mut self, name: &str, input: &Value, of: Normalization) -> Value {
        let inputs = [input, of.weight, of.bias, of.mean, of.variance];
        self.node(name, "BatchNormalization", &inputs, &[("epsilon", Attribute::Float(of.epsilon))])
    }

    /// max(x, 0)
    pub fn relu(&mut self, name: &str, input: &Value) -> Value {
        self.node(name, "Relu", &[input], &[])
    }

    /// The sum of two tensors of one shape.
    pub fn add(&mut self, name: &str, one: &Value, other: &Value) -> Value {
        self.node(name, "Add", &[one, other], &[])
    }

    /// Maxima of `size`×`size` pixels at a stride, with padding that is never the maximum. A window that is not whole is dropped.
    pub fn max_pool(&mut self, name: &str, input: &Value, size: usize, stride: usize, padding: usize) -> Value {
        let attributes = [
            ("kernel_shape", Attribute::Ints(&[size as i64; 2])),
            ("strides", Attribute::Ints(&[stride as i64; 2])),
            ("pads", Attribute::Ints(&[padding as i64; 4])),
        ];
        self.node(name, "MaxPool", &[input], &attributes)
    }

    /// Means of `size`×`size` pixels side by side. Rows and columns that fill no window are dropped.
    pub fn average_pool(&mut self, name: &str, input: &Value, size: usize) -> Value {
        let sizes = [size as i64; 2];
        let attributes = [("kernel_shape", Attribute::Ints(&sizes)), ("strides", Attribute::Ints(&sizes))];
        self.node(name, "AveragePool", &[input], &attributes)
    }

    /// Means over all pixels, `[N, C, H, W]` → `[N, C]`. There is a node `NAME.maps` for `[N, C, 1, 1]`.
    pub fn global_average(&mut self, name: &str, input: &Value) -> Value {
        let maps = self.node(&format!("{name}.maps"), "GlobalAveragePool", &[input], &[]);
        self.node(name, "Flatten", &[&maps], &[("axis", Attribute::Int(1))])
    }

    /// A linear layer, `[N, F]` → `[N, D]`, with a weight `[D, F]` and a bias `[D]`.
    pub fn linear(&mut self, name: &str, input: &Value, weight: &Value, bias: &Value) -> Value {
        self.node(name, "Gemm", &[input, weight, bias], &[("transB", Attribute::Int(1))])
    }

    /// The tensor as numbers of another type.
    pub fn cast(&mut self, name: &str, input: &Value, to: Element) -> Value {
        self.node(name, "Cast", &[input], &[("to", Attribute::Int(i32::from(to.data_type()).into()))])
    }
}
