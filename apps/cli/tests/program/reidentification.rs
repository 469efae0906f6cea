//! `qare retrieve` on datasets with cameras: the protocol of re-identification, and drawings between drawers.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tempfile::tempdir;

use crate::driving::{RunFolder, Snapshot, fails, qare, succeeds, text, tiny_run};

/// An image of a person, as its file name tells.
#[derive(Clone)]
struct Seen {
    identity: String,
    camera: u32,
    is_query: bool,
    features: Vec<f64>,
}

/// Draws upright images of `(identity, camera)` into a folder, all different: an identity has its colours and a camera its light.
fn photographs(folder: &Path, extension: &str, of: &[(&str, u32)]) {
    fs::create_dir_all(folder).unwrap();
    for (number, (identity, camera)) in of.iter().enumerate() {
        let key = identity.bytes().fold(7, |key, byte| key * 31 + u64::from(byte));
        let (mut colours, mut noise) = (ChaCha8Rng::seed_from_u64(key), ChaCha8Rng::seed_from_u64(number as u64 + 100));
        let bands: Vec<[i32; 3]> = (0..4).map(|_| [(); 3].map(|()| colours.random_range(60..200))).collect();
        let image = RgbImage::from_fn(16, 32, |_, y| {
            Rgb(bands[y as usize / 8]
                .map(|value| (value + 12 * *camera as i32 + noise.random_range(-50..50)).clamp(0, 255) as u8))
        });
        image.save(folder.join(format!("{identity}_c{camera}s1_{number:06}_00.{extension}"))).unwrap();
    }
}

/// Writes the three folders in the layout of Market-1501.
fn dataset(root: &Path, extension: &str, queries: &[(&str, u32)], gallery: &[(&str, u32)]) {
    let train = [("0100", 1), ("0100", 2), ("0101", 1), ("0101", 3)];
    for (name, images) in [("bounding_box_train", &train[..]), ("query", queries), ("bounding_box_test", gallery)] {
        photographs(&root.join(name), extension, images);
    }
}

fn retrieve(run: &RunFolder, dataset: &str, data: &Path) -> std::process::Command {
    let mut call = qare(&["retrieve", text(run.path()), "--dataset", dataset, "--data-dir", text(data)]);
    call.args(["--image-size", "32"]);
    call
}

/// The features that `embed` writes of the test images, with what their file names say.
fn seen(run: &RunFolder, dataset: &str, data: &Path, out: &Path, read: fn(&str) -> (String, u32)) -> Vec<Seen> {
    let file = out.join("features.npy");
    let mut call = qare(&["embed", "--checkpoint", text(run.path()), "--dataset", dataset, "--data-dir", text(data)]);
    succeeds(call.args(["--image-size", "32", "--split", "test", "--output", text(&file)]));
    let bytes = fs::read(&file).unwrap();
    let values: Vec<f64> =
        bytes[128..].chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap()).into()).collect();
    let names = fs::read_to_string(file.with_extension("files.txt")).unwrap();
    let rows = values.chunks_exact(values.len() / names.lines().count());
    rows.zip(names.lines())
        .map(|(row, name)| {
            let (identity, camera) = read(name.rsplit('/').next().unwrap());
            // For drawings, the character is the folder.
            let identity = if identity.is_empty() { name.rsplit_once('/').unwrap().0.to_owned() } else { identity };
            Seen { identity, camera, is_query: name.contains("query/"), features: row.to_vec() }
        })
        .collect()
}

/// Identity and camera of a photograph: `0001_c2s1_000003_00.jpg`.
fn of_photograph(name: &str) -> (String, u32) {
    let (identity, rest) = name.split_once("_c").unwrap();
    (identity.to_owned(), rest[..1].parse().unwrap())
}

/// The drawer of `0001_03.png`.
fn of_drawing(name: &str) -> (String, u32) {
    (String::new(), name.split_once('_').unwrap().1.trim_end_matches(".png").parse().unwrap())
}

/// The most that a cosine of 64 features in f32 differs from the exact one: a rounding of each factor, product and sum, of terms that are not
/// negative and sum to 1 at most.
const ROUNDING: f64 = 70.0 / (1 << 24) as f64;

/// CMC at each of `ks` and mAP, in percent, and the number of queries that count, literally: for each query, all that is searched is sorted, and
/// images of its identity from its camera are passed over. `favour` is added to the cosines of right images.
fn literal(
    queries: &[&Seen],
    gallery: &[&Seen],
    ks: &[usize],
    camera_rule: bool,
    favour: f64,
) -> (Vec<f64>, f64, usize) {
    let cosine = |one: &Seen, other: &Seen| {
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (one, other) = (&one.features, &other.features);
        product(one, other) / (product(one, one) * product(other, other)).sqrt()
    };
    let (mut hits, mut precision, mut counted) = (vec![0usize; ks.len()], 0.0, 0);
    for query in queries {
        let mut ranked: Vec<(f64, bool)> = Vec::new();
        for image in gallery {
            let same = image.identity == query.identity;
            if !(std::ptr::eq(*image, *query) || camera_rule && same && image.camera == query.camera) {
                ranked.push((cosine(query, image) + if same { favour } else { 0.0 }, same));
            }
        }
        ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
        let right: Vec<usize> = (1..).zip(&ranked).filter(|(_, (_, same))| *same).map(|(rank, _)| rank).collect();
        if right.is_empty() {
            continue;
        }
        counted += 1;
        for (hit, k) in hits.iter_mut().zip(ks) {
            *hit += usize::from(right[0] <= *k);
        }
        let mean = (1..).zip(&right).map(|(found, rank)| f64::from(found) / *rank as f64).sum::<f64>();
        precision += mean / right.len() as f64;
    }
    let share = |count: f64| 100.0 * count / counted as f64;
    (hits.iter().map(|hit| share(*hit as f64)).collect(), share(precision), counted)
}

/// Asserts that figures at `ks`, under `name`, and mAP are literal ones, as far as rounding decides the order, and that the rule about cameras makes
/// a difference. Returns the number of queries that count.
fn assert_literal(found: &Value, name: &str, queries: &[&Seen], gallery: &[&Seen], ks: &[usize]) -> usize {
    let (least, most) =
        (literal(queries, gallery, ks, true, -2.0 * ROUNDING), literal(queries, gallery, ks, true, 2.0 * ROUNDING));
    let between = |found: &Value, least: f64, most: f64, what: &str| {
        let found = found.as_f64().unwrap_or_else(|| panic!("{what}: {found}"));
        assert!(least - 1e-9 <= found && found <= most + 1e-9, "{what}: {found} is not from {least} to {most}");
    };
    for (place, k) in ks.iter().enumerate() {
        between(&found[name][k.to_string()], least.0[place], most.0[place], &format!("{name}@{k}"));
    }
    between(&found["map"], least.1, most.1, "mAP");
    assert_eq!(found[name].as_object().unwrap().len(), ks.len());
    let without = literal(queries, gallery, ks, false, -2.0 * ROUNDING).1;
    let decided = most.1 - least.1 < 2.0 && !(least.1 - 2.0..most.1 + 2.0).contains(&without);
    assert!(decided, "{} to {}, and {without} without the rule", least.1, most.1);
    least.2
}

/// Six people at three cameras, distractors and junk. Person 0006 has no image from another camera than the query's, person 0007 only junk, and
/// person 0008 is not in the gallery.
const QUERIES: [(&str, u32); 9] = [
    ("0001", 1),
    ("0002", 1),
    ("0002", 2),
    ("0003", 3),
    ("0004", 1),
    ("0005", 2),
    ("0006", 1),
    ("0007", 1),
    ("0008", 2),
];
const GALLERY: [(&str, u32); 21] = [
    ("0001", 1),
    ("0001", 1),
    ("0001", 2),
    ("0001", 3),
    ("0002", 1),
    ("0002", 2),
    ("0002", 3),
    ("0003", 1),
    ("0003", 1),
    ("0003", 3),
    ("0004", 1),
    ("0004", 1),
    ("0004", 2),
    ("0005", 2),
    ("0005", 3),
    ("0006", 1),
    ("0006", 1),
    ("-1", 2),
    ("-1", 3),
    ("0000", 2),
    ("0000", 1),
];

#[test]
fn queries_search_the_gallery_as_their_protocol_says() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    for (name, extension, folder) in
        [("market1501", "jpg", "Market-1501-v15.09.15"), ("cuhk03", "png", "cuhk03-np/detected")]
    {
        let data = out.path().join(name);
        dataset(&data.join(folder), extension, &QUERIES, &GALLERY);
        let table = succeeds(&mut retrieve(&run, name, &data));
        let head =
            format!("retrieval of 9 queries of {name} across cameras among 19 images of the gallery, 64 features\n");
        assert!(table.contains(&head), "{table}");
        for word in
            ["CMC@1 ", "CMC@5 ", "CMC@10 ", "mAP ", "note: 3 queries have no image of their class from another camera"]
        {
            assert!(table.contains(word), "{word}: {table}");
        }
        for word in ["Recall", "R-precision", "NMI", "not used"] {
            assert!(!table.contains(word), "{word}: {table}");
        }
        let found = run.results()[format!("retrieve_{name}")].clone();
        let images = seen(&run, name, &data, out.path(), of_photograph);
        let (queries, gallery): (Vec<&Seen>, Vec<&Seen>) = images.iter().partition(|image| image.is_query);
        assert_eq!((queries.len(), gallery.len()), (9, 19), "junk is left out");
        let counted = assert_literal(&found, "cmc", &queries, &gallery, &[1, 5, 10]);
        let numbers = ["queries", "left_out", "searched", "classes"].map(|key| found[key].as_u64().unwrap());
        assert_eq!((numbers, counted), ([6, 3, 19, 9], 6));
        assert_eq!((&found["protocol"], found.get("recall")), (&"queries_and_gallery".into(), None));
        let json = succeeds(retrieve(&run, name, &data).args(["--json", "--at", "2"]));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_literal(&json, "cmc", &queries, &gallery, &[2]);
    }
}

#[test]
fn what_no_camera_can_find_is_said() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let photographs = |name: &str, queries: &[(&str, u32)], gallery: &[(&str, u32)]| {
        let data = out.path().join(name);
        dataset(&data, "jpg", queries, gallery);
        data
    };
    let one_camera = photographs("one_camera", &[("0001", 1), ("0002", 1)], &[("0001", 1), ("0002", 1), ("0002", 1)]);
    let own_camera = photographs("own_camera", &[("0001", 1), ("0002", 2)], &[("0001", 1), ("0001", 1), ("0002", 2)]);
    let strangers = photographs("strangers", &[("0001", 1), ("0002", 2)], &[("0003", 1), ("0003", 2), ("0000", 2)]);
    let junk = photographs("junk", &[("0001", 1), ("0001", 2), ("0002", 2)], &[("-1", 1), ("-1", 2)]);
    let before = Snapshot::of(out.path());
    let needed = "needs a query with an image of its class from another camera";
    for (data, words) in [
        (&one_camera, [needed, "all test images are from camera 1"]),
        (&own_camera, [needed, "none of the 2 queries has one"]),
        (&strangers, [needed, "none of the 2 queries has one"]),
        (&junk, [needed, "no images of the gallery among the 3 test images"]),
    ] {
        fails(&mut retrieve(&run, "market1501", data), 2, &words);
    }
    before.assert_unchanged(out.path());
}

/// Writes drawings of four characters by five people. Drawer 2 drew each twice, and almost the same.
fn drawings(alphabet: &Path) {
    for character in 1..=4u64 {
        let folder = alphabet.join(format!("character{character:02}"));
        fs::create_dir_all(&folder).unwrap();
        for (drawer, copy) in [(1, 0), (2, 0), (2, 1), (3, 0), (4, 0), (5, 0)] {
            let mut draw = ChaCha8Rng::seed_from_u64(100 * character + drawer);
            let (slope, shade) = (draw.random_range(1..8u64), draw.random_range(0..120u8));
            let image = image::GrayImage::from_fn(105, 105, |x, y| {
                let stroke = (u64::from(x) * slope + u64::from(y) + copy) % 20 < 3 * character;
                image::Luma([if stroke { shade } else { 255 }])
            });
            image.save(folder.join(format!("{:04}_{drawer:02}.png", 100 * copy + character))).unwrap();
        }
    }
}

#[test]
fn drawings_are_searched_between_drawers() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    let run = tiny_run(out.path(), 1);
    drawings(&data.path().join("images_background_small1/Greek"));
    drawings(&data.path().join("images_background_small2/Tagalog"));
    let table = succeeds(&mut retrieve(&run, "omniglot", data.path()));
    let head = "retrieval between drawers among 24 test images of 4 classes of omniglot, 64 features\n";
    assert!(table.contains(head) && table.contains("Recall@8 ") && table.contains("NMI "), "{table}");
    let found = &run.results()["retrieve_omniglot"];
    assert_eq!(found["protocol"], "across_cameras");
    let images = seen(&run, "omniglot", data.path(), out.path(), of_drawing);
    let all: Vec<&Seen> = images.iter().collect();
    assert_literal(found, "recall", &all, &all, &[1, 2, 4, 8]);
    assert_eq!(found["queries"], 24);
}

#[test]
fn products_are_reported_at_1_to_1000() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let data = out.path().join("Stanford_Online_Products");
    fs::create_dir_all(data.join("lamp_final")).unwrap();
    for (list, products) in [("Ebay_train.txt", 1..=2), ("Ebay_test.txt", 3..=5)] {
        let mut lines = "image_id class_id super_class_id path\n".to_owned();
        for (product, number) in products.flat_map(|product| (0..3).map(move |number| (product, number))) {
            let name = format!("lamp_final/{product:012}_{number}.JPG");
            let grey = |x: u32, y: u32| image::Luma([((x * product + y * 7 + number * 11) % 256) as u8]);
            let photograph = image::GrayImage::from_fn(40, 40, grey);
            photograph.save_with_format(data.join(&name), image::ImageFormat::Jpeg).unwrap();
            lines += &format!("{number} {product} 1 {name}\n");
        }
        fs::write(data.join(list), lines).unwrap();
    }
    succeeds(&mut retrieve(&run, "sop", &data));
    let found = run.results()["retrieve_sop"].clone();
    let ks: Vec<&String> = found["recall"].as_object().unwrap().keys().collect();
    assert_eq!(ks, ["1", "10", "100", "1000"]);
    assert_eq!((&found["recall"]["1000"], &found["protocol"]), (&100.0.into(), &"among_others".into()));
}
