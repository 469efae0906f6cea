//! Figures over the values of a setting, at equal distances.

use serde_json::Value;

use super::axis::Scale;
use super::frame::{BOTTOM, HEIGHT, LEFT, RIGHT, ROW, TOP, WIDTH, dash, frame, legend};
use super::{COLORS, Plot, slug};
use crate::comparison::Series;
use crate::escape::shortened;
use crate::number::{mean_and_deviation, place, short};

/// From a series to the next at one value, so that their dots do not cover each other.
const APART: f64 = 8.0;

/// Draws a dot for each figure and a line through the means of each series; `None` if there is no finite figure.
pub(crate) fn categories([title, setting]: [&str; 2], values: &[String], series: &[Series]) -> Option<Plot> {
    let of_all = series.iter().flat_map(|series| series.groups.iter().flatten().copied());
    let finite = of_all.filter(|figure| figure.is_finite());
    finite.clone().next()?;
    let y = Scale::over(finite, false, 0.06, HEIGHT - BOTTOM, TOP);
    let step = (WIDTH - LEFT - RIGHT) / values.len() as f64;
    let middle = |index: usize| LEFT + step * (index as f64 + 0.5);
    // A letter is about 6.6 pixels wide.
    let letters = ((step / 6.6) as usize).max(3);
    let ticks = values.iter().enumerate().map(|(index, value)| (middle(index), shortened(value, letters)));
    let mut body = frame([title, setting], ticks, &y);
    let count = series.len();
    let apart = APART.min(0.7 * step / count as f64);
    let mut told = Vec::new();
    for (number, series) in series.iter().enumerate() {
        let color = number % COLORS;
        let shift = apart * (number as f64 - 0.5 * (count as f64 - 1.0));
        // The line has a gap where there is no figure.
        let (mut path, mut dots, mut broken) = (String::new(), String::new(), true);
        for (index, group) in series.groups.iter().enumerate() {
            let figures: Vec<f64> = group.iter().copied().filter(|figure| figure.is_finite()).collect();
            let Some((mean, _)) = mean_and_deviation(&figures) else {
                broken = true;
                continue;
            };
            let x = middle(index) + shift;
            let at = place(y.place(mean));
            path += &format!("{}{} {at}", if broken { 'M' } else { 'L' }, place(x));
            broken = false;
            dots += &format!("<path class=\"line s{color}\" d=\"M{} {at}h10\"/>", place(x - 5.0));
            let x = place(x);
            for figure in figures {
                let y = place(y.place(figure));
                dots += &format!("<circle class=\"f{color}\" cx=\"{x}\" cy=\"{y}\" r=\"3\" opacity=\".6\"/>");
            }
            told.push(format!("{} at {}: {}", series.name, values[index], short(mean)));
        }
        body += &format!("<path class=\"line s{color}\"{} d=\"{path}\"/>{dots}", dash(number));
    }
    let (names, rows) = legend(series.iter().map(|series| series.name.as_str()));
    body += &names;
    told.truncate(24);
    Some(Plot {
        name: slug(title),
        title: title.to_string(),
        description: format!("Means of {title} over {setting}: {}.", told.join("; ")),
        width: WIDTH,
        height: HEIGHT + ROW * rows as f64,
        body,
        hover: Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, groups: &[&[f64]]) -> Series {
        Series { name: name.into(), groups: groups.iter().map(|group| group.to_vec()).collect() }
    }

    #[test]
    fn every_figure_is_a_dot_and_the_line_goes_through_the_means() {
        let values = ["0", "0.5", "2"].map(str::to_string);
        let two = [series("<a>", &[&[1.0, 3.0], &[2.0], &[4.0, 6.0]]), series("b", &[&[2.0], &[], &[f64::NAN, 5.0]])];
        let plot = categories(["kNN", "beta"], &values, &two).unwrap();
        assert_eq!(plot.body.matches("<circle").count(), 7);
        let line = |color: &str| {
            let start = plot.body.split(&format!("<path class=\"line {color}\"")).nth(1).unwrap();
            let path = start.split(" d=\"M").nth(1).unwrap().split('"').next().unwrap();
            path.split(['L', 'M'])
                .map(|point| point.split(' ').nth(1).unwrap().parse::<f64>().unwrap())
                .collect::<Vec<_>>()
        };
        let [a, b] = ["s0", "s1"].map(line);
        // The means 2, 2, 5 and 2, 5: the same heights.
        assert_eq!((a.len(), b.len()), (3, 2));
        assert!(a[0] == a[1] && a[0] == b[0] && a[2] == b[1] && a[2] < a[0], "{a:?} {b:?}");
        let file = plot.file();
        assert!(!file.contains("<a>") && !file.contains("NaN") && plot.description.contains("b at 2: 5"), "{file}");
    }

    #[test]
    fn without_a_finite_figure_there_is_no_plot() {
        let values = ["1".to_string()];
        assert!(categories(["kNN", "K"], &values, &[]).is_none());
        assert!(categories(["kNN", "K"], &values, &[series("a", &[&[f64::NAN]])]).is_none());
    }
}
