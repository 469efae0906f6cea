//! Plots as SVG: for the page, where CSS chooses the colours, and as files with colours of their own.

mod axis;
mod bars;
mod categories;
mod frame;
mod heatmap;
mod interval;
mod lines;
mod scatter;

use serde_json::Value;

pub(crate) use bars::{Bar, bars};
pub(crate) use categories::categories;
pub(crate) use heatmap::heatmap;
pub(crate) use interval::{Mark, interval};
pub(crate) use lines::{Axes, Line, lines};
pub(crate) use scatter::{Cloud, scatter};

use crate::escape::escape;

/// Number of colours of lines and classes; further ones repeat them with another dash or marker.
pub(crate) const COLORS: usize = 8;

/// The names of the colours in CSS, in light and in dark surroundings. The first eight are for data: those of Okabe and Ito, which people
/// with any kind of colour blindness tell apart, with two of them replaced that are hard to see on white.
const PALETTE: [(&str, &str, &str); 16] = [
    ("c0", "#0072b2", "#56b0ee"),
    ("c1", "#d55e00", "#ff8c42"),
    ("c2", "#009e73", "#2fc79a"),
    ("c3", "#cc79a7", "#e8a3c8"),
    ("c4", "#b8860b", "#f0b840"),
    ("c5", "#56b4e9", "#9bd6f7"),
    ("c6", "#777777", "#b5b5b5"),
    ("c7", "#882255", "#d873a8"),
    ("ink", "#1d2733", "#e6ebf0"),
    ("soft", "#5b6773", "#a3aeb9"),
    ("grid", "#e2e6ea", "#333c46"),
    ("paper", "#ffffff", "#14181d"),
    ("panel", "#f6f8fa", "#1b2128"),
    ("heat", "#08519c", "#6db3f2"),
    ("onheat", "#ffffff", "#0b1016"),
    ("edge", "#c9d1d9", "#3b4652"),
];

/// The rules of the plots, with colours as variables.
const RULES: &str = include_str!("plot.css");

/// Returns the rules of plots for a page, with the colours of light and dark surroundings.
pub(crate) fn page_rules() -> String {
    let variables = |dark: bool| {
        let one =
            |(name, light, of_dark): (&str, &str, &str)| format!("--{name}:{};", if dark { of_dark } else { light });
        PALETTE.map(one).concat()
    };
    let (light, dark) = (variables(false), variables(true));
    format!(
        ":root{{color-scheme:light dark;{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{RULES}"
    )
}

/// Returns the rules of plots with light colours in place of variables, which few programs but browsers know.
fn file_rules() -> String {
    PALETTE.iter().fold(RULES.to_string(), |rules, (name, light, _)| rules.replace(&format!("var(--{name})"), light))
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// A name for files: letters, digits, `-` and `_`.
    pub name: String,
    /// The title.
    pub(crate) title: String,
    /// What it shows, for those who do not see it.
    pub(crate) description: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// The elements inside of the `svg` element.
    pub(crate) body: String,
    /// What the script shows under the pointer.
    pub(crate) hover: Value,
}

impl Plot {
    /// Returns the plot as an SVG file with light colours.
    pub fn file(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" class=\"plot\" role=\"img\">\
             <title>{}</title><desc>{}</desc><style>{}svg{{background:#fff;color:#1d2733}}</style>\
             <rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>{}</svg>\n",
            escape(&self.title),
            escape(&self.description),
            file_rules(),
            self.body,
            w = self.width,
            h = self.height,
        )
    }

    /// Returns the plot for the page. `id` is unique there.
    pub(crate) fn inline(&self, id: &str) -> String {
        format!(
            "<svg class=\"plot\" id=\"{id}\" viewBox=\"0 0 {w} {h}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" tabindex=\"0\">\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{}</svg>",
            escape(&self.title),
            escape(&self.description),
            self.body,
            w = self.width,
            h = self.height,
        )
    }
}

/// Returns a name for files from any text.
pub(crate) fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase().chars().take(80).collect()
}
