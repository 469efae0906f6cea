use std::collections::HashSet;

use crate::proto::{
    AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, Message, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// The version of the format: that of ONNX 1.13.
const IR_VERSION: i64 = 8;
/// The version of the operators: the first whose `Resize` has antialiasing.
const OPERATORS: i64 = 18;

/// A tensor of a graph: an input, a constant or the output of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// The place of an optional input that a node does not have.
    pub fn absent() -> Self {
        Self(String::new())
    }

    /// The name in the graph.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// f32
    F32,
    /// f64
    F64,
    /// u8
    U8,
    /// i32
    I32,
    /// i64
    I64,
}

impl Element {
    /// The type as files tell it.
    pub fn data_type(self) -> DataType {
        match self {
            Self::F32 => DataType::Float,
            Self::F64 => DataType::Double,
            Self::U8 => DataType::Uint8,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
        }
    }
}

/// A number of a constant.
pub trait Number: Copy {
    /// The type.
    const ELEMENT: Element;
    /// Appends the little-endian bytes.
    fn write(self, bytes: &mut Vec<u8>);
}

macro_rules! number {
    ($($type:ty: $element:ident),*) => {$(
        impl Number for $type {
            const ELEMENT: Element = Element::$element;
            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    )*};
}

number!(f32: F32, f64: F64, i32: I32, i64: I64);

/// A dimension of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A fixed size.
    Fixed(usize),
    /// A size that the inputs decide. Dimensions of one name are equal.
    Named(&'static str),
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

/// A setting of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attribute<'a> {
    /// A number.
    Float(f32),
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(&'a [i64]),
    /// A text.
    Text(&'a str),
}

/// A graph of ONNX operators, to which nodes are added in the order in which they are computed.
///
/// Names of inputs, constants and nodes are chosen by the caller, and each is there once. A node of a name has one output, of the same
/// name.
#[derive(Clone, Debug)]
pub struct Graph {
    graph: GraphProto,
    names: HashSet<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self { graph: GraphProto { name: name.to_owned(), ..Default::default() }, names: HashSet::new() }
    }

    /// Adds an input.
    ///
    /// # Panics
    ///
    /// If the name is taken.
    pub fn input(&mut self, name: &str, element: Element, shape: &[Dim]) -> Value {
        self.graph.input.push(value_info(name, element, shape));
        self.named(name)
    }

    /// Adds an output that is `value`.
    ///
    /// # Panics
    ///
    /// If the name is taken, or `value` is not of this graph.
    pub fn output(&mut self, name: &str, value: &Value, element: Element, shape: &[Dim]) {
        self.node(name, "Identity", &[value], &[]);
        self.graph.output.push(value_info(name, element, shape));
    }

    /// Adds a constant.
    ///
    /// # Panics
    ///
    /// If the name is taken, or the count of values is not that of the shape.
    pub fn constant<T: Number>(&mut self, name: &str, shape: &[usize], values: &[T]) -> Value {
        let count = shape.iter().product::<usize>();
        assert_eq!(values.len(), count, "values of the constant `{name}` of shape {shape:?}");
        let mut raw_data = Vec::with_capacity(size_of_val(values));
        for value in values {
            value.write(&mut raw_data);
        }
        self.graph.initializer.push(TensorProto {
            dims: shape.iter().map(|size| *size as i64).collect(),
            data_type: T::ELEMENT.data_type().into(),
            name: name.to_owned(),
            raw_data,
        });
        self.named(name)
    }

    /// Adds a node with one output. Operators, the order of their inputs and the names of their attributes are those of ONNX.
    ///
    /// # Panics
    ///
    /// If the name is taken, or an input is not of this graph.
    pub fn node(&mut self, name: &str, operator: &str, inputs: &[&Value], attributes: &[(&str, Attribute)]) -> Value {
        for input in inputs.iter().filter(|input| **input != &Value::absent()) {
            assert!(self.names.contains(&input.0), "the input `{}` of `{name}` is not in the graph", input.0);
        }
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|input| input.0.clone()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes.iter().map(|(name, value)| attribute(name, *value)).collect(),
        });
        self.named(name)
    }

    fn named(&mut self, name: &str) -> Value {
        assert!(!name.is_empty() && self.names.insert(name.to_owned()), "the name `{name}` is taken");
        Value(name.to_owned())
    }

    /// The bytes of a file with the graph, the program that writes it, its version, and texts by name. The same graph makes the same
    /// bytes.
    pub fn into_model<'a>(
        self,
        producer: &str,
        version: &str,
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<u8> {
        let text = |(key, value): (&str, &str)| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: producer.to_owned(),
            producer_version: version.to_owned(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPERATORS }],
            metadata_props: metadata.into_iter().map(text).collect(),
        };
        model.encode_to_vec()
    }
}

fn value_info(name: &str, element: Element, shape: &[Dim]) -> ValueInfoProto {
    let dim = |dim: &Dim| match *dim {
        Dim::Fixed(size) => DimensionProto { dim_value: Some(size as i64), dim_param: None },
        Dim::Named(name) => DimensionProto { dim_value: None, dim_param: Some(name.to_owned()) },
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: element.data_type().into(), shape: Some(shape) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn attribute(name: &str, value: Attribute) -> AttributeProto {
    let empty = AttributeProto { name: name.to_owned(), ..Default::default() };
    let (kind, filled) = match value {
        Attribute::Float(number) => (AttributeType::Float, AttributeProto { f: Some(number), ..empty }),
        Attribute::Int(number) => (AttributeType::Int, AttributeProto { i: Some(number), ..empty }),
        Attribute::Ints(numbers) => (AttributeType::Ints, AttributeProto { ints: numbers.to_vec(), ..empty }),
        Attribute::Text(text) => (AttributeType::String, AttributeProto { s: Some(text.into()), ..empty }),
    };
    AttributeProto { r#type: kind.into(), ..filled }
}
