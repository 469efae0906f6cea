/// The tuning constants and tolerances of the solver.
///
/// The defaults are for f32 and for processors with vectors of 4 to 16 numbers. Those that say *measured* change the time, hardly the
/// digits; `benches/params.rs` repeats the measurement. Times are of random matrices of order 32 to 96 on one thread, with AVX-512.
///
/// ```
/// let mut params = qare_symeig::EigenParams::default();
/// params.leaf_order = 48;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EigenParams {
    /// Sweeps of bisection after which divide and conquer takes over.
    ///
    /// Derived: every [`forced_bisection_interval`](Self::forced_bisection_interval)-th sweep halves each interval. From 2·‖T‖∞, the
    /// widest, to ε²·‖T‖∞ with ε = 2⁻²³, the floor under pivots, it takes 47 halvings, with one to spare 4·48 sweeps after the first
    /// [`forced_bisection_start`](Self::forced_bisection_start). Eigenvalues that are not settled then are smaller than that.
    pub max_sweeps: usize,
    /// First sweep of bisection that may be forced to halve intervals.
    ///
    /// Measured: random and Gram matrices of order 70 to 300 take 5 to 9 sweeps in all, so halving is for the few that take longer. From
    /// 4 to 32 the time is the same within noise; at 1 it is up to 15 % more.
    pub forced_bisection_start: usize,
    /// From then on, one sweep in this many halves intervals whatever the Ehrlich–Aberth steps promise; 0 counts as 1.
    ///
    /// Measured: the time is the same within 3 % from 1 to 16. The iteration only needs some interval to end.
    pub forced_bisection_interval: usize,
    /// Rounding error of Σ_j 1/(λ_j − σ), in units of ε·Σ|terms|.
    ///
    /// Measured: the time is the same within 6 % from 1 to 256. A step is only a proposal, which the next Sturm count checks, unless it
    /// settles the eigenvalue: then the sum of up to 700 terms may well be off by √700 units of ½ε, hence 16.
    pub sum_rounding: f32,
    /// How many times larger the term of an eigenvalue has to be than all other terms and their rounding for a step to settle
    /// the eigenvalue; values below 1 count as 1.
    ///
    /// Derived: with certainty c, the distance to the eigenvalue is between 1/(1 + 1/c) and 1/(1 − 1/c) times the step. At 2 it is at
    /// most twice the step, so a step no longer than the tolerance ends within the tolerance of the eigenvalue. 1 takes 10 to 25 % more
    /// time, 4 as much as 2.
    pub step_certainty: f32,
    /// Largest order that QR iteration solves; larger matrices are divided. 0 counts as 1.
    ///
    /// Measured: from 32 to 64 the time is the same within 10 %; leaves of order 16 take up to a third more, and at order 96 leaves of
    /// 96 take 1.4 times as long.
    pub leaf_order: usize,
    /// Deflation tolerance of divide and conquer, in units of ε·max(|d|, |z|).
    ///
    /// Derived: LAPACK's `slaed2` has 8 units of ½ε. Deflation changes the matrix by no more than this, as rounding of the
    /// eigenvalues of the halves has done already.
    pub deflation: f32,
    /// Steps of interpolation for a root of the secular equation, after which the bracket is halved until it is empty.
    ///
    /// Measured: with 9 steps, random and Gram matrices of order 70 to 300 have the bits that they have with 60. Halving ends in any case: a bracket with 0 for
    /// an end spans 277 powers of two, and one between two powers 2²³ numbers, so 300 halvings empty it.
    pub max_root_steps: usize,
    /// Roots of the secular equation that one task finds; 0 counts as 1.
    ///
    /// Measured: the time is the same within noise from 16 to 256.
    pub roots_per_task: usize,
    /// Eigenvectors that one task of divide and conquer multiplies out; 0 counts as 1.
    ///
    /// Measured: the time is the same within noise from 32 to 256.
    pub vectors_per_task: usize,
}

impl Default for EigenParams {
    fn default() -> Self {
        Self {
            max_sweeps: 200,
            forced_bisection_start: 8,
            forced_bisection_interval: 4,
            sum_rounding: 16.0,
            step_certainty: 2.0,
            leaf_order: 32,
            deflation: 4.0,
            max_root_steps: 60,
            roots_per_task: 64,
            vectors_per_task: 128,
        }
    }
}
