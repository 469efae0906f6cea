//! Plots the times of the objectives over B and over K on logarithmic axes, as an SVG file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::report::{Report, writable};
use qare_lab::PrintablePath;
use qare_lab::runs::files::write_whole;
use qare_lab::{LabError, Result};

/// Of the panels and the title.
const SIZE: (u32, u32) = (1200, 550);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// The plotted terms and their colours.
const TERMS: [(&str, RGBColor); 12] = [
    ("simclr", RGBColor(0, 114, 178)),
    ("simclr_qare", RGBColor(86, 180, 233)),
    ("sparseclr", RGBColor(213, 94, 0)),
    ("sparseclr_qare", RGBColor(230, 159, 0)),
    ("sparseclr_qare_frobenius", RGBColor(140, 80, 20)),
    ("sparseclr_qare_centred", RGBColor(150, 130, 60)),
    ("qare", RGBColor(0, 158, 115)),
    ("qare_no_floor", RGBColor(204, 121, 167)),
    ("qare_frobenius", RGBColor(90, 90, 90)),
    ("qare_frobenius_no_floor", RGBColor(170, 170, 170)),
    ("qare_centred", RGBColor(120, 94, 60)),
    ("qare_centred_no_floor", RGBColor(196, 172, 138)),
];

/// The name of a term in the legend.
fn legend(term: &str) -> &str {
    match term {
        "sparseclr_qare_frobenius" => "sparseclr, Frobenius",
        "sparseclr_qare_centred" => "sparseclr, centred",
        "qare" => "set term alone",
        "qare_no_floor" => "set term, no floor",
        "qare_frobenius" => "Frobenius",
        "qare_frobenius_no_floor" => "Frobenius, no floor",
        "qare_centred" => "centred",
        "qare_centred_no_floor" => "centred, no floor",
        term => term,
    }
}

/// The file of a plot.
#[derive(Debug)]
pub struct PlotFile(PathBuf);

impl PlotFile {
    /// # Errors
    /// If the name does not end in `.svg`, or the file cannot be written.
    pub fn new(path: &Path) -> Result<Self> {
        if path.extension().is_none_or(|extension| extension != "svg") {
            return Err(LabError::Usage(format!("--plot {}: expected a name that ends in .svg", path.printable())));
        }
        writable(path)?;
        Ok(Self(path.to_path_buf()))
    }

    /// Plots the objectives of all reports: solid lines for the first, dashed lines for the others.
    pub fn draw(&self, reports: &[Report]) -> Result<()> {
        let over_images = Panel::of(reports, "images in a batch B, two views of each", |images, views| {
            (views == 2).then_some(images)
        });
        let over_views =
            Panel::of(reports, "views K of each of 64 images", |images, views| (images == 64).then_some(views));
        if over_images.is_empty() {
            return Err(LabError::Usage(format!(
                "--plot {}: no times of objectives to plot; measure the part `objectives`",
                self.0.printable()
            )));
        }
        let mut svg = String::new();
        draw(&mut svg, &[over_images, over_views], reports)
            .map_err(|error| LabError::Failed(format!("cannot draw the plot: {error}")))?;
        write_whole(&self.0, svg.as_bytes())
    }
}

/// The times of one term in one report.
struct Curve {
    color: RGBColor,
    /// Index of the report.
    report: usize,
    /// Pairs (size, seconds) in ascending order of size.
    points: Vec<(f64, f64)>,
}

struct Panel {
    axis: &'static str,
    curves: Vec<Curve>,
}

impl Panel {
    /// The curves over the size that `size` returns for B and K. Points for which it returns `None` are left out.
    fn of(reports: &[Report], axis: &'static str, size: impl Fn(usize, usize) -> Option<usize>) -> Self {
        let mut curves = Vec::new();
        for (number, report) in reports.iter().enumerate() {
            for (term, color) in TERMS {
                let mut points: Vec<(f64, f64)> = report
                    .figures
                    .iter()
                    .filter_map(|figure| {
                        let (found, images, views) = sizes(&figure.key)?;
                        let size = size(images, views).filter(|_| found == term)?;
                        Some((size as f64, figure.median))
                    })
                    .collect();
                points.sort_by(|one, other| one.0.total_cmp(&other.0));
                if !points.is_empty() {
                    curves.push(Curve { color, report: number, points });
                }
            }
        }
        Self { axis, curves }
    }

    fn is_empty(&self) -> bool {
        self.curves.is_empty()
    }

    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.curves.iter().flat_map(|curve| &curve.points)
    }

    /// The range of sizes with a margin.
    fn sizes(&self) -> Range<f64> {
        let least = self.points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let most = self.points().map(|point| point.0).fold(0.0, f64::max);
        least / 1.12..most * 1.12
    }
}

/// Parses term, B and K from a key such as `objectives.TERM.B64.K2`.
fn sizes(key: &str) -> Option<(&str, usize, usize)> {
    let mut parts = key.strip_prefix("objectives.")?.split('.');
    let (term, images, views) = (parts.next()?, parts.next()?, parts.next()?);
    Some((term, images.strip_prefix('B')?.parse().ok()?, views.strip_prefix('K')?.parse().ok()?))
}

type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(svg: &mut String, panels: &[Panel], reports: &[Report]) -> Drawn {
    let foot = foot(panels, reports.len());
    let size = (SIZE.0, SIZE.1 + foot);
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let title = ("Time of loss and gradient", (FONT, 22).into_font().color(&INK));
    let area = area.titled(title.0, title.1)?;
    let (above, foot) = area.split_vertically(SIZE.1 - 30);
    let drawn: Vec<&Panel> = panels.iter().filter(|panel| !panel.is_empty()).collect();
    let decades = decades(drawn.iter().flat_map(|panel| panel.points()).map(|point| point.1));
    for (panel, place) in drawn.iter().zip(above.split_evenly((1, drawn.len()))) {
        draw_panel(panel, &decades, &place)?;
    }
    draw_legend(&foot, panels, reports)?;
    area.present()
}

/// The exponents of the powers of ten that enclose the times.
fn decades(seconds: impl Iterator<Item = f64>) -> Range<i32> {
    let powers: Vec<f64> = seconds.map(f64::log10).collect();
    let least = powers.iter().copied().fold(f64::INFINITY, f64::min).floor() as i32;
    let most = powers.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
    least..most.max(least + 1)
}

fn draw_panel(panel: &Panel, decades: &Range<i32>, place: &Area<'_>) -> Drawn {
    let text = |size: u32| (FONT, size).into_font().color(&INK);
    // Slightly wider, so that the powers of ten at both ends are inside.
    let seconds = 10f64.powi(decades.start) / 1.001..10f64.powi(decades.end) * 1.001;
    let mut chart = ChartBuilder::on(place)
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(76)
        .build_cartesian_2d(panel.sizes().log_scale().base(2.0), seconds.log_scale())?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .x_desc(panel.axis)
        .x_labels(12)
        .y_labels(decades.len() + 1)
        .axis_desc_style(text(16))
        .label_style(text(14))
        .x_label_formatter(&|size| format!("{size:.0}"))
        .y_label_formatter(&|seconds| duration(*seconds))
        .draw()?;
    for curve in &panel.curves {
        let line = curve.color.stroke_width(2);
        match curve.report {
            0 => {
                chart.draw_series(LineSeries::new(curve.points.iter().copied(), line))?;
                let dots = curve.points.iter().map(|point| Circle::new(*point, 3, curve.color.filled()));
                chart.draw_series(dots)?;
            }
            report => {
                let points = curve.points.iter().copied();
                chart.draw_series(DashedLineSeries::new(points, dash(report), 4, line))?;
            }
        }
    }
    Ok(())
}

/// The dash length of a report's lines.
fn dash(report: usize) -> u32 {
    if report == 1 { 8 } else { 2 }
}

/// Terms in a row of the legend, and the height of a row.
const TERMS_IN_A_ROW: usize = 6;
const ROW: u32 = 30;

/// The plotted terms of some curves, and the reports that have curves.
fn plotted(panels: &[Panel], reports: usize) -> (Vec<(&'static str, RGBColor)>, Vec<usize>) {
    let curves = || panels.iter().flat_map(|panel| &panel.curves);
    let terms = TERMS.into_iter().filter(|(_, color)| curves().any(|curve| curve.color == *color));
    (terms.collect(), (0..reports).filter(|report| curves().any(|curve| curve.report == *report)).collect())
}

/// The height of the legend.
fn foot(panels: &[Panel], reports: usize) -> u32 {
    let (terms, _) = plotted(panels, reports);
    ROW * (terms.len().div_ceil(TERMS_IN_A_ROW) as u32 + 1)
}

/// Draws the legend: terms by colour, and below them the programs by line style.
fn draw_legend(foot: &Area<'_>, panels: &[Panel], reports: &[Report]) -> Drawn {
    let text = (FONT, 15).into_font().color(&INK);
    let (terms, with_curves) = plotted(panels, reports.len());
    let place = |at: usize, of_row: usize| {
        let (column, row) = (at % of_row, at / of_row);
        (90 + (column * (SIZE.0 as usize - 90) / of_row) as i32, (18 + row * ROW as usize) as i32)
    };
    let rows = terms.len().div_ceil(TERMS_IN_A_ROW);
    for (at, (term, color)) in terms.into_iter().enumerate() {
        let (x, y) = place(at, TERMS_IN_A_ROW);
        foot.draw(&PathElement::new([(x, y), (x + 24, y)], color.stroke_width(3)))?;
        foot.draw(&Text::new(legend(term), (x + 30, y - 8), text.clone()))?;
    }
    for (at, number) in with_curves.iter().copied().enumerate() {
        let (x, y) = place(rows * with_curves.len() + at, with_curves.len());
        let ends = [(x, y), (x + 40, y)];
        match number {
            0 => foot.draw(&PathElement::new(ends, INK.stroke_width(2)))?,
            number => foot.draw(&DashedPathElement::new(ends, dash(number), 4, INK.stroke_width(2)))?,
        }
        foot.draw(&Text::new(reports[number].short_name(), (x + 48, y - 8), text.clone()))?;
    }
    Ok(())
}

/// Formats a power of ten in a suitable unit.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 0.999 => format!("{s:.0} s"),
        s if s >= 0.999e-3 => format!("{:.0} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parsed_into_term_and_sizes() {
        assert_eq!(sizes("objectives.sparseclr_qare.B256.K2"), Some(("sparseclr_qare", 256, 2)));
        assert_eq!(sizes("objectives.qare.exponent_B"), None);
        assert_eq!(sizes("step.conv4.B256.simclr"), None);
    }

    #[test]
    fn times_lie_between_whole_powers_of_ten() {
        assert_eq!(decades([0.002, 0.5].into_iter()), -3..0);
        assert_eq!(decades([1.0].into_iter()), 0..1);
    }

    #[test]
    fn axes_are_labelled_in_round_units() {
        assert_eq!([1e-4, 1e-3, 0.1, 1.0, 10.0].map(duration), ["100 µs", "1 ms", "100 ms", "1 s", "10 s"]);
    }
}
