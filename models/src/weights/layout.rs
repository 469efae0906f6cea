//! The names and shapes of the tensors of each backbone. Identifying a file takes no network.

use std::sync::LazyLock;

use crate::BackboneName;
use crate::residual_block::BlockKind;

/// Names and shapes of a backbone's tensors.
pub(super) struct Layout {
    pub name: BackboneName,
    /// Its top-level modules, in the order of the network.
    pub modules: Vec<String>,
    /// In the order of the network.
    pub tensors: Vec<(String, Vec<usize>)>,
}

/// One for each of [`BackboneName::ALL`], in its order.
pub(super) static LAYOUTS: LazyLock<Vec<Layout>> = LazyLock::new(|| BackboneName::ALL.map(Layout::of).into());

impl Layout {
    fn of(name: BackboneName) -> Self {
        let mut layout = Self { name, modules: Vec::new(), tensors: Vec::new() };
        match name {
            BackboneName::Conv4 => {
                for (index, channels) in [3, 8, 16, 32, 64].windows(2).enumerate() {
                    let block = format!("layer{}", index + 1);
                    layout.convolution(&format!("{block}.conv"), channels[0], channels[1], 3);
                    layout.norm(&format!("{block}.bn"), channels[1]);
                    layout.modules.push(block);
                }
            }
            BackboneName::Resnet8 => layout.small(1),
            BackboneName::Resnet20 => layout.small(3),
            BackboneName::Resnet32 => layout.small(5),
            BackboneName::Resnet44 => layout.small(7),
            BackboneName::Resnet56 => layout.small(9),
            BackboneName::Resnet110 => layout.small(18),
            BackboneName::Resnet18 => layout.large(BlockKind::Basic, [2, 2, 2, 2]),
            BackboneName::Resnet34 => layout.large(BlockKind::Basic, [3, 4, 6, 3]),
            BackboneName::Resnet50 => layout.large(BlockKind::Bottleneck, [3, 4, 6, 3]),
        }
        layout
    }

    /// A ResNet for small images.
    fn small(&mut self, blocks: usize) {
        self.resnet(3, BlockKind::Basic, &[(16, blocks), (32, blocks), (64, blocks)]);
        self.tensors.push(("fc.weight".to_owned(), vec![64, 64]));
        self.tensors.push(("fc.bias".to_owned(), vec![64]));
        self.modules.push("fc".to_owned());
    }

    /// A ResNet for large images.
    fn large(&mut self, kind: BlockKind, blocks: [usize; 4]) {
        let channels = [64, 128, 256, 512];
        self.resnet(7, kind, &channels.into_iter().zip(blocks).collect::<Vec<_>>());
    }

    /// A stem with a kernel of this size, and stages of blocks: the channels of their 3×3 convolutions, and their numbers.
    fn resnet(&mut self, kernel: usize, kind: BlockKind, stages: &[(usize, usize)]) {
        let mut before = stages[0].0;
        self.convolution("conv1", 3, before, kernel);
        self.norm("bn1", before);
        self.modules = vec!["conv1".to_owned(), "bn1".to_owned()];
        for (stage, &(width, blocks)) in stages.iter().enumerate() {
            let layer = format!("layer{}", stage + 1);
            let after = width * kind.expansion();
            let convolutions = match kind {
                BlockKind::Basic => vec![(width, 3), (width, 3)],
                BlockKind::Bottleneck => vec![(width, 1), (width, 3), (after, 1)],
            };
            for block in (0..blocks).map(|block| format!("{layer}.{block}")) {
                let mut inputs = before;
                for (number, &(outputs, kernel)) in (1..).zip(&convolutions) {
                    self.convolution(&format!("{block}.conv{number}"), inputs, outputs, kernel);
                    self.norm(&format!("{block}.bn{number}"), outputs);
                    inputs = outputs;
                }
                if before != after {
                    self.convolution(&format!("{block}.downsample.0"), before, after, 1);
                    self.norm(&format!("{block}.downsample.1"), after);
                }
                before = after;
            }
            self.modules.push(layer);
        }
    }

    fn convolution(&mut self, name: &str, inputs: usize, outputs: usize, kernel: usize) {
        self.tensors.push((format!("{name}.weight"), vec![outputs, inputs, kernel, kernel]));
    }

    fn norm(&mut self, name: &str, channels: usize) {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            self.tensors.push((format!("{name}.{part}"), vec![channels]));
        }
        self.tensors.push((format!("{name}.num_batches_tracked"), Vec::new()));
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;
    use crate::weights::collect::named_shapes;

    #[test]
    fn layouts_are_those_of_the_networks() {
        let sorted = |mut tensors: Vec<(String, Vec<usize>)>| {
            tensors.sort();
            tensors
        };
        for (layout, name) in LAYOUTS.iter().zip(BackboneName::ALL) {
            let network = name.init::<Flex>(0, &Default::default());
            assert_eq!(layout.name, name);
            assert_eq!(sorted(layout.tensors.clone()), sorted(named_shapes(&network, "")), "{name}");
        }
    }
}
