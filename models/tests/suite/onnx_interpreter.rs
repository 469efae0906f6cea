//! A slow interpreter of the operators that networks have, literally by their definitions, in f64.

use std::collections::HashMap;

use qare_onnx::proto::{GraphProto, Message, ModelProto, NodeProto};

/// A tensor, row-major.
#[derive(Clone, Debug)]
pub struct Values {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Values {
    pub fn new(shape: &[usize], values: Vec<f64>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        Self { shape: shape.to_vec(), values }
    }

    /// `[N, C, H, W]`
    fn maps(&self) -> [usize; 4] {
        self.shape[..].try_into().expect("four dimensions")
    }

    /// A pixel, if the place is inside.
    fn pixel(&self, n: usize, c: usize, y: isize, x: isize) -> Option<f64> {
        let [_, channels, height, width] = self.maps();
        let inside = |place: isize, length: usize| (0..length as isize).contains(&place);
        (inside(y, height) && inside(x, width))
            .then(|| self.values[((n * channels + c) * height + y as usize) * width + x as usize])
    }
}

pub struct Interpreter {
    graph: GraphProto,
    constants: HashMap<String, Values>,
}

impl Interpreter {
    /// Reads a file and checks that its graph is sound: names are unique, each node uses what is there before it, and constants have the
    /// bytes of their shapes.
    pub fn read(file: &[u8]) -> Self {
        let model = ModelProto::decode(file).unwrap();
        assert_eq!((model.ir_version, model.opset_import[0].version), (8, 18));
        let graph = model.graph.unwrap();
        let mut constants = HashMap::new();
        for tensor in &graph.initializer {
            assert_eq!(tensor.data_type, 1, "{}: f32", tensor.name);
            let (chunks, rest) = tensor.raw_data.as_chunks::<4>();
            let values = chunks.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
            let shape: Vec<usize> = tensor.dims.iter().map(|size| *size as usize).collect();
            assert!(rest.is_empty());
            assert!(constants.insert(tensor.name.clone(), Values::new(&shape, values)).is_none(), "{}", tensor.name);
        }
        let mut known: Vec<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
        known.extend(graph.initializer.iter().map(|tensor| tensor.name.as_str()));
        let mut used: Vec<&str> = Vec::new();
        for node in &graph.node {
            for input in &node.input {
                assert!(known.contains(&input.as_str()), "{}: {input} is not there yet", node.name);
                used.push(input);
            }
            assert!(!known.contains(&node.output[0].as_str()), "{} is there twice", node.name);
            known.push(&node.output[0]);
        }
        for name in constants.keys() {
            assert!(used.contains(&name.as_str()), "{name} is used by no node");
        }
        for output in &graph.output {
            assert!(known.contains(&output.name.as_str()), "the output {} is not there", output.name);
        }
        Self { graph, constants }
    }

    pub fn constants(&self) -> Vec<String> {
        self.constants.keys().cloned().collect()
    }

    /// All values that the graph computes from an input.
    pub fn run(&self, input: &str, values: Values) -> HashMap<String, Values> {
        let mut known = self.constants.clone();
        known.insert(input.to_owned(), values);
        for node in &self.graph.node {
            let inputs: Vec<&Values> = node.input.iter().map(|name| &known[name]).collect();
            let output = compute(node, &inputs);
            known.insert(node.output[0].clone(), output);
        }
        known
    }
}

fn compute(node: &NodeProto, inputs: &[&Values]) -> Values {
    let first = inputs[0];
    let each =
        |of: &dyn Fn(f64) -> f64| Values::new(&first.shape, first.values.iter().map(|value| of(*value)).collect());
    match node.op_type.as_str() {
        "Identity" => first.clone(),
        "Relu" => each(&|value| value.max(0.0)),
        "Add" => {
            assert_eq!(first.shape, inputs[1].shape);
            Values::new(&first.shape, first.values.iter().zip(&inputs[1].values).map(|(a, b)| a + b).collect())
        }
        "Conv" => conv(node, first, inputs[1]),
        "BatchNormalization" => batch_norm(node, inputs),
        "MaxPool" => pool(node, first, &|window| window.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        "AveragePool" => pool(node, first, &|window| window.iter().sum::<f64>() / window.len() as f64),
        "GlobalAveragePool" => {
            let [n, c, h, w] = first.maps();
            let means = first.values.chunks(h * w).map(|map| map.iter().sum::<f64>() / (h * w) as f64).collect();
            Values::new(&[n, c, 1, 1], means)
        }
        "Flatten" => {
            assert_eq!(int(node, "axis"), Some(1));
            Values::new(&[first.shape[0], first.shape[1..].iter().product()], first.values.clone())
        }
        "Gemm" => {
            assert_eq!(int(node, "transB"), Some(1));
            let [rows, features] = first.shape[..] else { panic!("two dimensions") };
            let [columns, same] = inputs[1].shape[..] else { panic!("two dimensions") };
            assert_eq!((features, &inputs[2].shape[..]), (same, &[columns][..]));
            let product = |row: &[f64], column: usize| {
                let weights = &inputs[1].values[column * features..][..features];
                row.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() + inputs[2].values[column]
            };
            let rows_of = first.values.chunks(features);
            let values = rows_of.flat_map(|row| (0..columns).map(move |column| product(row, column))).collect();
            Values::new(&[rows, columns], values)
        }
        other => panic!("no network has {other}"),
    }
}

fn int(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name == name)?.i
}

fn ints<const N: usize>(node: &NodeProto, name: &str, default: [isize; N]) -> [isize; N] {
    let Some(found) = node.attribute.iter().find(|attribute| attribute.name == name) else { return default };
    let numbers: Vec<isize> = found.ints.iter().map(|number| *number as isize).collect();
    numbers.try_into().expect("as many as the default")
}

/// The positions of a window: kernel, stride and padding of an axis, and how often it fits.
struct Windows {
    kernel: [isize; 2],
    stride: [isize; 2],
    before: [isize; 2],
    count: [usize; 2],
}

impl Windows {
    fn of(node: &NodeProto, input: &Values) -> Self {
        let kernel = ints(node, "kernel_shape", [0; 2]);
        let stride = ints(node, "strides", [1; 2]);
        let [top, left, bottom, right] = ints(node, "pads", [0; 4]);
        let [_, _, height, width] = input.maps().map(|size| size as isize);
        let padded = [height + top + bottom, width + left + right];
        let count = [0, 1].map(|axis| ((padded[axis] - kernel[axis]) / stride[axis] + 1) as usize);
        Self { kernel, stride, before: [top, left], count }
    }

    /// The places of the input under the window at an output's place.
    fn places(&self, y: usize, x: usize) -> impl Iterator<Item = (isize, isize)> {
        let [top, left] = [y, x].map(|place| place as isize);
        let (top, left) = (top * self.stride[0] - self.before[0], left * self.stride[1] - self.before[1]);
        let [height, width] = self.kernel;
        (0..height).flat_map(move |row| (0..width).map(move |column| (top + row, left + column)))
    }
}

fn conv(node: &NodeProto, input: &Values, weight: &Values) -> Values {
    let windows = Windows::of(node, input);
    let ([images, channels, ..], [outputs, same, ..]) = (input.maps(), weight.maps());
    assert_eq!((channels, windows.kernel), (same, [weight.shape[2] as isize, weight.shape[3] as isize]));
    let size = weight.values.len() / outputs;
    let mut values = Vec::new();
    for n in 0..images {
        for output in 0..outputs {
            let weights = &weight.values[output * size..][..size];
            for (y, x) in (0..windows.count[0]).flat_map(|y| (0..windows.count[1]).map(move |x| (y, x))) {
                let pixels = (0..channels)
                    .flat_map(|c| windows.places(y, x).map(move |(y, x)| input.pixel(n, c, y, x).unwrap_or(0.0)));
                values.push(pixels.zip(weights).map(|(pixel, weight)| pixel * weight).sum());
            }
        }
    }
    Values::new(&[images, outputs, windows.count[0], windows.count[1]], values)
}

fn pool(node: &NodeProto, input: &Values, of: &dyn Fn(&[f64]) -> f64) -> Values {
    let windows = Windows::of(node, input);
    let [images, channels, ..] = input.maps();
    let mut values = Vec::new();
    for (n, c) in (0..images).flat_map(|n| (0..channels).map(move |c| (n, c))) {
        for (y, x) in (0..windows.count[0]).flat_map(|y| (0..windows.count[1]).map(move |x| (y, x))) {
            let inside: Vec<f64> = windows.places(y, x).filter_map(|(y, x)| input.pixel(n, c, y, x)).collect();
            values.push(of(&inside));
        }
    }
    Values::new(&[images, channels, windows.count[0], windows.count[1]], values)
}

fn batch_norm(node: &NodeProto, inputs: &[&Values]) -> Values {
    let [input, weight, bias, mean, variance] = inputs else { panic!("five inputs") };
    let epsilon = node.attribute.iter().find(|attribute| attribute.name == "epsilon").and_then(|found| found.f);
    let epsilon = f64::from(epsilon.expect("epsilon"));
    let [_, channels, height, width] = input.maps();
    let normalised = |(place, value): (usize, &f64)| {
        let c = place / (height * width) % channels;
        (value - mean.values[c]) / (variance.values[c] + epsilon).sqrt() * weight.values[c] + bias.values[c]
    };
    Values::new(&input.shape, input.values.iter().enumerate().map(normalised).collect())
}
