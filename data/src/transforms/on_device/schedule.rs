//! The colour jitter of a view as a fixed sequence of steps, which all views of a batch share.
//!
//! The order of the four changes differs from view to view, and a batch computes one operation at a time. Its steps are blend, hue,
//! blend, blend, hue, blend: every order of three blends and one change of hue is a subsequence. A view skips its other steps.

use crate::transforms::color_jitter::{ColorChange, ColorJitter};
use crate::transforms::hue;

/// Number of blends in [`STEPS`].
pub(super) const BLENDS: usize = 4;
/// Number of changes of hue in [`STEPS`].
pub(super) const HUES: usize = 2;

/// A step of a batch, with its index among the steps of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Blend(usize),
    Hue(usize),
}

/// The steps of a batch.
pub(super) const STEPS: [Step; BLENDS + HUES] =
    [Step::Blend(0), Step::Hue(0), Step::Blend(1), Step::Blend(2), Step::Hue(1), Step::Blend(3)];

/// A blend of a view with `mean` times its mean luma plus `luma` times the luma of the pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Blend {
    pub factor: f32,
    pub mean: f32,
    pub luma: f32,
}

impl Blend {
    /// The blend that changes nothing.
    const SKIPPED: Self = Self { factor: 1.0, mean: 0.0, luma: 0.0 };
}

/// The steps of one view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Schedule {
    pub blends: [Blend; BLENDS],
    /// By how many of 256 steps a hue turns; `None` skips the step.
    pub hues: [Option<i32>; HUES],
}

impl Schedule {
    pub fn of(jitter: Option<&ColorJitter>) -> Self {
        let mut schedule = Self { blends: [Blend::SKIPPED; BLENDS], hues: [None; HUES] };
        let Some(jitter) = jitter else { return schedule };
        let mut steps = STEPS.iter();
        for change in jitter.order {
            let blend = match change {
                ColorChange::Brightness => Some(Blend { factor: jitter.brightness, ..Blend::SKIPPED }),
                ColorChange::Contrast => Some(Blend { factor: jitter.contrast, mean: 1.0, ..Blend::SKIPPED }),
                ColorChange::Saturation => Some(Blend { factor: jitter.saturation, luma: 1.0, ..Blend::SKIPPED }),
                ColorChange::Hue => None,
            };
            let step = steps.find(|step| matches!(step, Step::Blend(_)) == blend.is_some());
            match (step.expect("every order is a subsequence"), blend) {
                (Step::Blend(index), Some(blend)) => schedule.blends[*index] = blend,
                (Step::Hue(index), _) => schedule.hues[*index] = Some(hue::steps(jitter.hue)),
                (Step::Blend(_), None) => unreachable!("a step of the kind of the change"),
            }
        }
        schedule
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Draw, Purpose};

    /// The steps in sequence, without the skipped ones, are the changes of the jitter in their order.
    #[test]
    fn every_order_has_its_steps() {
        let mut orders = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let jitter = ColorJitter::draw(&mut Draw::new(seed, Purpose::View, 0, 0, 0));
            let schedule = Schedule::of(Some(&jitter));
            let mut found = Vec::new();
            for step in STEPS {
                match step {
                    Step::Blend(index) if schedule.blends[index] != Blend::SKIPPED => {
                        let Blend { factor, mean, luma } = schedule.blends[index];
                        found.push(match (mean, luma) {
                            (0.0, 0.0) if factor == jitter.brightness => ColorChange::Brightness,
                            (1.0, 0.0) if factor == jitter.contrast => ColorChange::Contrast,
                            (0.0, 1.0) if factor == jitter.saturation => ColorChange::Saturation,
                            other => panic!("{other:?} with {factor}"),
                        });
                    }
                    Step::Hue(index) if schedule.hues[index].is_some() => {
                        assert_eq!(schedule.hues[index], Some(hue::steps(jitter.hue)));
                        found.push(ColorChange::Hue);
                    }
                    _ => {}
                }
            }
            assert_eq!(found, jitter.order);
            orders.insert(found.iter().map(|change| *change as u8).collect::<Vec<_>>());
        }
        assert_eq!(orders.len(), 24, "all orders were drawn");
        assert_eq!(Schedule::of(None), Schedule { blends: [Blend::SKIPPED; BLENDS], hues: [None; HUES] });
    }
}
