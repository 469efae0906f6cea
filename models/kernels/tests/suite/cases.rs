//! Sizes, and numbers for them.

use qare_kernels::{ConvBlock, ConvParams, ConvSizes, Layout, Pool};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A block and a number of images.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub params: ConvParams,
    pub layout: Layout,
    pub relu: bool,
    pub pool: Pool,
    pub residual: bool,
    pub images: usize,
}

impl Case {
    pub fn sizes(&self) -> ConvSizes {
        ConvSizes::new(self.params).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    pub fn block(&self) -> ConvBlock {
        let block = ConvBlock::new(self.sizes(), self.layout, self.relu, self.pool);
        block.unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// Height and width of the maps.
    pub fn maps(&self) -> [usize; 2] {
        let ConvParams { height, width, kernel, stride, padding, .. } = self.params;
        [height, width].map(|side| (side + 2 * padding - kernel) / stride + 1)
    }

    /// Number of values of a channel of the maps.
    pub fn values_per_channel(&self) -> usize {
        self.images * self.maps().iter().product::<usize>()
    }
}

/// The arrays that a block works on.
pub struct Inputs {
    pub images: Vec<f32>,
    pub weights: Vec<f32>,
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
    pub residual: Option<Vec<f32>>,
    /// Gradient of a loss with respect to the output.
    pub of_output: Vec<f32>,
}

impl Inputs {
    pub fn new(case: &Case, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut noise = |len: usize, scale: f32| -> Vec<f32> {
            (0..len).map(|_| scale * ((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0)).collect()
        };
        let (sizes, block) = (case.sizes(), case.block());
        let channels = case.params.c_out;
        let fan_in = (sizes.weights_len() / channels) as f32;
        Self {
            images: noise(case.images * sizes.input_len(), 1.0),
            weights: noise(sizes.weights_len(), fan_in.sqrt().recip()),
            gamma: noise(channels, 0.5).iter().map(|value| 1.0 + value).collect(),
            beta: noise(channels, 0.5),
            residual: case.residual.then(|| noise(case.images * sizes.output_len(), 1.0)),
            of_output: noise(case.images * block.out_len(), 1.0),
        }
    }
}

/// Images of few pixels with all small kernels, strides and paddings that fit; everything else takes its turn.
pub fn small() -> Vec<Case> {
    // Values at a time: 1, 8 or 16, and one or more vectors.
    let channels =
        [(3, 16), (1, 1), (5, 7), (3, 8), (8, 24), (2, 32), (4, 16), (16, 3), (9, 48), (8, 64), (64, 2), (3, 80)];
    let images = [2, 1, 3, 5, 33, 2, 40];
    let mut cases = Vec::new();
    for [height, width] in [[1, 1], [1, 2], [2, 1], [2, 2], [3, 5], [7, 4], [9, 9], [4, 17]] {
        for kernel in 1..=7 {
            for padding in 0..kernel.min(4) {
                for stride in 1..=3 {
                    let turn = cases.len();
                    let (c_in, c_out) = channels[turn % channels.len()];
                    let params = ConvParams { height, width, c_in, c_out, kernel, stride, padding };
                    if kernel <= height.min(width) + 2 * padding {
                        cases.push(turned(params, images[turn % images.len()], turn));
                    }
                }
            }
        }
    }
    cases
}

/// The layers of networks: many channels, few pixels.
pub fn wide() -> Vec<Case> {
    let channels = [(3, 64), (16, 16), (32, 32), (16, 32), (64, 64), (64, 128), (128, 96), (256, 256), (512, 512)];
    let mut cases = Vec::new();
    for (c_in, c_out) in channels {
        for (kernel, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 2, 0), (7, 2, 3)] {
            // A kernel of 7×7 is for images.
            if kernel < 7 || c_in == 3 {
                let params = ConvParams { height: 5, width: 4, c_in, c_out, kernel, stride, padding };
                cases.push(turned(params, 2, cases.len()));
            }
        }
    }
    cases
}

/// Blocks each pixel of whose output is a function of one pixel of the input: fewer, as many and more than 64 pixels in all.
pub fn pointwise() -> Vec<Case> {
    let mut cases = Vec::new();
    for (height, width, images) in [(7, 9, 1), (8, 8, 1), (5, 13, 1), (5, 13, 2), (9, 7, 5)] {
        for (at, (c_in, c_out)) in [(3, 7), (8, 8), (16, 24), (64, 32), (24, 64)].into_iter().enumerate() {
            let params = ConvParams { height, width, c_in, c_out, kernel: 1, stride: 1, padding: 0 };
            let (relu, residual) = ((at + images) % 2 == 0, (at + images) / 2 % 2 == 0);
            cases.push(Case { params, layout: Layout::Interleaved, relu, pool: Pool::None, residual, images });
        }
    }
    cases
}

/// Batches whose images go through the convolution together: whole vectors of channels, few pixels or many weights or strides.
/// Sizes are drawn, so that tiles of images, channels and weights are whole and parted.
pub fn together() -> Vec<Case> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut cases = Vec::new();
    while cases.len() < 80 {
        let mut from = |least: usize, most: usize| least + rng.next_u32() as usize % (most + 1 - least);
        let kernel = from(1, 7);
        let params = ConvParams {
            height: from(1, 9),
            width: from(1, 9),
            c_in: 8 * from(1, 5),
            c_out: [8, 16, 24, 32, 64, 96][from(0, 5)],
            kernel,
            stride: from(1, 3),
            padding: from(0, kernel - 1).min(3),
        };
        let images = [8, 9, 13, 23, 32, 40][from(0, 5)];
        if kernel <= params.height.min(params.width) + 2 * params.padding {
            let turn = cases.len();
            cases.push(Case { layout: Layout::Interleaved, ..turned(params, images, turn) });
        }
    }
    // Weights of deep layers.
    for (side, c_in, c_out) in [(1, 512, 96), (2, 128, 256), (9, 128, 64)] {
        let params = ConvParams { height: side, width: side, c_in, c_out, kernel: 3, stride: 1, padding: 1 };
        cases.push(Case { layout: Layout::Interleaved, ..turned(params, 9, cases.len()) });
    }
    cases
}

/// Convolutions that Winograd's algorithm computes, of drawn sizes: tiles are whole and parted, and images go through it together and one
/// by one.
pub fn by_winograd() -> Vec<Case> {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut cases = Vec::new();
    while cases.len() < 60 {
        let mut from = |least: usize, most: usize| least + rng.next_u32() as usize % (most + 1 - least);
        let params = ConvParams {
            height: from(1, 21),
            width: from(1, 21),
            c_in: 8 * from(1, 5),
            c_out: [8, 16, 24, 32, 48, 64][from(0, 5)],
            kernel: 3,
            stride: 1,
            padding: from(0, 2),
        };
        let images = [2, 7, 9, 16, 33][from(0, 4)];
        if params.height.min(params.width) + 2 * params.padding < 3 {
            continue;
        }
        let case = Case { layout: Layout::Interleaved, ..turned(params, images, cases.len()) };
        let products = case.sizes().weights_len() * case.values_per_channel();
        if products < 20_000_000 && case.block().by_winograd() {
            cases.push(case);
        }
    }
    // Sums at the points of a part of the output channels.
    let params = ConvParams { height: 8, width: 8, c_in: 32, c_out: 256, kernel: 3, stride: 1, padding: 1 };
    cases.push(Case { layout: Layout::Interleaved, ..turned(params, 9, cases.len()) });
    // Enough images for turns of several, with a part of a run and of a turn at the end.
    let params = ConvParams { height: 20, width: 8, c_in: 16, c_out: 16, kernel: 3, stride: 1, padding: 1 };
    cases.push(Case { layout: Layout::Interleaved, ..turned(params, 257, cases.len()) });
    cases
}

/// What follows the convolution, by turns.
fn turned(params: ConvParams, images: usize, turn: usize) -> Case {
    let layout = if turn.is_multiple_of(2) { Layout::Planar } else { Layout::Interleaved };
    let mut case =
        Case { params, layout, relu: !turn.is_multiple_of(5), pool: Pool::None, residual: turn % 4 >= 2, images };
    case.pool = match turn % 3 {
        0 => Pool::None,
        1 => Pool::Average,
        // Nothing would be left of a single row or column.
        _ if case.maps().contains(&1) => Pool::Average,
        _ => Pool::Halve,
    };
    if case.values_per_channel() < 2 {
        case.images = 2;
    }
    case
}
