use crate::frames::{Frames, Layout};
use crate::image_tiles::{convolve_images, input_gradients};
use crate::image_weight_gradient::weight_gradient_row;
use crate::sizes::{ConvParams, ConvSizes};
use crate::weights::{Weights, panel_width};
use crate::winograd::{Blocks, PointWeights, WeightSums};

fn noise(len: usize, seed: u32) -> Vec<f32> {
    (0..len).map(|i| (((i as u32).wrapping_add(seed * 7919)).wrapping_mul(2654435761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

#[test]
#[ignore = "prototype"]
fn prototype() {
    let shapes: Vec<(usize, usize, usize)> = vec![
        (32, 16, 32), (16, 32, 32), (8, 64, 128), (4, 128, 128), (2, 256, 128),
        (24, 64, 16), (12, 128, 32), (6, 256, 32), (3, 512, 32), (56, 64, 4), (28, 128, 8), (14, 256, 16), (7, 512, 16),
    ];
    let filter = std::env::var("SHAPE").ok();
    for (side, c, images) in shapes {
        if filter.as_ref().is_some_and(|f| *f != format!("{side}x{c}")) { continue; }
        let params = ConvParams { height: side, width: side, c_in: c, c_out: c, kernel: 3, stride: 1, padding: 1 };
        let sizes = ConvSizes::new(params).unwrap();
        let (input, output) = (noise(images * sizes.input_len(), 1), noise(images * sizes.output_len(), 2));
        let off = std::env::var("OFF").map_or(0, |v| v.parse::<usize>().unwrap());
        let mut store: Vec<Vec<f32>> = (0..6).map(|i| vec![0.0f32; 32 + if i % 3 == 1 || i == 3 { output.len() } else { input.len() }]).collect();
        let mut it = store.iter_mut().map(|v| { let a = v.as_ptr().align_offset(64) + off; &mut v[a..] });
        let (i0, o0, d0, o1, _, d1) = (it.next().unwrap(), it.next().unwrap(), it.next().unwrap(), it.next().unwrap(), it.next(), it.next().unwrap());
        let (i0, o0, d0, o1, d1) = (&mut i0[..input.len()], &mut o0[..output.len()], &mut d0[..input.len()], &mut o1[..output.len()], &mut d1[..input.len()]);
        i0.copy_from_slice(&input); o1.copy_from_slice(&output);
        let (input, output) = (&*i0, &*o1);
        let weights = Weights::new(&noise(sizes.weights_len(), 3), sizes, true);
        let mut blocks = Blocks::default();
        let mut frames = Frames::default();
        let together = side <= if c >= 32 { 16 } else { 8 } || c > 64;
        let panel = panel_width(c);
        let mut out = [vec![0.0f32; output.len()], vec![0.0f32; 0]];
        let mut dx = [vec![0.0f32; input.len()], vec![0.0f32; 0]];
        let mut dw = [vec![0.0f32; sizes.weights_len()], vec![0.0; sizes.weights_len()]];
        let mut best = [f64::INFINITY; 8];
        let start = std::time::Instant::now();
        let mut round = 0;
        while round < 3 || start.elapsed().as_secs_f64() < 1.5 {
            round += 1;
            let mut time = |at: usize, f: &mut dyn FnMut()| {
                let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                let now = |t: &mut libc::timespec| { unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, t) }; t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 * 1e-6 };
                let a = now(&mut t);
                f();
                let b = now(&mut t);
                best[at] = best[at].min(b - a);
            };
            let group = 8.min(images);
            time(0, &mut || for (i, o) in input.chunks(group * sizes.input_len()).zip(out[0].chunks_mut(group * sizes.output_len())) {
                if together { convolve_images(i, &weights, o) } else {
                    for (i, o) in i.chunks(sizes.input_len()).zip(o.chunks_mut(sizes.output_len())) { frames.convolve(i, Layout::Interleaved, &weights, o) }
                }
            });
            let mut u = None;
            time(6, &mut || u = Some(PointWeights::forward(&weights)));
            let u = u.unwrap();
            time(1, &mut || u.convolve(input, &mut blocks, o0));
            time(2, &mut || for (i, o) in output.chunks(group * sizes.output_len()).zip(dx[0].chunks_mut(group * sizes.input_len())) {
                if together { input_gradients(i, &weights, o) } else {
                    for (i, o) in i.chunks(sizes.output_len()).zip(o.chunks_mut(sizes.input_len())) { frames.input_gradient(i, &weights, o) }
                }
            });
            let u = PointWeights::mirrored(&weights);
            time(3, &mut || u.convolve(output, &mut blocks, d1));
            time(4, &mut || if together {
                for (at, row) in dw[0].chunks_exact_mut(3 * c * panel).enumerate() {
                    weight_gradient_row(input, output, &sizes, [at / 3 * panel, at % 3], row);
                }
            } else {
                dw[0].fill(0.0);
                for (i, o) in input.chunks(sizes.input_len()).zip(output.chunks(sizes.output_len())) {
                    frames.fill(i, Layout::Interleaved, &sizes);
                    frames.add_weight_gradient(o, &sizes, &mut dw[0]);
                }
            });
            let width = if together { panel } else { c };
            time(5, &mut || for (at, dw) in dw[1].chunks_exact_mut(9 * c * width).enumerate() {
                let mut sums = WeightSums::new(&sizes, [at * width, width]);
                sums.add(input, output, &mut blocks);
                sums.write(&blocks, dw);
            });
        }
        let err = |a: &[f32], b: &[f32]| {
            let (mut e, mut s) = (0.0f64, 0.0f64);
            for (a, b) in a.iter().zip(b) { e = e.max((a - b).abs() as f64); s += (*a as f64).powi(2); }
            e / (s / a.len() as f64).sqrt()
        };
        println!("{side:>3}² {c:>3}: fwd {:.2} → {:.2} ({:.2}), dx {:.2} → {:.2} ({:.2}), dw {:.2} → {:.2} ({:.2}), U {:.2}; errors {:.1e} {:.1e} {:.1e}",
            best[0], best[1], best[1] / best[0], best[2], best[3], best[3] / best[2], best[4], best[5], best[5] / best[4], best[6],
            err(&out[0], o0), err(&dx[0], d1), err(&dw[0], &dw[1]));
    }
}
