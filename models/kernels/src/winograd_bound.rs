//! Winograd's algorithm F(4×4, 3×3) by its matrices in f64, and bounds on its rounding errors in f32: those of sums of products of the
//! same numbers without signs (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
//!
//! Each rounding changes a term by at most u = 2⁻²⁴ of it. So with n roundings on the longest way to an output, it is off by at most
//! n·u / (1 − n·u) times |Aᵀ| [Σ (|G| |g| |Gᵀ|) ⊙ (|Bᵀ| |d| |B|)] |A|.

/// The finite points.
const FINITE: [f64; 5] = [0.0, 0.625, -0.625, 1.5, -1.5];

/// A convolution of 3×3 weights and stride 1 of images `[N, H, W, C_in]`.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub c_in: usize,
    pub c_out: usize,
    pub padding: usize,
}

/// Rows of Aᵀ, G and Bᵀ.
pub struct Matrices {
    pub outputs: [[f64; 6]; 4],
    pub weights: [[f64; 3]; 6],
    pub inputs: [[f64; 6]; 6],
}

impl Matrices {
    pub fn new() -> Self {
        let mut all = Self { outputs: [[0.0; 6]; 4], weights: [[0.0; 3]; 6], inputs: [[0.0; 6]; 6] };
        // Coefficients of Π (x − q).
        let product = |points: &[f64]| {
            points.iter().fold([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], |of: [f64; 6], q| {
                std::array::from_fn(|at| if at > 0 { of[at - 1] } else { 0.0 } - q * of[at])
            })
        };
        for (at, p) in FINITE.into_iter().enumerate() {
            let others: Vec<f64> = FINITE.into_iter().filter(|q| *q != p).collect();
            let share: f64 = others.iter().map(|q| p - q).product();
            (0..4).for_each(|power| all.outputs[power][at] = p.powi(power as i32));
            (0..3).for_each(|power| all.weights[at][power] = p.powi(power as i32) / share);
            all.inputs[at] = product(&others);
        }
        all.outputs[3][5] = 1.0;
        all.weights[5][2] = 1.0;
        all.inputs[5] = product(&FINITE);
        all
    }

    /// The same without signs.
    fn magnitudes() -> Self {
        let Self { outputs, weights, inputs } = Self::new();
        Self {
            outputs: outputs.map(|row| row.map(f64::abs)),
            weights: weights.map(|row| row.map(f64::abs)),
            inputs: inputs.map(|row| row.map(f64::abs)),
        }
    }
}

/// M x Mᵀ
fn both_sides<const R: usize, const C: usize>(rows: &[[f64; C]; R], x: [[f64; C]; C]) -> [[f64; R]; R] {
    let half: [[f64; C]; R] =
        std::array::from_fn(|r| std::array::from_fn(|c| (0..C).map(|k| rows[r][k] * x[k][c]).sum()));
    std::array::from_fn(|r| std::array::from_fn(|c| (0..C).map(|k| half[r][k] * rows[c][k]).sum()))
}

fn transposed<const R: usize, const C: usize>(rows: &[[f64; C]; R]) -> [[f64; R]; C] {
    std::array::from_fn(|c| std::array::from_fn(|r| rows[r][c]))
}

/// n·u / (1 − n·u)
fn gamma(roundings: usize) -> f64 {
    let share = roundings as f64 / f64::from(1 << 24);
    share / (1.0 - share)
}

impl Geometry {
    fn out(&self) -> [usize; 2] {
        [self.height, self.width].map(|side| side + 2 * self.padding - 2)
    }

    fn tiles(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let ([height, width], images) = (self.out(), self.images);
        let of_image = move |n| (0..height).step_by(4).flat_map(move |y| (0..width).step_by(4).map(move |x| [n, y, x]));
        (0..images).flat_map(of_image)
    }

    /// |Bᵀ| |d| |B| of a tile and channel.
    fn seen(&self, inputs: &[f64], [n, y, x]: [usize; 3], i: usize, matrices: &Matrices) -> [[f64; 6]; 6] {
        let read = |r: usize, c: usize| {
            let (row, column) = ((y + r).wrapping_sub(self.padding), (x + c).wrapping_sub(self.padding));
            let inside = row < self.height && column < self.width;
            let at = ((n * self.height + row.min(self.height)) * self.width + column.min(self.width)) * self.c_in + i;
            if inside { inputs[at].abs() } else { 0.0 }
        };
        both_sides(&matrices.inputs, std::array::from_fn(|r| std::array::from_fn(|c| read(r, c))))
    }

    /// Bounds on the errors of the outputs `[N, H', W', C_out]`, given weights `[C_out, C_in, 3, 3]`.
    pub fn of_outputs(&self, inputs: &[f64], weights: &[f64]) -> Vec<f64> {
        let matrices = Matrices::magnitudes();
        let [height, width] = self.out();
        let points: Vec<[[f64; 6]; 6]> = weights
            .chunks_exact(9)
            .map(|g| {
                both_sides(&matrices.weights, std::array::from_fn(|r| std::array::from_fn(|c| g[3 * r + c].abs())))
            })
            .collect();
        // Four for an input along a line, five for a weight, four for an output; product and sum.
        let factor = gamma(2 * (4 + 5 + 4) + 1 + self.c_in);
        let mut bounds = vec![0.0; self.images * height * width * self.c_out];
        for tile @ [n, y, x] in self.tiles() {
            let seen: Vec<_> = (0..self.c_in).map(|i| self.seen(inputs, tile, i, &matrices)).collect();
            for o in 0..self.c_out {
                let mut sums = [[0.0; 6]; 6];
                for (seen, weights) in seen.iter().zip(&points[o * self.c_in..]) {
                    (0..36).for_each(|at| sums[at / 6][at % 6] += seen[at / 6][at % 6] * weights[at / 6][at % 6]);
                }
                let tile = both_sides(&matrices.outputs, sums);
                for (row, column) in (0..16).map(|at| (at / 4, at % 4)).filter(|(r, c)| y + r < height && x + c < width)
                {
                    bounds[((n * height + y + row) * width + x + column) * self.c_out + o] = factor * tile[row][column];
                }
            }
        }
        bounds
    }

    /// Bounds on the errors of the gradients of the inputs `[N, H, W, C_in]`, given those of the outputs.
    pub fn of_inputs(&self, gradients: &[f64], weights: &[f64]) -> Vec<f64> {
        let [height, width] = self.out();
        let Self { images, c_in, c_out, padding, .. } = *self;
        let back = Self { images, height, width, c_in: c_out, c_out: c_in, padding: 2 - padding };
        let mirrored = |at: usize| {
            let (i, o, place) = (at / 9 / c_out, at / 9 % c_out, at % 9);
            weights[(o * c_in + i) * 9 + 8 - place]
        };
        back.of_outputs(gradients, &Vec::from_iter((0..weights.len()).map(mirrored)))
    }

    /// Bounds on the errors of the gradients of the weights `[C_out, C_in, 3, 3]`, given those of the outputs.
    pub fn of_weights(&self, inputs: &[f64], gradients: &[f64]) -> Vec<f64> {
        let matrices = Matrices::magnitudes();
        let back = transposed(&matrices.outputs);
        let [height, width] = self.out();
        let mut sums = vec![[[0.0; 6]; 6]; self.c_out * self.c_in];
        for tile @ [n, y, x] in self.tiles() {
            let seen: Vec<_> = (0..self.c_in).map(|i| self.seen(inputs, tile, i, &matrices)).collect();
            for o in 0..self.c_out {
                let read = |r: usize, c: usize| match y + r < height && x + c < width {
                    true => gradients[((n * height + y + r) * width + x + c) * self.c_out + o].abs(),
                    false => 0.0,
                };
                let of = both_sides(&back, std::array::from_fn(|r| std::array::from_fn(|c| read(r, c))));
                for (sums, seen) in sums[o * self.c_in..].iter_mut().zip(&seen) {
                    (0..36).for_each(|at| sums[at / 6][at % 6] += seen[at / 6][at % 6] * of[at / 6][at % 6]);
                }
            }
        }
        // Four for an input along a line, four for a gradient of outputs, six for one of weights; product; sums over the tiles of a
        // block and over blocks, of which there are no more than tiles, and over up to 32 runs of images.
        let factor = gamma(2 * (4 + 4 + 6) + 1 + 2 * self.tiles().count() + 32);
        let back = transposed(&matrices.weights);
        sums.into_iter().flat_map(|sums| both_sides(&back, sums).concat()).map(|bound| factor * bound).collect()
    }
}
