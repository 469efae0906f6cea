//! Opens reports in headless Chromium: no script fails, and no plot is empty.
//!
//! `QARE_CHECK_REPORT=FILE.html` checks another report too. Without Chromium, the tests pass and say that they checked nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use qare_report::analysis::{Confusion, MapMethod, Rows, SetBound, Spectrum, map, nearest};
use qare_report::{Detail, MapOfImages, Pictures, Query, Report, Run};

/// Records errors from the start.
const BEFORE: &str = "<script>window.failures=[];addEventListener('error',e=>failures.push(String(e.message)));\
     addEventListener('securitypolicyviolation',e=>failures.push('blocked '+e.blockedURI+e.violatedDirective));</script>";

/// Moves the pointer over every plot, presses every button, and writes what it finds into the page.
const AFTER: &str = r#"<script>
(() => {
  const tip = document.getElementById("tip");
  const data = JSON.parse(document.getElementById("data").textContent);
  const report = { plots: 0, silent: [], empty: [], buttons: 0 };
  document.querySelectorAll("svg.plot[id]").forEach((svg) => {
    report.plots += 1;
    const marks = svg.querySelectorAll("path:not(.grid):not(.axis),circle,rect:not(.axis)");
    const drawn = [...marks].some((mark) => !mark.closest("clipPath") && mark.getTotalLength && (mark.getTotalLength() > 0 ));
    const box = svg.getBoundingClientRect();
    if (!drawn || box.width < 50 || box.height < 50) report.empty.push(svg.id);
    if (!data.plots[svg.id]) return;
    let told = 0;
    for (let x = 0.02; x < 1; x += 0.02) for (let y = 0.02; y < 1; y += 0.02) {
      if (told) break;
      const [clientX, clientY] = [box.left + x * box.width, box.top + y * box.height];
      svg.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
      told += !tip.hidden && tip.textContent.length > 2;
    }
    svg.dispatchEvent(new PointerEvent("pointerleave"));
    svg.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
    if (!told || !tip.hidden && data.plots[svg.id].kind !== "lines") report.silent.push(svg.id);
    svg.dispatchEvent(new FocusEvent("blur"));
  });
  HTMLAnchorElement.prototype.click = function () { report.saved = (report.saved || 0) + 1; };
  document.querySelectorAll("button").forEach((button) => { report.buttons += 1; button.click(); });
  report.broken = [...document.images].filter((image) => !image.complete || image.naturalWidth === 0).length;
  report.images = document.images.length;
  setTimeout(() => {
    report.failures = window.failures;
    const element = document.createElement("pre");
    element.id = "checked";
    element.textContent = JSON.stringify(report);
    document.body.appendChild(element);
  }, 300);
})();
</script></body>"#;

fn chromium() -> Option<&'static str> {
    let found = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].into_iter().find(found)
}

/// Opens a page and returns what the script found there. `None` without Chromium.
fn opened(page: &str, folder: &Path) -> Option<serde_json::Value> {
    let Some(browser) = chromium() else {
        eprintln!("Chromium is not installed: the page is not opened");
        return None;
    };
    let head = page.replacen("<head>", &format!("<head>{BEFORE}"), 1);
    let (start, _) = head.rsplit_once("</body>").expect("the page is whole");
    let file = folder.join("page.html");
    std::fs::write(&file, format!("{start}{AFTER}</html>")).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,2000"])
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("Chromium starts");
    let dom = String::from_utf8_lossy(&output.stdout);
    let found = dom.split("<pre id=\"checked\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let found = found.unwrap_or_else(|| panic!("the script did not end: {}", String::from_utf8_lossy(&output.stderr)));
    let text = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Some(serde_json::from_str(&text).expect("JSON"))
}

#[track_caller]
fn assert_sound(found: &serde_json::Value) {
    assert_eq!(found["failures"], serde_json::json!([]), "scripts failed: {found}");
    assert_eq!(found["empty"], serde_json::json!([]), "plots are empty: {found}");
    assert_eq!(found["silent"], serde_json::json!([]), "plots say nothing under the pointer: {found}");
    assert_eq!(found["broken"], 0, "images are broken: {found}");
    assert!(found["plots"].as_u64() > Some(0), "{found}");
}

/// Numbers of a linear congruence between −1 and 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

const HOSTILE: &str = "<img src=x onerror=\"failures.push('injected')\">&'\"</script>";

fn run(name: &str, method: &str, seed: u64) -> Run {
    let noise = numbers(40, seed);
    let row = |epoch: usize| {
        let value = 3.0 / (1.0 + epoch as f64) + 0.1 * f64::from(noise[epoch]);
        vec![Some(epoch as f64 + 1.0), Some(value), epoch.is_multiple_of(3).then_some(20.0 + epoch as f64)]
    };
    Run {
        name: name.into(),
        seed: seed.to_string(),
        settings: vec![("method".into(), method.into()), ("note".into(), HOSTILE.into())],
        columns: vec!["epoch".into(), "loss".into(), "score".into()],
        rows: (0..20).map(row).collect(),
        scores: vec![("linear probe".into(), Some(50.0 + seed as f64)), ("kNN".into(), None)],
        facts: vec![("command".into(), HOSTILE.into())],
    }
}

fn detail(classes: usize, points: usize) -> Detail {
    let names: Vec<String> =
        (0..classes).map(|class| if class == 1 { HOSTILE.into() } else { format!("class {class}") }).collect();
    let labels: Vec<u16> = (0..points).map(|row| (row % classes) as u16).collect();
    let noise = numbers(points * 16, 7);
    let values: Vec<f32> = noise
        .chunks(16)
        .zip(&labels)
        .flat_map(|(row, label)| {
            row.iter()
                .enumerate()
                .map(|(i, x)| x + if i == usize::from(*label) % 16 { 2.0 } else { 0.0 })
                .collect::<Vec<_>>()
        })
        .collect();
    let rows = Rows::new(&values, 16).unwrap();
    let pixels: Vec<u8> = numbers(points * 3 * 64, 3).iter().map(|x| (127.0 + 127.0 * x) as u8).collect();
    let pictures = Pictures::planar(&pixels, 8).unwrap();
    let predicted: Vec<u16> =
        labels.iter().enumerate().map(|(row, label)| if row % 3 == 0 { 0 } else { *label }).collect();
    let neighbours = nearest(&rows, 4);
    let query = |row: usize| {
        let all: Vec<usize> = std::iter::once(row).chain(neighbours[row].iter().map(|near| near.row)).collect();
        Query {
            group: if row < 3 { "Random images".into() } else { "Worst".into() },
            images: Pictures::planar(
                &all.iter().flat_map(|row| pixels[row * 192..][..192].to_vec()).collect::<Vec<_>>(),
                8,
            )
            .unwrap(),
            captions: all.iter().map(|row| names[usize::from(labels[*row])].clone()).collect(),
            same: all[1..].iter().map(|other| labels[*other] == labels[row]).collect(),
        }
    };
    let halves = [&values[..32 * 16], &values[32 * 16..64 * 16]].map(|half| Rows::new(half, 16).unwrap());
    Detail {
        run: 0,
        images: "All images.".into(),
        map: Some(MapOfImages {
            method: "t-SNE".into(),
            points: map(&rows, MapMethod::Tsne).unwrap(),
            labels: labels.clone(),
            thumbnails: Some(Arc::new(pictures)),
            texts: (0..points).map(|row| format!("image {row}")).collect(),
        }),
        queries: (0..6).map(query).collect(),
        purity: Some((40.0, 4)),
        confusion: Some((Confusion::of(&labels, &predicted, classes).unwrap(), HOSTILE.into())),
        spectra: vec![("features".into(), Spectrum::of(&rows).unwrap())],
        bound: Some(SetBound::of(&halves[0], &halves[1], None).unwrap()),
        classes: names,
    }
}

#[test]
fn a_page_of_everything_opens_without_errors() {
    let runs = vec![run("a", "simclr", 1), run("b", "simclr", 2), run("c", "simclr", 3), run(HOSTILE, "sparseclr", 1)];
    for (classes, points, runs) in [(3, 90, runs.clone()), (60, 300, runs[..1].to_vec())] {
        let report = Report {
            title: HOSTILE.into(),
            runs,
            details: vec![detail(classes, points)],
            notes: vec![HOSTILE.into()],
            ..Default::default()
        };
        let page = report.html().unwrap();
        assert!(!page.contains("<img src=x"), "text is not escaped");
        for address in ["http:", "https:", "src=\"/", "@import", "url("] {
            let own = page.replace("http://www.w3.org/2000/svg", "").replace("url(#clip", "");
            assert!(!own.contains(address), "the page names {address}");
        }
        assert_eq!(page, report.html().unwrap(), "the same data give the same page");
        for plot in report.plots().unwrap() {
            assert!(plot.file().contains("<svg xmlns") && !plot.file().contains("NaN"), "{}", plot.name);
        }
        assert_eq!(report.sheets().unwrap().len(), 1);
        let folder = tempfile::tempdir().unwrap();
        if let Some(found) = opened(&page, folder.path()) {
            assert_sound(&found);
            // Two curves, map, matrix, bars, singular values, eigenvalues, bounds.
            assert_eq!(found["plots"], 8, "{found}");
            assert!(found["images"].as_u64() > Some(30), "{found}");
        }
    }
}

#[test]
fn a_broken_page_is_noticed() {
    let report = Report { title: "broken".into(), runs: vec![run("a", "simclr", 1)], ..Default::default() };
    let page = report.html().unwrap().replace("const kinds = { lines", "undefinedFunction(); const kinds = { lines");
    let folder = tempfile::tempdir().unwrap();
    if let Some(found) = opened(&page, folder.path()) {
        assert!(found["failures"].to_string().contains("undefinedFunction"), "{found}");
        assert_ne!(found["silent"], serde_json::json!([]));
    }
}

#[test]
fn runs_without_figures_have_a_page() {
    let report = Report { runs: vec![Run::default()], ..Default::default() };
    assert!(report.html().unwrap().contains("Recipe"));
    assert!(Report::default().html().is_ok());
    let wrong = Report {
        runs: vec![Run::default()],
        details: vec![Detail { run: 3, ..Default::default() }],
        ..Default::default()
    };
    assert!(wrong.html().is_err());
}

#[test]
fn a_report_of_the_environment_opens_without_errors() {
    let Some(file) = std::env::var_os("QARE_CHECK_REPORT").map(PathBuf::from) else { return };
    let page = std::fs::read_to_string(&file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    if let Some(found) = opened(&page, folder.path()) {
        assert_sound(&found);
        println!("{found}");
    }
}
