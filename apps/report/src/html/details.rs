//! What a run has learned: map, neighbours, confusion, spectra.

use std::sync::Arc;

use super::tables::numbers;
use super::{Page, group_of};
use crate::analysis::{SetBound, Spectrum};
use crate::error::{ReportError, Result};
use crate::escape::escape;
use crate::groups::Group;
use crate::number::short;
use crate::picture::{Pictures, png};
use crate::report::{Detail, MapOfImages, Query, Report};
use crate::svg::{Axes, Bar, COLORS, Cloud, Line, Mark, Plot, bars, heatmap, interval, lines, scatter};

/// Most bytes of all thumbnails of maps together.
const THUMBNAILS: usize = 1_200_000;
/// Height and width of neighbours at most.
const NEIGHBOUR: usize = 48;
/// Most classes whose legend is shown whole; a longer one scrolls.
const LEGEND: usize = 30;
/// Most classes with a bar.
const BARS: usize = 40;
/// A representation is called collapsed if RankMe is below this number.
const COLLAPSED: f64 = 2.0;

/// Adds a section for each detail.
pub(super) fn details(page: &mut Page, report: &Report, groups: &[Group]) -> Result<()> {
    let mut atlases: Vec<(Arc<Pictures>, usize)> = Vec::new();
    let maps = report.details.iter().filter_map(|detail| detail.map.as_ref()?.thumbnails.as_ref());
    let mut different: Vec<&Arc<Pictures>> = Vec::new();
    for pictures in maps {
        if !different.contains(&pictures) {
            different.push(pictures);
        }
    }
    for pictures in &different {
        let atlas = page.atlas(pictures.atlas(THUMBNAILS / different.len())?);
        atlases.push(((*pictures).clone(), atlas));
    }
    for detail in &report.details {
        let run = report.runs.get(detail.run).ok_or(ReportError::Size {
            what: "runs",
            found: report.runs.len(),
            expected: detail.run + 1,
        })?;
        check(detail)?;
        let name = group_of(groups, detail.run);
        page.section(&if report.details.len() == 1 {
            "What it has learned".into()
        } else {
            format!("Learned: {name}")
        });
        page.html(&format!(
            "<p class=\"soft\">Run <code>{}</code>, seed {}. {}</p>\n",
            escape(&run.name),
            escape(&run.seed),
            escape(&detail.images)
        ));
        let atlas = detail.map.as_ref().and_then(|map| map.thumbnails.as_ref());
        let atlas = atlas.and_then(|pictures| atlases.iter().find(|(known, _)| known == pictures)).map(|found| found.1);
        one(page, detail, atlas)?;
    }
    Ok(())
}

/// Checks that arrays fit each other.
fn check(detail: &Detail) -> Result<()> {
    let size = |what, found, expected| {
        if found == expected { Ok(()) } else { Err(ReportError::Size { what, found, expected }) }
    };
    if let Some(map) = &detail.map {
        size("labels of the map", map.labels.len(), map.points.len())?;
        if let Some(pictures) = &map.thumbnails {
            size("thumbnails", pictures.len(), map.points.len())?;
        }
    }
    if let Some((matrix, _)) = &detail.confusion {
        size("class names", detail.classes.len(), matrix.classes)?;
    }
    detail.queries.iter().try_for_each(|query| size("captions", query.captions.len(), query.images.len()))
}

fn one(page: &mut Page, detail: &Detail, atlas: Option<usize>) -> Result<()> {
    if let Some(map) = &detail.map {
        page.html("<h3>Map</h3>\n");
        page.html(&format!("<p class=\"soft\">{}</p>\n", escape(&map.method)));
        let plot = map_plot(map, &detail.classes, atlas);
        page.plot(&plot, "wide", |id| class_legend(id, &detail.classes));
    }
    if !detail.queries.is_empty() {
        neighbours(page, detail)?;
    }
    if let Some((matrix, by)) = &detail.confusion {
        page.html("<h3>Classes</h3>\n");
        page.html(&format!(
            "<p class=\"soft\">Predicted by {}: {:.2} % of {} images are right.</p>\n",
            escape(by),
            100.0 * matrix.accuracy(),
            matrix.counts.iter().sum::<u32>()
        ));
        page.html("<div class=\"plots\">\n");
        for plot in class_plots(detail) {
            page.plot(&plot, "narrow", |_| String::new());
        }
        page.html("</div>\n");
        let name = |class: usize| escape(&detail.classes[class]);
        let rows: String = matrix
            .most_confused(10)
            .into_iter()
            .map(|(label, found, count)| {
                let share = 100.0 * f64::from(count) / f64::from(matrix.total(label).max(1));
                format!(
                    "<tr><td>{}</td><td>{}</td><td class=\"number\">{count}</td><td class=\"number\">{share:.1} %</td></tr>",
                    name(label),
                    name(found)
                )
            })
            .collect();
        page.html(&format!(
            "<details><summary>Most frequent errors</summary><table><thead><tr><th>class</th><th>taken for</th><th>images</th><th>of its \
             class</th></tr></thead><tbody>{rows}</tbody></table></details>\n"
        ));
    }
    if !detail.spectra.is_empty() || detail.bound.is_some() {
        spectra(page, detail);
    }
    Ok(())
}

fn map_plot(map: &MapOfImages, classes: &[String], atlas: Option<usize>) -> Plot {
    let cloud = Cloud { points: &map.points, labels: &map.labels, names: classes, atlas, texts: map.texts.clone() };
    scatter("Map of the images", &cloud)
}

/// Buttons that show one class alone.
fn class_legend(id: &str, classes: &[String]) -> String {
    let button = |(class, name): (usize, &String)| {
        let square = if class / COLORS % 2 == 1 { " square" } else { "" };
        format!(
            "<button type=\"button\" data-map=\"{id}\" data-class=\"{class}\" aria-pressed=\"false\"><svg viewBox=\"0 0 12 12\" \
             class=\"plot\" style=\"width:12px\" aria-hidden=\"true\"><path class=\"dots s{}{square}\" style=\"stroke-width:9\" \
             d=\"M6 6h.1\"/></svg>{}</button>",
            class % COLORS,
            escape(name)
        )
    };
    if classes.len() < 2 {
        return String::new();
    }
    let long = if classes.len() > LEGEND { " long\" tabindex=\"0\" aria-label=\"classes" } else { "" };
    format!("<div class=\"legend{long}\">{}</div>", classes.iter().enumerate().map(button).collect::<String>())
}

fn neighbours(page: &mut Page, detail: &Detail) -> Result<()> {
    page.html("<h3>Nearest neighbours</h3>\n");
    if let Some((percent, count)) = detail.purity {
        page.html(&format!(
            "<p class=\"soft\">On average, {percent:.1} % of the {count} nearest images by cosine are of an image's \
             class. Solid blue borders are of its class, dashed orange ones of another.</p>\n"
        ));
    }
    let mut group = "";
    for query in &detail.queries {
        if query.group != group {
            if !group.is_empty() {
                page.html("</div>\n");
            }
            group = &query.group;
            page.html(&format!("<h4>{}</h4><div class=\"queries\">\n", escape(group)));
        }
        page.html("<div class=\"query\">");
        for (place, caption) in query.captions.iter().enumerate() {
            let (class, verdict) = match (place, place.checked_sub(1).and_then(|place| query.same.get(place))) {
                (0, _) => ("asked", "query"),
                (_, Some(true)) => ("same", "same class"),
                (_, Some(false)) => ("other", "another class"),
                (_, None) => ("", "neighbour"),
            };
            page.html(&format!(
                "<figure class=\"{class}\"><img src=\"{}\" alt=\"{verdict}: {caption}\"><figcaption>{caption}</figcaption></figure>",
                query.images.address(place, NEIGHBOUR)?,
                caption = escape(caption)
            ));
        }
        page.html("</div>\n");
    }
    page.html("</div>\n");
    Ok(())
}

/// Returns queries and neighbours as a PNG, a query in each row.
pub(super) fn sheet(queries: &[Query]) -> Result<Vec<u8>> {
    let columns = queries.iter().map(|query| query.images.len()).max().unwrap_or(1);
    let rows = queries.iter().map(|query| {
        let decoded = image::load_from_memory(&query.images.sheet(columns)?);
        decoded.map(|image| image.to_rgb8()).map_err(|error| ReportError::Picture(error.to_string()))
    });
    let rows: Vec<image::RgbImage> = rows.collect::<Result<_>>()?;
    let gap = 4;
    let width = rows.iter().map(image::RgbImage::width).max().unwrap_or(1);
    let height = rows.iter().map(|row| row.height() + gap).sum();
    let mut sheet = image::RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
    let mut top = 0;
    for row in &rows {
        image::imageops::replace(&mut sheet, row, 0, i64::from(top));
        top += row.height() + gap;
    }
    png(&sheet)
}

/// Confusion matrix and accuracy of each class, the best first.
fn class_plots(detail: &Detail) -> Vec<Plot> {
    let Some((matrix, _)) = &detail.confusion else { return Vec::new() };
    let mut data: Vec<Bar> = detail
        .classes
        .iter()
        .enumerate()
        .filter_map(|(class, name)| Some(Bar { name: name.clone(), percent: 100.0 * matrix.accuracy_of(class)? }))
        .collect();
    data.sort_by(|one, other| other.percent.total_cmp(&one.percent));
    let title = if data.len() > BARS {
        data.drain(BARS / 2..data.len() - BARS / 2);
        "Accuracy of the best and the worst classes"
    } else {
        "Accuracy by class"
    };
    vec![heatmap("Confusion matrix", matrix, &detail.classes), bars(title, &data)]
}

fn spectra(page: &mut Page, detail: &Detail) {
    page.html("<h3>Spectra</h3>\n");
    let mut rows: Vec<(String, f64)> = Vec::new();
    for (name, spectrum) in &detail.spectra {
        rows.push((format!("{name}: dimensions"), spectrum.dim as f64));
        rows.push((format!("{name}: RankMe"), spectrum.rank_me));
        rows.push((format!("{name}: effective rank of the covariance"), spectrum.effective_rank));
        if spectrum.rank_me < COLLAPSED {
            page.html(&format!(
                "<ul class=\"notes\"><li>The {} have rank {} by RankMe: collapsed?</li></ul>\n",
                escape(name),
                short(spectrum.rank_me)
            ));
        }
    }
    if !rows.is_empty() {
        page.html(&numbers(["rank", "value"], &rows));
    }
    page.html("<div class=\"plots\">\n");
    for plot in spectrum_plots(detail) {
        page.plot(&plot, "curve", |_| String::new());
    }
    page.html("</div>\n");
    if let Some(bound) = &detail.bound {
        page.html(&format!(
            "<p>Two view sets of {} images, S = 1 + similarities. The set term is the bound ⟨λ(S₁), λ(S₂)⟩ on the best assignment \
             max<sub>P</sub> tr(S₁ P S₂ Pᵀ). Views of the same images reach {} of it: the gap of the bound is {:.3} %. The bound by \
             norms ‖S₁‖ ‖S₂‖ is {:.4} % above it.</p>\n",
            bound.count,
            short(bound.images / bound.spectral),
            100.0 * bound.gap(),
            100.0 * (bound.frobenius / bound.spectral - 1.0),
        ));
    }
}

fn spectrum_plots(detail: &Detail) -> Vec<Plot> {
    let relative = |values: &[f64]| {
        let largest = values.first().copied().unwrap_or(1.0).max(f64::MIN_POSITIVE);
        // Below, values are rounding errors of f32.
        let kept = values.iter().map(|value| value / largest).take_while(|value| *value > 1e-8);
        kept.enumerate().map(|(place, value)| (place as f64 + 1.0, value)).collect::<Vec<_>>()
    };
    let of = |(name, spectrum): &(String, Spectrum)| Line {
        name: name.clone(),
        points: relative(&spectrum.singular_values),
        ..Default::default()
    };
    let data: Vec<Line> = detail.spectra.iter().map(of).collect();
    let names: Vec<&str> = detail.spectra.iter().map(|(name, _)| name.as_str()).collect();
    let title = format!("Singular values of {}, relative", names.join(" and "));
    let mut plots: Vec<Plot> = lines(Axes { title: &title, x: "number", log: true }, &data).into_iter().collect();
    if let Some(bound) = &detail.bound {
        let line = |(set, values): (usize, &Vec<f64>)| Line {
            name: format!("λ(S{})", ["₁", "₂"][set]),
            points: values
                .iter()
                .enumerate()
                .map(|(place, value)| (place as f64 + 1.0, *value))
                .filter(|point| point.1 > 1e-6)
                .collect(),
            ..Default::default()
        };
        let data: Vec<Line> = bound.eigenvalues.iter().enumerate().map(line).collect();
        let title = "Eigenvalues of the similarities of two view sets";
        plots.extend(lines(Axes { title, x: "number", log: true }, &data));
        plots.push(interval("Set term and its bounds, divided by B(B − 1)", &marks(bound)));
    }
    plots
}

/// The values of the set term, ascending by what they bound.
fn marks(bound: &SetBound) -> Vec<Mark> {
    let mark = |name: &str, value: f64, color: usize| Mark { name: name.into(), value, color };
    vec![
        mark("least: λ in opposite order", bound.reversed, 6),
        mark("mean over assignments P", bound.mean, 6),
        mark("tr(S₁ S₂): views of an image", bound.images, 2),
        mark("set term ⟨λ(S₁), λ(S₂)⟩", bound.spectral, 0),
        mark("norms ‖S₁‖ ‖S₂‖", bound.frobenius, 1),
        mark("traces tr S₁ · tr S₂ / B", bound.traces, 6),
    ]
}

/// Returns all plots of a detail.
pub(super) fn plots(detail: &Detail, atlas: Option<usize>) -> Vec<Plot> {
    let map = detail.map.as_ref().map(|map| map_plot(map, &detail.classes, atlas));
    map.into_iter().chain(class_plots(detail)).chain(spectrum_plots(detail)).collect()
}
