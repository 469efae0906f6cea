/// The tuning constants and tolerances of the solver.
///
/// The defaults are for f32 and for processors with vectors of 4 to 16 numbers. `benches/params.rs` measures those that say
/// *measured*; `README.md` has the figures.
///
/// ```
/// let mut params = qare_symeig::EigenParams::default();
/// params.leaf_order = 32;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EigenParams {
    /// Sweeps of bisection after which divide and conquer takes over.
    ///
    /// Derived: every [`forced_bisection_interval`](Self::forced_bisection_interval)-th sweep halves each interval. An interval
    /// starts no wider than 2·‖T‖∞ and is settled at the latest when it is as narrow as the floor under pivots, ε²·‖T‖∞ with
    /// ε = 2⁻²³: 47 halvings, with one to spare 4·48 sweeps after the first [`forced_bisection_start`](Self::forced_bisection_start).
    pub max_sweeps: usize,
    /// First sweep of bisection that may be forced to halve intervals.
    ///
    /// Measured: on Gram and random matrices half of the eigenvalues are settled after 4 sweeps and all but a few after 8.
    pub forced_bisection_start: usize,
    /// From then on, one sweep in this many halves intervals whatever the Ehrlich–Aberth steps promise; 0 counts as 1.
    ///
    /// Measured: the time changes by less than 10 % between 2 and 8.
    pub forced_bisection_interval: usize,
    /// Rounding error of Σ_j 1/(λ_j − σ), in units of ε·Σ|terms|.
    ///
    /// Measured: an Ehrlich–Aberth step is only a proposal, which the next Sturm count checks. Less trusts steps that lead
    /// nowhere, more rejects steps that are right; the time is flat between 4 and 64.
    pub sum_rounding: f32,
    /// How many times larger the term of an eigenvalue has to be than all other terms and their rounding for a step to settle
    /// the eigenvalue; values below 1 count as 1.
    ///
    /// Derived: with certainty c, the distance that is left is between 1/(1 + 1/c) and 1/(1 − 1/c) times the step. At 2 the true
    /// distance is at most twice the step, so a step no longer than the tolerance ends within twice the tolerance.
    pub step_certainty: f32,
    /// Largest order that QR iteration solves; larger matrices are divided. 0 counts as 1.
    ///
    /// Measured: up to order 64 faer's QR iteration is as fast as divide and conquer.
    pub leaf_order: usize,
    /// Deflation tolerance of divide and conquer, in units of ε·max(|d|, |z|).
    ///
    /// Derived: LAPACK's `slaed2` has 8 units of half an ε. A deflated entry changes the matrix by no more than this, which is what
    /// rounding of the eigenvalues of the halves has done to it already.
    pub deflation: f32,
    /// Steps of the secular equation's iteration after which the bracket is halved until it is empty.
    ///
    /// Measured: the rational interpolation takes at most 12 steps on the matrices of `tests/`; halving alone ends in any case, after
    /// at most 173 steps, the bits of an f32.
    pub max_root_steps: usize,
    /// Roots of the secular equation that one task finds; 0 counts as 1.
    ///
    /// Measured: a task takes tens of microseconds, long against the microsecond that starting it takes.
    pub roots_per_task: usize,
    /// Eigenvectors that one task of divide and conquer multiplies out; 0 counts as 1.
    ///
    /// Measured: narrower products lose more in the matrix product than a second thread gains at order 256.
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
            leaf_order: 64,
            deflation: 4.0,
            max_root_steps: 60,
            roots_per_task: 64,
            vectors_per_task: 128,
        }
    }
}
