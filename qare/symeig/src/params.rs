/// The tuning constants and tolerances of the solver.
///
/// The defaults are for f32 and for processors with vectors of 4 to 16 numbers. Those called *tuned* change the time alone, and
/// `benches/params.rs` measures what; the others are derived.
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
    /// ε = 2⁻²³: after 47 halvings, with one to spare 4·48 sweeps after the first
    /// [`forced_bisection_start`](Self::forced_bisection_start).
    pub max_sweeps: usize,
    /// First sweep of bisection that may be forced to halve intervals.
    ///
    /// Tuned: the first sweeps are those in which Ehrlich–Aberth steps settle most eigenvalues.
    pub forced_bisection_start: usize,
    /// From then on, one sweep in this many halves intervals whatever the Ehrlich–Aberth steps promise; 0 counts as 1.
    ///
    /// Tuned. It only has to be a number, so that the iteration ends.
    pub forced_bisection_interval: usize,
    /// Rounding error of Σ_j 1/(λ_j − σ), in units of ε·Σ|terms|.
    ///
    /// Tuned. A step is only a proposal, which the next Sturm count checks: a smaller unit trusts steps that lead nowhere, a larger
    /// one rejects steps that are right.
    pub sum_rounding: f32,
    /// How many times larger the term of an eigenvalue has to be than all other terms and their rounding for a step to settle
    /// the eigenvalue; values below 1 count as 1.
    ///
    /// Derived: with certainty c, the distance to the eigenvalue is between 1/(1 + 1/c) and 1/(1 − 1/c) times the step. At 2 it is at
    /// most twice the step, so a step no longer than the tolerance ends within the tolerance of the eigenvalue.
    pub step_certainty: f32,
    /// Largest order that QR iteration solves; larger matrices are divided. 0 counts as 1.
    ///
    /// Tuned: at order 64 faer's QR iteration takes two thirds of the time of divide and conquer on one thread, and as long on two; at
    /// order 128 divide and conquer takes half of the time of faer's.
    pub leaf_order: usize,
    /// Deflation tolerance of divide and conquer, in units of ε·max(|d|, |z|).
    ///
    /// Derived: LAPACK's `slaed2` has 8 units of ½ε. Deflation changes the matrix by no more than this, as rounding of the
    /// eigenvalues of the halves has done already.
    pub deflation: f32,
    /// Steps of interpolation for a root of the secular equation, after which the bracket is halved until it is empty.
    ///
    /// Derived: interpolation converges in a few steps, so this only has to be larger. Halving ends in any case: a bracket with 0 for
    /// an end spans 277 powers of two, and one between two powers 2²³ numbers, so 300 halvings empty it.
    pub max_root_steps: usize,
    /// Roots of the secular equation that one task finds; 0 counts as 1.
    ///
    /// Tuned: a task has to take long against the microsecond that starting it takes.
    pub roots_per_task: usize,
    /// Eigenvectors that one task of divide and conquer multiplies out; 0 counts as 1.
    ///
    /// Tuned: narrower products reuse less of the basis that they read.
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
