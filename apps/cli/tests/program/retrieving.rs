//! `qare retrieve` prints the figures of retrieval and records them.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::driving::{Snapshot, fails, qare, succeeds, text, tiny_run};

/// The figure of a line of the table.
fn printed(output: &str, name: &str) -> f64 {
    let line = output.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {output}"));
    line.trim().strip_suffix(" %").expect("percent").parse().expect("a number")
}

/// Writes images of one colour each: `(class, colours)`.
fn write_images(folder: &Path, classes: &[(&str, &[[u8; 3]])]) {
    for (class, colours) in classes {
        let folder = folder.join(class);
        fs::create_dir_all(&folder).unwrap();
        for (number, colour) in colours.iter().enumerate() {
            let image = image::RgbImage::from_pixel(16, 16, image::Rgb(*colour));
            image.save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
}

#[test]
fn figures_are_printed_and_recorded() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let printed_table = succeeds(&mut qare(&["retrieve", text(run.path())]));
    let found = &run.results()["retrieve"];
    assert!(printed_table.starts_with("retrieval among 1000 test images of 10 classes of shapes, 64 features\n"));
    let figure = |value: &Value| value.as_f64().expect("a number");
    let recall: Vec<f64> = ["1", "2", "4", "8"].iter().map(|k| figure(&found["recall"][*k])).collect();
    assert!(recall.is_sorted() && recall[0] > 10.0 && recall[3] <= 100.0, "{recall:?}");
    for (name, value) in [
        ("Recall@1 ", recall[0]),
        ("Recall@8 ", recall[3]),
        ("R-precision", figure(&found["r_precision"])),
        ("MAP@R", figure(&found["map_at_r"])),
        ("mAP", figure(&found["map"])),
        ("NMI", figure(&found["nmi"])),
    ] {
        assert!((printed(&printed_table, name) - value).abs() < 0.0051, "{name}: {printed_table}");
    }
    assert_eq!((&found["queries"], &found["left_out"], &found["epoch"]), (&1000.into(), &0.into(), &1.into()));
    assert!(run.results()["pretrain"]["loss"].is_number(), "the figures of stage 1 stay");

    // JSON alone on standard output, and the same figures from the file, by the flag.
    let json = succeeds(&mut qare(&["retrieve", "--checkpoint", text(&run.weights(1)), "--json", "--at", "1,100"]));
    let again: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(again["recall"]["1"], recall[0]);
    assert!(figure(&again["recall"]["100"]) >= recall[3]);
    assert_eq!(again["nmi"], found["nmi"]);
    assert_eq!(run.results()["retrieve"], again);
}

#[test]
fn images_of_another_folder_are_searched() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let photos = out.path().join("photos");
    let colours: [&[[u8; 3]]; 4] =
        [&[[250, 0, 0], [240, 0, 0]], &[[0, 250, 0], [0, 240, 0]], &[[0, 0, 250]], &[[9, 9, 9]]];
    write_images(&photos.join("train"), &[("red", colours[0]), ("green", colours[1]), ("blue", colours[2])]);
    write_images(&photos.join("test"), &[("red", colours[0]), ("green", colours[1]), ("blue", colours[2])]);
    let mut call =
        qare(&["retrieve", text(run.path()), "--dataset", "folder", "--data-dir", text(&photos), "--at", "1,3"]);
    let table = succeeds(&mut call);
    assert!(table.contains("retrieval among 5 test images of 3 classes of folder in "), "{table}");
    assert!(table.contains("note: 1 images are the only ones of their class"), "{table}");
    let found = &run.results()["retrieve_folder"];
    assert_eq!((&found["queries"], &found["left_out"]), (&4.into(), &1.into()));
    assert!(run.results().get("retrieve").is_none());
}

#[test]
fn what_cannot_be_searched_is_said() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let photos = |name: &str, test: &[(&str, &[[u8; 3]])]| {
        let folder = out.path().join(name);
        write_images(&folder.join("train"), &[("red", &[[250, 0, 0]]), ("green", &[[0, 250, 0]])]);
        write_images(&folder.join("test"), test);
        folder
    };
    let one_class = photos("one_class", &[("red", &[[250, 0, 0], [240, 0, 0]])]);
    let lone = photos("lone", &[("red", &[[250, 0, 0]]), ("green", &[[0, 250, 0]])]);
    let unlabelled = photos("unlabelled", &[("", &[[250, 0, 0], [240, 0, 0]])]);
    let before = Snapshot::of(out.path());
    for (folder, words) in [
        (&one_class, ["one class `red`", "two classes"]),
        (&lone, ["the only one of its class", "two images of a class"]),
        (&unlabelled, ["no labels", "qare embed"]),
    ] {
        fails(&mut qare(&["retrieve", text(run.path()), "--dataset", "folder", "--data-dir", text(folder)]), 2, &words);
    }
    fails(&mut qare(&["retrieve", text(run.path()), "--at", "1,0"]), 2, &["--at 0"]);
    let picture = |file: &str, queries: &str| {
        let file = out.path().join(file);
        qare(&["retrieve", text(run.path()), "--picture", text(&file), "--queries", queries])
    };
    fails(&mut picture("neighbours.jpg", "4"), 2, &["neighbours.jpg", ".png"]);
    fails(&mut picture("missing/neighbours.png", "4"), 2, &["--picture", "folder that exists"]);
    fails(&mut picture("neighbours.png", "0"), 2, &["--queries 0", "from 1 to 100"]);
    fails(&mut picture("neighbours.png", "101"), 2, &["--queries 101"]);
    fails(&mut qare(&["retrieve", text(run.path()), "--queries", "3"]), 2, &["--picture"]);
    fails(&mut qare(&["retrieve", text(run.path()), "--backbone", "resnet8"]), 2, &["--backbone resnet8"]);
    let missing = out.path().join("missing");
    fails(&mut qare(&["retrieve", text(&missing)]), 2, &[text(&missing), "run folder"]);
    fails(&mut qare(&["retrieve"]), 2, &["RUN_OR_FILE"]);
    before.assert_unchanged(out.path());
}

/// How many framed images of a colour lie in the row of pixels through the middle of a row of images.
fn edges(picture: &image::RgbImage, y: u32, colour: [u8; 3]) -> usize {
    let line: Vec<bool> = (0..picture.width()).map(|x| picture.get_pixel(x, y).0 == colour).collect();
    line.windows(2).filter(|pair| pair[0] && !pair[1]).count()
}

#[test]
fn queries_and_their_nearest_images_are_drawn() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let file = out.path().join("neighbours.png");
    let draw = |flags: &[&str]| {
        let mut call = qare(&["retrieve", text(run.path()), "--picture", text(&file), "--at", "1"]);
        let printed = succeeds(call.args(flags));
        (printed, fs::read(&file).unwrap())
    };
    let (printed, bytes) = draw(&["--queries", "3"]);
    assert!(printed.contains("picture of 3 random queries and, below the line, the 3 worst saved as "), "{printed}");
    let picture = image::load_from_memory(&bytes).unwrap().to_rgb8();
    // Frames of 4, images of 96, gaps of 8 and 24: a query and 10 others, in 6 rows.
    assert_eq!(picture.dimensions(), (8 + 104 + 24 + 10 * 112, 8 + 6 * 112 + 16));
    let middle = |row: u32| 8 + row * 112 + 52 + if row >= 3 { 16 } else { 0 };
    for row in 0..6 {
        // A dash of the wrong ones lies in the middle of an edge.
        let (right, wrong) = (edges(&picture, middle(row), [0, 140, 60]), edges(&picture, middle(row), [215, 25, 28]));
        assert_eq!(right % 2 + wrong % 2, 0, "row {row}");
        assert!(right + wrong >= 18, "row {row}: {right} + {wrong}");
        assert!(row < 3 || right == 0, "the nearest ten of the worst queries are wrong: row {row}, {right}");
    }
    assert_eq!(bytes, draw(&["--queries", "3"]).1);
    assert_ne!(bytes, draw(&["--queries", "3", "--seed", "5"]).1);
    assert_eq!(image::load_from_memory(&draw(&[]).1).unwrap().height(), 8 + 16 * 112 + 16);
    // Notes are not on standard output beside JSON.
    let json: Value = serde_json::from_str(&draw(&["--json"]).0).expect("JSON");
    assert!(json["recall"]["1"].is_number());
    // A file of the run is not overwritten.
    let call = ["retrieve", text(run.path()), "--picture"];
    fails(qare(&call).arg(run.file("recipe.toml")), 2, &[".png"]);
}
