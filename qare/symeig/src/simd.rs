//! Code compiled for the widest vectors of the processor at hand.

/// Calls `f`, which is compiled once for each kind of processor. The closure has to be inlined here: `#[inline(always)] || …`.
#[inline(always)]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// Terms summed in f32; the sums of as many are summed in f64.
const SPAN: usize = 4096;
/// Partial sums of a span: the compiler keeps them in vector registers.
const LANES: usize = 32;

/// Σ x².
#[inline(always)]
pub(crate) fn sum_of_squares(x: &[f32]) -> f64 {
    total(x, |x| x * x)
}

/// Σ x.
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f64 {
    total(x, |x| x)
}

/// Σ f(x), in an order that depends on the length alone.
#[inline(always)]
fn total(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for span in x.chunks(SPAN) {
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = span.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane += f(*x);
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *lane += f(*x);
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        total += f64::from(lanes[0]);
    }
    total
}

/// Calls a check, which is generic over the vectors it is given first, with vectors of every length.
#[cfg(test)]
macro_rules! in_all_widths {
    ($check:ident($($argument:expr),*)) => {{
        $check(pulp::Scalar::new(), $($argument),*);
        $check(pulp::Scalar128b, $($argument),*);
        $check(pulp::Scalar256b, $($argument),*);
        $check(pulp::Scalar512b, $($argument),*);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            $check(simd, $($argument),*);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V4::try_new() {
            $check(simd, $($argument),*);
        }
    }};
}
#[cfg(test)]
pub(crate) use in_all_widths;
