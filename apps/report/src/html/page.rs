//! The frame of the page: head, navigation, styles, script, data.

use serde_json::{Map, Value, json};

use crate::escape::{escape, json_in_html};
use crate::picture::Atlas;
use crate::report::Report;
use crate::svg::{Plot, page_rules};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page that is being written.
#[derive(Default)]
pub(crate) struct Page {
    body: String,
    /// Addresses and names of the sections.
    sections: Vec<(String, String)>,
    hovers: Map<String, Value>,
    atlases: Vec<Atlas>,
    plots: usize,
}

impl Page {
    /// Starts a section.
    pub fn section(&mut self, name: &str) {
        if !self.sections.is_empty() {
            self.body += "</section>\n";
        }
        let id = format!("section-{}", self.sections.len() + 1);
        self.body += &format!("<section id=\"{id}\"><h2>{}</h2>\n", escape(name));
        self.sections.push((id, name.to_string()));
    }

    /// Adds HTML.
    pub fn html(&mut self, html: &str) {
        self.body += html;
    }

    /// Adds a paragraph of text.
    pub fn text(&mut self, text: &str) {
        self.body += &format!("<p>{}</p>\n", escape(text));
    }

    /// Adds notes.
    pub fn notes(&mut self, notes: &[String]) {
        if !notes.is_empty() {
            let items: String = notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
            self.body += &format!("<ul class=\"notes\">{items}</ul>\n");
        }
    }

    /// Adds a plot, with HTML below it, and returns its id.
    pub fn plot(&mut self, plot: &Plot, class: &str, below: impl FnOnce(&str) -> String) -> String {
        self.plots += 1;
        let id = format!("plot-{}", self.plots);
        self.body += &format!(
            "<figure class=\"{class}\" data-name=\"{}\">{}{}</figure>\n",
            escape(&plot.name),
            plot.inline(&id),
            below(&id)
        );
        if !plot.hover.is_null() {
            self.hovers.insert(id.clone(), plot.hover.clone());
        }
        id
    }

    /// Adds pictures for the script, and returns their number.
    pub fn atlas(&mut self, atlas: Atlas) -> usize {
        self.atlases.push(atlas);
        self.atlases.len() - 1
    }

    /// Returns the whole page.
    pub fn finish(mut self, report: &Report) -> String {
        if !self.sections.is_empty() {
            self.body += "</section>\n";
        }
        let links: String =
            self.sections.iter().map(|(id, name)| format!("<a href=\"#{id}\">{}</a>", escape(name))).collect();
        let images: String = self
            .atlases
            .iter()
            .enumerate()
            .map(|(number, atlas)| format!("<img id=\"atlas-{number}\" alt=\"\" hidden src=\"{}\">", atlas.address()))
            .collect();
        let atlases: Vec<Value> =
            self.atlases.iter().map(|atlas| json!({ "side": atlas.side, "columns": atlas.columns })).collect();
        let data = json_in_html(&json!({ "plots": self.hovers, "atlases": atlases }));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'\">\n<meta name=\"generator\" content=\"{program}\">\n<title>{title}</title>\n\
             <style id=\"plot-rules\">\n{rules}</style>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1>\
             <p class=\"soft\">{count}, made by {program}, {created}</p><nav aria-label=\"Sections\">{links}</nav></header>\n<main>\n\
             {body}</main>\n<div id=\"tip\" role=\"status\" hidden><canvas width=\"96\" height=\"96\" hidden></canvas><div></div></div>\n\
             {images}\n<script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            program = escape(&report.program),
            title = escape(&report.title),
            created = escape(&report.created),
            count = if report.runs.len() == 1 { "1 run".to_string() } else { format!("{} runs", report.runs.len()) },
            rules = page_rules(),
            body = self.body,
        )
    }
}
