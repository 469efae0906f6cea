//! Scales and ticks.

use crate::number::short;

/// A scale from values to places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub low: f64,
    pub high: f64,
    pub log: bool,
    /// The places of `low` and `high`.
    pub from: f64,
    pub to: f64,
}

impl Scale {
    /// A scale over the values with a little room at both ends; linear if `log` is not possible.
    pub fn over(values: impl Iterator<Item = f64> + Clone, log: bool, room: f64, from: f64, to: f64) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let log = log && finite.clone().any(|value| value > 0.0);
        let kept = finite.filter(|value| !log || *value > 0.0);
        let (mut low, mut high) =
            kept.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if log {
            let ratio = (high / low).powf(room).max(1.02);
            (low, high) = (low / ratio, high * ratio);
        } else {
            let extra = if high > low {
                room * (high - low)
            } else if high == 0.0 {
                1.0
            } else {
                0.5 * high.abs().max(1e-9)
            };
            (low, high) = (low - extra, high + extra);
        }
        Self { low, high, log, from, to }
    }

    /// The place of a value.
    pub fn place(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // Lines may leave the plot, but not by far.
        self.from + share.clamp(-1.0, 2.0) * (self.to - self.from)
    }

    /// Values for ticks, at most about `count`, and their labels.
    pub fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        if self.log && self.high / self.low >= 30.0 {
            let (first, last) = (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
            let step = ((last - first) as usize / count.max(1) + 1) as i32;
            return (first..=last)
                .step_by(step as usize)
                .map(|power| (10f64.powi(power), power_of_ten(power)))
                .collect();
        }
        let step = nice((self.high - self.low) / count.max(1) as f64);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last)
            .map(|number| number as f64 * step)
            .filter(|value| !self.log || *value > 0.0)
            .map(|value| (value, short(value)))
            .collect()
    }
}

fn power_of_ten(power: i32) -> String {
    match power {
        -2 => "0.01".into(),
        -1 => "0.1".into(),
        0 => "1".into(),
        1 => "10".into(),
        2 => "100".into(),
        3 => "1000".into(),
        power => {
            let digit = |c: char| match c {
                '-' => '⁻',
                digit => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize - '0' as usize],
            };
            format!("10{}", power.to_string().chars().map(digit).collect::<String>())
        }
    }
}

/// The least of 1, 2, 5 times a power of ten that is not below a value.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= value * 0.999).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        for (low, high) in [(0.0, 1.0), (-3.0, 17.0), (1e-6, 2e-6), (40.0, 41.0), (5.0, 5.0), (0.0, 0.0)] {
            let scale = Scale::over([low, high].into_iter(), false, 0.05, 0.0, 100.0);
            let ticks = scale.ticks(5);
            assert!((2..=9).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.iter().all(|(value, _)| (-1e-9..=100.0 + 1e-9).contains(&scale.place(*value))), "{ticks:?}");
        }
        let scale = Scale::over([1e-5, 1e2].into_iter(), true, 0.02, 0.0, 1.0);
        assert!(scale.ticks(8).contains(&(0.1, "0.1".into())));
        assert_eq!(power_of_ten(-5), "10⁻⁵");
    }

    #[test]
    fn values_without_a_range_have_a_scale() {
        let zero = Scale::over([0.0, 0.0].into_iter(), false, 0.05, 0.0, 1.0);
        assert_eq!((zero.low, zero.high), (-1.0, 1.0));
        for values in [vec![], vec![f64::NAN], vec![-1.0, 0.0]] {
            let scale = Scale::over(values.iter().copied(), true, 0.05, 0.0, 1.0);
            assert!(!scale.log && scale.low < scale.high, "{scale:?}");
        }
    }
}
