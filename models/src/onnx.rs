//! Networks in evaluation as nodes of an ONNX graph. Nodes and constants have PyTorch's names.

use std::collections::HashMap;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::backend::Backend;
use qare_onnx::{ConvSizes, Graph, Normalization, Value};

use crate::backbone::Backbone;
use crate::batch_norm::BatchNorm;
use crate::cifar_resnet::CifarResNet;
use crate::classifier::LinearClassifier;
use crate::conv4::{Conv4, ConvBlock};
use crate::embedding_head::EmbeddingHead;
use crate::imagenet_resnet::ImageNetResNet;
use crate::residual_block::ResidualBlock;
use crate::weights::{NamedTensor, named_tensors};

impl<B: Backend> Backbone<B> {
    /// Adds the network in evaluation, in f32, to a graph: normalised images `[N, 3, H, W]` → features `[N, F]`, as in
    /// [`forward`](Self::forward). N, H and W are open. Names in the graph start with `prefix` and a dot.
    ///
    /// # Panics
    ///
    /// If a name is taken.
    pub fn add_to_onnx(&self, graph: &mut Graph, prefix: &str, images: &Value) -> Value {
        let mut drawing = Drawing::of(self, graph, prefix);
        match self {
            Self::Conv4(net) => drawing.conv4(net, images),
            Self::ResNet(net) => drawing.cifar_resnet(net, images),
            Self::ImageNet(net) => drawing.imagenet_resnet(net, images),
        }
    }
}

impl<B: Backend> EmbeddingHead<B> {
    /// Adds the head to a graph: features `[N, F]` → embeddings `[N, D]`. Names in the graph start with `prefix` and a dot.
    ///
    /// # Panics
    ///
    /// If a name is taken.
    pub fn add_to_onnx(&self, graph: &mut Graph, prefix: &str, features: &Value) -> Value {
        Drawing::of(self, graph, prefix).linear("", features)
    }
}

impl<B: Backend> LinearClassifier<B> {
    /// Adds the classifier to a graph: features `[N, F]` → scores (logits) `[N, classes]`. Names in the graph start with `prefix` and
    /// a dot.
    ///
    /// # Panics
    ///
    /// If a name is taken.
    pub fn add_to_onnx(&self, graph: &mut Graph, prefix: &str, features: &Value) -> Value {
        Drawing::of(self, graph, prefix).linear("", features)
    }
}

/// A module that is being added to a graph.
struct Drawing<'a> {
    graph: &'a mut Graph,
    prefix: &'a str,
    /// The module's tensors by their names in it.
    tensors: HashMap<String, NamedTensor>,
}

impl<'a> Drawing<'a> {
    fn of<B: Backend, M: Module<B>>(module: &M, graph: &'a mut Graph, prefix: &'a str) -> Self {
        let tensors = named_tensors(module, "").into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        Self { graph, prefix, tensors }
    }

    fn conv4<B: Backend>(&mut self, net: &Conv4<B>, images: &Value) -> Value {
        let mut maps = images.clone();
        for (name, layer) in [("layer1", &net.layer1), ("layer2", &net.layer2), ("layer3", &net.layer3)] {
            maps = self.conv_block(name, layer, &maps);
            maps = self.graph.average_pool(&self.full(name, "pool"), &maps, 2);
        }
        let maps = self.conv_block("layer4", &net.layer4, &maps); // [N, 64, H/8, W/8]
        self.graph.global_average(&self.full("", "pool"), &maps)
    }

    fn conv_block<B: Backend>(&mut self, name: &str, block: &ConvBlock<B>, input: &Value) -> Value {
        let maps = self.convolution([name, "conv"], &block.conv, [name, "bn"], &block.bn, input);
        self.graph.relu(&self.full(name, "relu"), &maps)
    }

    fn cifar_resnet<B: Backend>(&mut self, net: &CifarResNet<B>, images: &Value) -> Value {
        let maps = self.convolution(["", "conv1"], &net.conv1, ["", "bn1"], &net.bn1, images);
        let mut maps = self.graph.relu(&self.full("", "relu"), &maps);
        for (name, stage) in [("layer1", &net.layer1), ("layer2", &net.layer2), ("layer3", &net.layer3)] {
            maps = self.stage(name, stage, maps);
        }
        let means = self.graph.global_average(&self.full("", "pool"), &maps); // [N, 64]
        self.linear("fc", &means)
    }

    fn imagenet_resnet<B: Backend>(&mut self, net: &ImageNetResNet<B>, images: &Value) -> Value {
        let maps = self.convolution(["", "conv1"], &net.conv1, ["", "bn1"], &net.bn1, images);
        let maps = self.graph.relu(&self.full("", "relu"), &maps);
        let mut maps = self.graph.max_pool(&self.full("", "maxpool"), &maps, 3, 2, 1);
        let stages = [&net.layer1, &net.layer2, &net.layer3, &net.layer4];
        for (name, stage) in ["layer1", "layer2", "layer3", "layer4"].into_iter().zip(stages) {
            maps = self.stage(name, stage, maps);
        }
        self.graph.global_average(&self.full("", "pool"), &maps)
    }

    fn stage<B: Backend>(&mut self, name: &str, blocks: &[ResidualBlock<B>], input: Value) -> Value {
        let numbered = blocks.iter().enumerate();
        numbered.fold(input, |maps, (number, block)| self.residual_block(&format!("{name}.{number}"), block, &maps))
    }

    fn residual_block<B: Backend>(&mut self, name: &str, block: &ResidualBlock<B>, input: &Value) -> Value {
        let shortcut = match &block.downsample {
            Some((conv, bn)) => self.convolution([name, "downsample.0"], conv, [name, "downsample.1"], bn, input),
            None => input.clone(),
        };
        let maps = self.convolution([name, "conv1"], &block.conv1, [name, "bn1"], &block.bn1, input);
        let maps = self.graph.relu(&self.full(name, "relu1"), &maps);
        let mut maps = self.convolution([name, "conv2"], &block.conv2, [name, "bn2"], &block.bn2, &maps);
        let mut last = "relu2";
        if let (Some(conv3), Some(bn3)) = (&block.conv3, &block.bn3) {
            maps = self.graph.relu(&self.full(name, "relu2"), &maps);
            maps = self.convolution([name, "conv3"], conv3, [name, "bn3"], bn3, &maps);
            last = "relu3";
        }
        let sum = self.graph.add(&self.full(name, "add"), &maps, &shortcut);
        self.graph.relu(&self.full(name, last), &sum)
    }

    /// A convolution without bias and its batch normalisation.
    fn convolution<B: Backend>(
        &mut self,
        [within, conv_name]: [&str; 2],
        conv: &Conv2d<B>,
        [_, norm_name]: [&str; 2],
        norm: &BatchNorm<B>,
        input: &Value,
    ) -> Value {
        let PaddingConfig2d::Explicit(top, left, bottom, right) = conv.padding else {
            unreachable!("convolutions of backbones have explicit padding")
        };
        let sizes = ConvSizes { kernel: conv.kernel_size, stride: conv.stride, padding: [top, left, bottom, right] };
        let weight = self.tensor(within, conv_name, "weight");
        let maps = self.graph.conv(&self.full(within, conv_name), input, &weight, sizes);
        let [weight, bias, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|part| self.tensor(within, norm_name, part));
        let of = Normalization {
            weight: &weight,
            bias: &bias,
            mean: &mean,
            variance: &variance,
            epsilon: norm.epsilon() as f32,
        };
        self.graph.batch_norm(&self.full(within, norm_name), &maps, of)
    }

    /// A linear layer. An empty name is the module itself.
    fn linear(&mut self, name: &str, input: &Value) -> Value {
        let [weight, bias] = ["weight", "bias"].map(|part| self.tensor("", name, part));
        self.graph.linear(&self.full(name, "linear"), input, &weight, &bias)
    }

    /// A tensor of the module as a constant.
    fn tensor(&mut self, within: &str, layer: &str, part: &str) -> Value {
        let name = joined([within, layer, part]);
        let tensor = &self.tensors[&name];
        self.graph.constant(&joined([self.prefix, &name]), &tensor.shape, &tensor.values)
    }

    /// The name in the graph of a part of the module.
    fn full(&self, within: &str, part: &str) -> String {
        joined([self.prefix, within, part])
    }
}

/// Names joined by dots, without those that are empty.
fn joined<const N: usize>(names: [&str; N]) -> String {
    let mut names = names.to_vec();
    names.retain(|name| !name.is_empty());
    names.join(".")
}
