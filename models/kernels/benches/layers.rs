//! Time of every distinct layer of some backbones, in training, on one thread: `cargo bench --package qare-kernels --bench layers`.
//! Arguments choose backbones whose names contain one of them.
//!
//! On Unix it is the processor time of the thread, which other processes disturb least; the least of many rounds counts. The
//! products of a layer are 2·N·H'·W'·k²·C_in·C_out operations forward, and as many for each of its two gradients, those with
//! padding included.

use std::hint::black_box;
use std::time::{Duration, Instant};

use qare_kernels::{
    Buffer, CacheAligned, ConvBlock, ConvParams, ConvSizes, Layout, Normalization, Pool, Saved, Weights,
};

/// The allocator of the program `qare`.
#[global_allocator]
static ALLOCATOR: CacheAligned = CacheAligned;

/// A layer, and how often the backbone has it.
struct Layer {
    params: ConvParams,
    times: usize,
    layout: Layout,
    pool: Pool,
    residual: bool,
}

fn layer(side: usize, [c_in, c_out]: [usize; 2], [kernel, stride]: [usize; 2], times: usize, residual: bool) -> Layer {
    let params = ConvParams { height: side, width: side, c_in, c_out, kernel, stride, padding: kernel / 2 };
    let layout = if c_in == 3 { Layout::Planar } else { Layout::Interleaved };
    Layer { params, times, layout, pool: Pool::None, residual }
}

/// Stages of basic blocks: side of the input, channels in and out, stride, and blocks.
fn stages(of: &[(usize, [usize; 2], usize, usize)]) -> Vec<Layer> {
    let mut layers = Vec::new();
    for &(side, [c_in, c_out], stride, blocks) in of {
        let inner = side / stride + side % stride;
        if c_in != c_out {
            layers.push(layer(side, [c_in, c_out], [1, stride], 1, false));
            layers.push(layer(side, [c_in, c_out], [3, stride], 1, false));
        }
        let first = usize::from(c_in == c_out);
        if blocks - 1 + first > 0 {
            layers.push(layer(inner, [c_out, c_out], [3, 1], blocks - 1 + first, false));
        }
        layers.push(layer(inner, [c_out, c_out], [3, 1], blocks, true));
    }
    layers
}

fn resnet(side: usize, blocks: [usize; 4]) -> Vec<Layer> {
    let half = |side: usize| side.div_ceil(2);
    let s = half(half(side));
    let mut layers = vec![layer(side, [3, 64], [7, 2], 1, false)];
    layers.extend(stages(&[
        (s, [64, 64], 1, blocks[0]),
        (s, [64, 128], 2, blocks[1]),
        (half(s), [128, 256], 2, blocks[2]),
        (half(half(s)), [256, 512], 2, blocks[3]),
    ]));
    layers
}

fn cifar_resnet(blocks: usize) -> Vec<Layer> {
    let mut layers = vec![layer(32, [3, 16], [3, 1], 1, false)];
    layers.extend(stages(&[(32, [16, 16], 1, blocks), (32, [16, 32], 2, blocks), (16, [32, 64], 2, blocks)]));
    layers
}

fn conv4(side: usize) -> Vec<Layer> {
    let channels = [[3, 8], [8, 16], [16, 32], [32, 64]];
    let sides = [1, 2, 4, 8].map(|halved| side / halved);
    let of = |(channels, side)| Layer { pool: Pool::Halve, ..layer(side, channels, [3, 1], 1, false) };
    let mut layers: Vec<Layer> = channels.into_iter().zip(sides).map(of).collect();
    layers[3].pool = Pool::Average;
    layers
}

/// The bottlenecks of a ResNet-50.
fn bottlenecks(side: usize) -> Vec<Layer> {
    let half = |side: usize| side.div_ceil(2);
    let mut side = half(half(side));
    let mut layers = Vec::new();
    let mut c_in = 64;
    for (stage, (width, blocks)) in [(64, 3), (128, 4), (256, 6), (512, 3)].into_iter().enumerate() {
        let stride = if stage == 0 { 1 } else { 2 };
        let inner = if stage == 0 { side } else { half(side) };
        layers.push(layer(side, [c_in, width], [1, 1], 1, false));
        layers.push(layer(side, [width, width], [3, stride], 1, false));
        layers.push(layer(side, [c_in, 4 * width], [1, stride], 1, false));
        layers.push(layer(inner, [width, 4 * width], [1, 1], blocks, true));
        layers.push(layer(inner, [4 * width, width], [1, 1], blocks - 1, false));
        layers.push(layer(inner, [width, width], [3, 1], blocks - 1, false));
        (side, c_in) = (inner, 4 * width);
    }
    layers
}

/// Processor time of this thread where it can be read, else the time since `start`.
fn now(start: Instant) -> Duration {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` can be written.
        if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } == 0 {
            return Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
        }
    }
    start.elapsed()
}

const STAGES: [&str; 4] = ["weights", "forward", "normalize", "backward"];

/// Least milliseconds of each of the stages.
fn measure(layer: &Layer, images: usize) -> [f64; 4] {
    let sizes = ConvSizes::new(layer.params).expect("sizes of a backbone");
    let block = ConvBlock::new(sizes, layer.layout, true, layer.pool).expect("sizes of a backbone");
    let noise = |len: usize| -> Vec<f32> {
        (0..len).map(|i| ((i as u32).wrapping_mul(2654435761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
    };
    let pixels = noise(images * sizes.input_len());
    let values = noise(sizes.weights_len());
    let channels = layer.params.c_out;
    let (gamma, beta) = (vec![1.0; channels], vec![0.1; channels]);
    let residual = layer.residual.then(|| noise(images * sizes.output_len()));
    let of_output = noise(images * block.out_len());
    let of_images = layer.params.c_in > 3;
    let start = Instant::now();
    let mut least = [f64::INFINITY; 4];
    for round in 0.. {
        if round >= 5 && start.elapsed().as_millis() > 400 {
            break;
        }
        let mut times = [now(start); 5];
        let weights = Weights::new(&values, sizes, of_images);
        times[1] = now(start);
        let (maps, statistics) = block.convolve(&pixels, &weights);
        times[2] = now(start);
        let normalization = Normalization::new(statistics.mean, &statistics.variance, 1e-5, &gamma, &beta);
        let (output, kept) = block.normalize(&maps, &normalization, residual.as_deref());
        times[3] = now(start);
        let activated = residual.as_ref().map(|_| kept.as_deref().unwrap_or(&output));
        let saved = Saved { images: &pixels, weights: &weights, maps: &maps, normalization: &normalization, activated };
        let gradients = block.backward(&saved, &of_output, of_images);
        times[4] = now(start);
        black_box(&gradients);
        let [images, residual] = [gradients.images, gradients.residual].map(Option::unwrap_or_default);
        drop([output, images, gradients.weights, residual].map(Buffer::from));
        for (least, of_stage) in least.iter_mut().zip(times.windows(2)) {
            *least = least.min((of_stage[1] - of_stage[0]).as_secs_f64() * 1e3);
        }
    }
    least
}

fn main() {
    // cargo gives an argument of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let backbones = [
        ("conv4-32x32", 256, conv4(32)),
        ("conv4-96x96", 32, conv4(96)),
        ("resnet8", 128, cifar_resnet(1)),
        ("resnet32", 128, cifar_resnet(5)),
        ("resnet18-32x32", 128, resnet(32, [2; 4])),
        ("resnet18-96x96", 32, resnet(96, [2; 4])),
        ("resnet50-224x224", 8, bottlenecks(224)),
    ];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    pool.install(|| {
        for (name, images, layers) in backbones {
            if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
                continue;
            }
            println!("{name}, {images} images: milliseconds, and Gflop/s forward and backward");
            println!("{:>34} {}", "", STAGES.map(|stage| format!("{stage:>10}")).join(""));
            let mut totals = [0.0; 4];
            for layer in &layers {
                let ConvParams { height, c_in, c_out, kernel, stride, .. } = layer.params;
                let sizes = ConvSizes::new(layer.params).expect("sizes of a backbone");
                let operations = 2.0 * (images * sizes.output_len() * kernel * kernel * c_in) as f64;
                let times = measure(layer, images);
                let columns = times.map(|time| format!("{time:>10.2}")).join("");
                let gradients = if c_in > 3 { 2.0 } else { 1.0 };
                println!(
                    "{:>34} {columns} {:>8.0} {:>8.0}",
                    format!("{} × {height}², {c_in} → {c_out}, {kernel}×{kernel}/{stride}", layer.times),
                    operations / times[1] / 1e6,
                    gradients * operations / times[3] / 1e6,
                );
                totals.iter_mut().zip(times).for_each(|(total, time)| *total += layer.times as f64 * time);
            }
            println!(
                "{:>34} {} {:>10.1} in all",
                "",
                totals.map(|t| format!("{t:>10.2}")).join(""),
                totals.iter().sum::<f64>()
            );
        }
    });
}
