//! The recipe's `source_size`: the images that random crops are drawn from.

use std::fmt;
use std::str::FromStr;

use qare_data::folder;
use serde::{Deserialize, Serialize};

use super::Recipe;
use crate::methods::MethodName;

/// What the random resized crops of training are drawn from: a number of pixels, or `"square"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "SourceSizeRepr", try_from = "SourceSizeRepr")]
pub enum SourceSize {
    /// The whole image. If its shorter side has more pixels than this, it is resized to this many.
    Pixels(usize),
    /// The square that features are computed of, `image_size` wide and high.
    Square,
}

/// A source size as it is written in a recipe.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of pixels or \"square\"")]
enum SourceSizeRepr {
    Pixels(usize),
    Name(String),
}

impl SourceSize {
    /// The default for images of this height and width: 8/7 of it, which is 256 for 224.
    pub fn for_image_size(side: usize) -> Self {
        Self::Pixels((16 * side + 7) / 14)
    }
}

impl From<SourceSize> for SourceSizeRepr {
    fn from(size: SourceSize) -> Self {
        match size {
            SourceSize::Pixels(pixels) => Self::Pixels(pixels),
            SourceSize::Square => Self::Name("square".into()),
        }
    }
}

impl TryFrom<SourceSizeRepr> for SourceSize {
    type Error = String;

    fn try_from(repr: SourceSizeRepr) -> Result<Self, String> {
        match repr {
            SourceSizeRepr::Pixels(pixels) => Ok(Self::Pixels(pixels)),
            SourceSizeRepr::Name(name) => name.parse(),
        }
    }
}

impl FromStr for SourceSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(pixels) => Ok(Self::Pixels(pixels)),
            Err(_) if text == "square" => Ok(Self::Square),
            Err(_) => Err(format!("unknown source size `{text}`; expected a number of pixels or square")),
        }
    }
}

impl fmt::Display for SourceSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            Self::Square => f.pad("square"),
        }
    }
}

impl Recipe {
    /// The shorter side of the images that random crops are drawn from; `None` if views are made of the squares: the run says so, was
    /// started before there were sources, or its views or its dataset have none.
    pub fn source_pixels(&self) -> Option<usize> {
        let drawn =
            |pixels| self.method.plan(self).is_none_or(|plan| plan.augmentation.draws_crops()).then_some(pixels);
        match self.source_size {
            Some(SourceSize::Pixels(pixels)) if self.dataset.has_sources() => drawn(pixels),
            _ => None,
        }
    }

    /// The recipe of a run, in which a source size that is not set is that of the run that it resumes, or else the default. A run without
    /// the setting is older than it and has squares.
    pub fn with_source_size(&self, resumed: Option<&Recipe>) -> Self {
        let side = self.image_size.unwrap_or(folder::SIDE);
        let draws_crops = match self.method {
            MethodName::BuiltIn(_) => self.method.plan(self).is_some_and(|plan| plan.augmentation.draws_crops()),
            // Its views are unknown here.
            MethodName::Custom(_) => false,
        };
        let default = || (self.dataset.has_sources() && draws_crops).then(|| SourceSize::for_image_size(side));
        let source_size = self.source_size.or_else(|| resumed.map_or_else(default, |run| run.source_size));
        Self { source_size, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use qare_data::DatasetName;

    use super::*;
    use crate::methods::Method;

    #[test]
    fn recipes_give_pixels_or_name_the_square() {
        let read = |text: &str| Recipe::parse(text).map(|recipe| recipe.source_size);
        assert_eq!(read("source_size = 256").unwrap(), Some(SourceSize::Pixels(256)));
        assert_eq!(read("source_size = \"square\"").unwrap(), Some(SourceSize::Square));
        assert_eq!(read("").unwrap(), None);
        assert!(read("source_size = \"whole\"").unwrap_err().contains("expected a number of pixels or square"));
        for size in [SourceSize::Pixels(73), SourceSize::Square] {
            let recipe = Recipe { source_size: Some(size), ..Recipe::default() };
            assert_eq!(Recipe::parse(&recipe.to_toml()).unwrap(), recipe);
            assert_eq!(size.to_string().parse(), Ok(size));
        }
    }

    #[test]
    fn the_default_is_that_of_the_field() {
        let of = |side| SourceSize::for_image_size(side);
        assert_eq!([of(224), of(96), of(64), of(28)], [256, 110, 73, 32].map(SourceSize::Pixels));
        for side in 8..=2048 {
            assert!(
                matches!(of(side), SourceSize::Pixels(pixels) if pixels > side && 7 * pixels.abs_diff(side * 8 / 7) <= 7)
            );
        }
    }

    #[test]
    fn photographs_whose_crops_are_drawn_have_a_source() {
        let resolved = |dataset, method: Method| {
            let recipe = Recipe { dataset, method: method.into(), image_size: Some(224), ..Recipe::default() };
            recipe.with_source_size(None).source_pixels()
        };
        for dataset in [DatasetName::Folder, DatasetName::Cub200, DatasetName::Sop] {
            assert_eq!(resolved(dataset, Method::Simclr), Some(256));
            assert_eq!(resolved(dataset, Method::Rotationnet), None);
            assert_eq!(resolved(dataset, Method::Randomweights), None);
        }
        for dataset in [DatasetName::Tiny, DatasetName::Omniglot, DatasetName::Stl10] {
            assert_eq!(resolved(dataset, Method::Simclr), None);
        }
    }

    #[test]
    fn a_resumed_run_keeps_its_source() {
        let unset = Recipe { dataset: DatasetName::Folder, method: Method::Simclr.into(), ..Recipe::default() };
        let with = |size| Recipe { source_size: size, ..unset.clone() };
        let (old, small) = (with(None), with(Some(SourceSize::Pixels(70))));
        for run in [&old, &small, &with(Some(SourceSize::Square))] {
            assert!(unset.differences(run).is_empty());
            assert_eq!(unset.with_source_size(Some(run)).source_size, run.source_size);
        }
        assert_eq!(small.differences(&old), ["source_size = 70 (the run has none)"]);
        assert_eq!(small.with_source_size(Some(&old)).source_size, small.source_size);
        // Squares are what an old run has, without saying so.
        assert!(with(Some(SourceSize::Square)).differences(&old).is_empty());
    }
}
