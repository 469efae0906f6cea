//! Files of graphs, and the refusals of the builder.

use std::panic::catch_unwind;

use qare_onnx::proto::{AttributeType, DataType, Message, ModelProto, NodeProto};
use qare_onnx::{Attribute, ConvSizes, Dim, Element, Graph, Value};

fn graph() -> (Graph, Value) {
    let mut graph = Graph::new("test");
    let images = graph.input("images", Element::U8, &[Dim::Named("N"), 3.into(), Dim::Fixed(8), 8.into()]);
    (graph, images)
}

#[test]
fn a_file_has_what_was_added() {
    let (mut graph, images) = graph();
    let images = graph.cast("cast", &images, Element::F32);
    let weight = graph.constant("weight", &[2, 3, 1, 1], &[1.0f32, -2.0, 0.5, 0.0, 4.0, 1e-30]);
    let sizes = ConvSizes { kernel: [1, 1], stride: [2, 2], padding: [0, 1, 2, 3] };
    let maps = graph.conv("conv", &images, &weight, sizes);
    let left_out = graph.node(
        "clip",
        "Clip",
        &[&maps, &Value::absent()],
        &[("zero", Attribute::Int(0)), ("text", Attribute::Text("é"))],
    );
    let places = graph.constant("places", &[], &[-3i64]);
    graph.node("sum", "Sum", &[&left_out, &places], &[("half", Attribute::Float(0.5))]);
    graph.output("maps", &maps, Element::F32, &[Dim::Named("N"), 2.into()]);

    let again = graph.clone().into_model("me", "1", [("key", "value"), ("a", "é")]);
    let file = graph.into_model("me", "1", [("key", "value"), ("a", "é")]);
    assert_eq!(file, again, "the same graph makes the same bytes");
    let model = ModelProto::decode(&file[..]).unwrap();
    assert_eq!((model.producer_name.as_str(), model.producer_version.as_str()), ("me", "1"));
    assert_eq!((model.ir_version, model.opset_import[0].version), (8, 18));
    let texts: Vec<_> = model.metadata_props.iter().map(|text| (text.key.as_str(), text.value.as_str())).collect();
    assert_eq!(texts, [("key", "value"), ("a", "é")]);

    let graph = model.graph.unwrap();
    let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
    assert_eq!(operators, ["Cast", "Conv", "Clip", "Sum", "Identity"]);
    assert_eq!(
        (&graph.node[2].input[..], &graph.node[2].output[..]),
        (&["conv".into(), String::new()][..], &["clip".into()][..])
    );
    let attribute =
        |node: &NodeProto, name: &str| node.attribute.iter().find(|found| found.name == name).unwrap().clone();
    assert_eq!(attribute(&graph.node[0], "to").i, Some(DataType::Float as i64));
    assert_eq!(attribute(&graph.node[1], "pads").ints, [0, 1, 2, 3]);
    assert_eq!(attribute(&graph.node[1], "pads").r#type(), AttributeType::Ints);
    let zero = attribute(&graph.node[2], "zero");
    assert_eq!((zero.i, zero.r#type()), (Some(0), AttributeType::Int), "zero is written");
    assert_eq!(attribute(&graph.node[2], "text").s.unwrap(), "é".as_bytes());
    assert_eq!(attribute(&graph.node[3], "half").f, Some(0.5));

    let [weight, places] = &graph.initializer[..] else { panic!("two constants") };
    assert_eq!((&weight.dims[..], weight.data_type()), (&[2, 3, 1, 1][..], DataType::Float));
    assert_eq!(weight.raw_data[4..8], (-2.0f32).to_le_bytes());
    assert_eq!(weight.raw_data.len(), 24);
    assert_eq!(
        (places.dims.len(), places.data_type(), &places.raw_data[..]),
        (0, DataType::Int64, &(-3i64).to_le_bytes()[..])
    );
    let shape = graph.input[0].r#type.clone().unwrap().tensor_type.unwrap();
    assert_eq!(shape.elem_type(), DataType::Uint8);
    let dims = shape.shape.unwrap().dim;
    assert_eq!((dims[0].dim_param.as_deref(), dims[0].dim_value), (Some("N"), None));
    assert_eq!((dims[1].dim_param.as_deref(), dims[1].dim_value), (None, Some(3)));
    assert_eq!(graph.output[0].name, "maps");
}

/// The bytes of a small file, by the definition of the format: field number · 8 + wire type, then a number or a length and bytes.
#[test]
fn the_bytes_are_those_of_protobuf() {
    let mut graph = Graph::new("g");
    let x = graph.input("x", Element::F32, &[1.into()]);
    graph.output("y", &x, Element::F32, &[]);
    let node = b"\x0a\x01x\x12\x01y\x1a\x01y\x22\x08Identity";
    let input = b"\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01";
    let output = b"\x0a\x01y\x12\x06\x0a\x04\x08\x01\x12\x00";
    let graph_bytes = [&b"\x0a\x13"[..], node, b"\x12\x01g\x5a\x0f", input, b"\x62\x0b", output].concat();
    let start = b"\x08\x08\x12\x02me\x1a\x011\x3a";
    let expected = [&start[..], &[graph_bytes.len() as u8], &graph_bytes, b"\x42\x02\x10\x12"].concat();
    assert_eq!(graph.into_model("me", "1", []), expected);
}

#[test]
fn mistakes_of_the_caller_panic() {
    type Mistake = fn(Graph, Value);
    let mistakes: [(&str, Mistake); 4] = [
        ("is taken", |mut graph, images| {
            graph.relu("images", &images);
        }),
        ("is taken", |mut graph, images| {
            graph.relu("", &images);
        }),
        ("is not in the graph", |_, images| {
            Graph::new("other").relu("relu", &images);
        }),
        ("of shape [2, 2]", |mut graph, _| {
            graph.constant("three", &[2, 2], &[1i32, 2, 3]);
        }),
    ];
    for (expected, mistake) in mistakes {
        let panic = catch_unwind(|| {
            let (graph, images) = self::graph();
            mistake(graph, images);
        })
        .unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}
