//! `qare report` writes one page on runs, and `qare card` a model card.

use std::fs;
use std::path::Path;
use std::process::Command;

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use qare::{QareConfig, SetTerm, SimilarityFloor, Views};
use qare_report::analysis::{Rows, SetBound};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tempfile::tempdir;

use crate::driving::{Snapshot, assert_nothing_half_written, fails, qare, succeeds, text, tiny, tiny_run};

/// The JSON that the page holds for its script.
fn data_of(page: &str) -> Value {
    let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    serde_json::from_str(data).expect("JSON")
}

fn report(arguments: &[&str], out: &Path) -> String {
    let mut call = qare(&["report"]);
    succeeds(call.args(arguments).args(["--out", text(out)]));
    let page = fs::read_to_string(out).unwrap();
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    let own = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!own.contains("http:") && !own.contains("https:"), "the page names an address");
    page
}

#[test]
fn a_run_has_a_page_with_everything_it_has_learned() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 2);
    let (file, pictures) = (out.path().join("report.html"), out.path().join("pictures"));
    let before = Snapshot::of(run.path());
    let page = report(&[text(run.path()), "--points", "100", "--pictures", text(&pictures)], &file);
    before.assert_unchanged(run.path());
    for part in ["Learning curves", "Nearest neighbours", "Confusion matrix", "RankMe", "set term", "kNN-16 among 16"] {
        assert!(page.contains(part), "{part}");
    }
    let data = data_of(&page);
    let plots: Vec<&Value> = data["plots"].as_object().unwrap().values().collect();
    let of_kind = |kind: &str| plots.iter().filter(|plot| plot["kind"] == kind).collect::<Vec<_>>();
    // Columns of the log but the epoch, singular values, eigenvalues.
    assert_eq!(of_kind("lines").len(), run.read("log.csv").lines().next().unwrap().split(',').count() - 1 + 2);
    assert_eq!((of_kind("map").len(), of_kind("matrix").len()), (1, 1));
    assert_eq!(of_kind("map")[0]["rows"].as_array().unwrap().len(), 100);
    let counts = of_kind("matrix")[0]["counts"].as_array().unwrap();
    assert_eq!(counts.iter().filter_map(Value::as_u64).sum::<u64>(), 1000, "every test image is counted");
    // The loss of the log is that of the curve.
    let loss: f64 = run.read("log.csv").lines().nth(2).unwrap().split(',').nth(1).unwrap().parse().unwrap();
    let curve =
        of_kind("lines").into_iter().find(|plot| (plot["lines"][0]["y"][1].as_f64().unwrap() - loss).abs() < 1e-3);
    assert!(curve.is_some(), "{loss}");
    let names: Vec<String> =
        fs::read_dir(&pictures).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with(".svg")).count(), plots.len() + 2, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with(".png")).count(), 1, "{names:?}");
    assert_nothing_half_written(out.path());
    let again = report(&[text(run.path()), "--points", "100"], &file);
    assert_eq!(data_of(&again), data, "the same run gives the same page");

    // The linear classifier of the run predicts once there is one: with the accuracy that the probe reports.
    succeeds(&mut qare(&["probe", "--checkpoint", text(run.path()), "--epochs", "2", "--no-tui"]));
    let page = report(&[text(run.path()), "--map", "pca"], &file);
    let accuracy = run.results()["probe"]["test_accuracy"].as_f64().unwrap();
    assert!(page.contains(&format!("the linear classifier of the run: {accuracy:.2} % of 1000 images")), "{accuracy}");
    assert!(page.contains(&format!("<td class=\"number\">{accuracy:.2}</td>")));
}

#[test]
fn runs_of_other_seeds_are_one_row_and_one_line() {
    let out = tempdir().unwrap();
    for seed in ["1", "2", "3"] {
        succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--seed", seed, "--id", seed]));
    }
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--method", "simclr"]));
    let file = out.path().join("page.html");
    let page = report(&[text(&out), "--no-images", "--title", "<b>mine</b>"], &file);
    assert!(page.contains("<h1>&lt;b&gt;mine&lt;/b&gt;</h1>"));
    assert!(page.contains("<td>1, 2, 3</td>") && page.contains(" ± "), "three seeds have a deviation");
    let data = data_of(&page);
    let plot = data["plots"].as_object().unwrap().values().next().unwrap();
    let names: Vec<&str> =
        plot["lines"].as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["simclr", "sparseclr_qare"]);
}

#[test]
fn wrong_calls_of_report_and_card_write_nothing() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    let page = out.path().join("page.html");
    let call = |arguments: &[&str]| {
        let mut call = qare(&["report"]);
        call.args(arguments);
        call
    };
    fails(&mut call(&[text(run.path())]), 2, &["--out"]);
    fails(&mut call(&["--out", text(&page)]), 2, &["RUN"]);
    fails(&mut call(&[text(run.path()), "--out", "page.pdf"]), 2, &["--out page.pdf", ".html"]);
    let none = out.path().join("none");
    fails(&mut call(&[text(&none), "--out", text(&page)]), 2, &["there is no folder"]);
    fails(&mut call(&[text(run.path()), "--out", text(&none.join("page.html"))]), 2, &["--out", "exists"]);
    fails(&mut call(&[text(run.path()), "--out", text(&page), "--points", "0"]), 2, &["--points"]);
    let folder = run.file("recipe.toml");
    fails(&mut call(&[text(&folder), "--out", text(&page)]), 2, &["there is no folder"]);
    fails(&mut qare(&["card", text(&out)]), 2, &["is not a run folder"]);
    before.assert_unchanged(out.path());
    fs::write(run.file("log.csv"), "epoch,loss\n1,x\n").unwrap();
    fails(&mut call(&[text(run.path()), "--out", text(&page), "--no-images"]), 1, &["log.csv is damaged", "line 2"]);
    assert!(!page.exists());
}

#[test]
fn a_card_is_printed_or_written() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let printed = succeeds(&mut qare(&["card", text(run.path())]));
    for part in ["# sparseclr_qare_shapes_conv4_8", "[licence]", "| training images | 16 |", "qare pretrain", "```toml"]
    {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    let file = out.path().join("CARD.md");
    succeeds(&mut qare(&["card", text(run.path()), "--out", text(&file)]));
    assert_eq!(fs::read_to_string(&file).unwrap(), printed);
    fails(&mut qare(&["card", text(run.path()), "--out", text(&run.file("recipe.toml"))]), 2, &["belongs to a run"]);
    // Its owner has filled it in.
    fs::write(&file, "mine").unwrap();
    fails(&mut qare(&["card", text(run.path()), "--out", text(&file)]), 2, &["CARD.md: exists"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn the_commands_of_a_card_are_read_by_a_shell() {
    let out = tempdir().unwrap();
    let place = out.path().join("it's <b> & é");
    let run = tiny_run(&place, 1);
    succeeds(&mut qare(&["probe", "--checkpoint", text(run.path()), "--no-tui"]));
    let printed = succeeds(&mut qare(&["card", text(run.path())]));
    let line = |start: &str| {
        let line = printed.lines().find(|line| line.split(' ').any(|word| word == start));
        line.unwrap_or_else(|| panic!("{start} is not in\n{printed}"))
    };
    for start in ["pretrain", "probe", "embed", "export"] {
        // The shell itself tells the words.
        let words = Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {}", line(start))).output().unwrap();
        let words = String::from_utf8(words.stdout).unwrap();
        let named = if start == "pretrain" { text(&place) } else { text(run.path()) };
        assert!(words.lines().any(|word| word == named), "{start}: {words}");
    }
}

#[test]
fn figures_and_logs_do_not_tell_runs_apart() {
    let out = tempdir().unwrap();
    for (seed, flags) in [("1", &["--figures", "none"][..]), ("2", &["--logger", "jsonl"]), ("3", &["--beta", "0.25"])]
    {
        succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--seed", seed, "--id", seed]).args(flags));
    }
    let page = out.path().join("page.html");
    succeeds(&mut qare(&["report", text(&out), "--out", text(&page), "--no-images"]));
    let page = fs::read_to_string(&page).unwrap();
    assert!(!page.contains("logger ["), "{page}");
    assert!(page.contains("beta 0.25") && !page.replace("--figures none", "").contains("figures none"), "{page}");
}

/// The page computes the set term and its bound in f64 from plain numbers.
#[test]
fn the_set_term_of_a_page_is_that_of_the_objective() {
    let (count, dim) = (40, 6);
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    let mut next = || f64::from(generator.next_u32()) / f64::from(u32::MAX) - 0.4;
    let sets: [Vec<f32>; 2] = [(); 2].map(|()| (0..count * dim).map(|_| next() as f32).collect());
    let tensor = |values: &Vec<f32>| {
        Tensor::<Flex, 2>::from_data(TensorData::new(values.clone(), [count, dim]), &Default::default())
    };
    for (floor, least) in [(SimilarityFloor::Epsilon, Some(qare::SIMILARITY_FLOOR)), (SimilarityFloor::None, None)] {
        let [first, second] = sets.each_ref().map(|values| Rows::new(values, dim).unwrap());
        let found = SetBound::of(&first, &second, least).unwrap();
        for (term, found) in [(SetTerm::Spectral, found.spectral), (SetTerm::Frobenius, found.frobenius)] {
            let objective = QareConfig::new().with_similarity_floor(floor).with_set_term(term).init();
            let rows = Views::interleave(tensor(&sets[0]), tensor(&sets[1])).unwrap();
            let expected: f32 = objective.forward(rows, Views::PAIR).unwrap().into_scalar();
            // The objective computes in f32.
            assert!((found / f64::from(expected) - 1.0).abs() < 1e-5, "{term}: {found} is not {expected}");
        }
    }
}
