//! Results as in papers, and settings.

use super::Page;
use crate::escape::escape;
use crate::groups::{Group, differing, value};
use crate::number::{mean_and_deviation, short};
use crate::report::Run;

/// Least number of seeds for a standard deviation.
const MIN_SEEDS: usize = 3;

/// Adds the table of scores: mean ± standard deviation over the seeds.
pub(super) fn results(page: &mut Page, runs: &[Run], groups: &[Group]) {
    page.section("Results");
    let names = score_names(runs);
    let differing = differing(runs);
    let mut head: Vec<String> = match differing.is_empty() {
        true => vec!["<th scope=\"col\">run</th>".into()],
        false => differing.iter().map(|key| format!("<th scope=\"col\">{}</th>", escape(key))).collect(),
    };
    head.push("<th scope=\"col\">seeds</th>".into());
    head.extend(names.iter().map(|name| format!("<th scope=\"col\" class=\"number\">{}</th>", escape(name))));
    let score =
        |run: usize, name: &str| runs[run].scores.iter().find(|(found, _)| found == name).and_then(|found| found.1);
    let means = |group: &Group, name: &str| {
        let values: Vec<f64> = group.runs.iter().filter_map(|run| score(*run, name)).collect();
        mean_and_deviation(&values).map(|(mean, deviation)| (mean, deviation.filter(|_| values.len() >= MIN_SEEDS)))
    };
    let dataset = |group: &Group| value(&runs[group.runs[0]], "dataset");
    // Scores of one dataset are not better than those of another.
    let best = |group: &Group, name: &str| {
        let alike = groups.iter().filter(|other| dataset(other) == dataset(group));
        let scores: Vec<f64> = alike.filter_map(|other| means(other, name)).map(|found| found.0).collect();
        scores.iter().copied().reduce(f64::max).filter(|_| scores.len() > 1)
    };
    let mut rows = String::new();
    for group in groups {
        let first = &runs[group.runs[0]];
        let settings: String = match differing.is_empty() {
            true => format!("<td>{}</td>", escape(&group.name)),
            false => {
                differing.iter().map(|key| format!("<td>{}</td>", escape(value(first, key).unwrap_or("–")))).collect()
            }
        };
        let seeds: Vec<&str> = group.runs.iter().map(|run| runs[*run].seed.as_str()).collect();
        rows += &format!("<tr>{settings}<td>{}</td>", escape(&seeds.join(", ")));
        for name in &names {
            let found = means(group, name);
            let text = match found {
                Some((mean, Some(deviation))) => format!("{mean:.2} ± {deviation:.2}"),
                Some((mean, None)) => format!("{mean:.2}"),
                None => "–".into(),
            };
            let best = best(group, name);
            let is_best = best.is_some() && found.map(|found| found.0) == best;
            rows += &format!("<td class=\"number{}\">{text}</td>", if is_best { " best" } else { "" });
        }
        rows += "</tr>\n";
    }
    page.html(&format!(
        "<div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        head.concat()
    ));
    page.html(
        "<p class=\"soft\">Scores in percent. Mean ± standard deviation over the seeds, from three seeds on; the best mean of a column on a \
         dataset is bold.</p>\n",
    );
    if runs.len() > 1 {
        let head: String = names.iter().map(|name| format!("<th class=\"number\">{}</th>", escape(name))).collect();
        let row = |run: &Run| {
            let of = |name: &String| run.scores.iter().find(|(found, _)| found == name).and_then(|found| found.1);
            let cell = |name| {
                format!("<td class=\"number\">{}</td>", of(name).map_or("–".into(), |value| format!("{value:.2}")))
            };
            let cells: String = names.iter().map(cell).collect();
            format!("<tr><td><code>{}</code></td><td>{}</td>{cells}</tr>\n", escape(&run.name), escape(&run.seed))
        };
        let rows: String = runs.iter().map(row).collect();
        page.html(&format!(
            "<details><summary>Scores of each run</summary><div class=\"scroll\"><table><thead><tr><th>run</th><th>seed</th>{head}</tr>\
             </thead><tbody>\n{rows}</tbody></table></div></details>\n"
        ));
    }
}

/// Returns the names of all scores, in the order of their first run.
fn score_names(runs: &[Run]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, score) in runs.iter().flat_map(|run| &run.scores) {
        if score.is_some() && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Adds the settings that differ, those that are alike, and the facts of each run.
pub(super) fn settings(page: &mut Page, runs: &[Run], groups: &[Group]) {
    page.section("Recipe");
    let differing = differing(runs);
    if differing.is_empty() {
        if runs.len() > 1 {
            page.text("All runs have the same settings but for their seeds.");
        }
    } else {
        page.html("<h3>What differs</h3>\n");
        let head: String =
            groups.iter().map(|group| format!("<th scope=\"col\">{}</th>", escape(&group.name))).collect();
        let row = |key: &String| {
            let cell = |group: &Group| format!("<td>{}</td>", escape(value(&runs[group.runs[0]], key).unwrap_or("–")));
            format!("<tr><th scope=\"row\">{}</th>{}</tr>\n", escape(key), groups.iter().map(cell).collect::<String>())
        };
        let rows: String = differing.iter().map(row).collect();
        page.html(&format!(
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">setting</th>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
        ));
    }
    if let Some(first) = runs.first() {
        let same = first.settings.iter().filter(|(key, _)| !differing.contains(key));
        let row = |(key, value): &(String, String)| {
            format!("<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>\n", escape(key), escape(value))
        };
        let rows: String = same.map(row).collect();
        let open = if runs.len() == 1 { " open" } else { "" };
        let title = if runs.len() == 1 { "Settings" } else { "Settings that all runs share" };
        page.html(&format!(
            "<details{open}><summary>{title}</summary><table><tbody>\n{rows}</tbody></table></details>\n"
        ));
    }
    for run in runs {
        let row = |(key, value): &(String, String)| {
            format!("<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>\n", escape(key), escape(value))
        };
        let rows: String = run.facts.iter().map(row).collect();
        page.html(&format!(
            "<details><summary>Run <code>{}</code>, seed {}</summary><table><tbody>\n{rows}</tbody></table></details>\n",
            escape(&run.name),
            escape(&run.seed)
        ));
    }
}

/// Returns a table of names and numbers.
pub(super) fn numbers(head: [&str; 2], rows: &[(String, f64)]) -> String {
    let row = |(name, value): &(String, f64)| {
        format!("<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td></tr>", escape(name), short(*value))
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<table><thead><tr><th scope=\"col\">{}</th><th scope=\"col\" class=\"number\">{}</th></tr></thead><tbody>{rows}</tbody></table>\n",
        escape(head[0]),
        escape(head[1])
    )
}
