//! Recipes of any settings survive their file, and files of any text are recipes or errors.

mod cases;

use std::path::{Path, PathBuf};

use cases::cases;
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use qare::{SetTerm, SimilarityFloor};
use qare_data::{AugmentOn, DatasetName, TestClasses};
use qare_lab::loggers::LoggerName;
use qare_lab::methods::metric::TripletChoice;
use qare_lab::methods::{Aggregation, Floor, Method, MethodName};
use qare_lab::precision::Precision;
use qare_lab::recipe::{DeviceChoice, Figures, InfoMaxRecipe, KnnRecipe, Layer, ProbeRecipe, Recipe, SourceSize};
use qare_lab::training::live::LiveFigure;
use qare_models::BackboneName;

/// What TOML holds of a `usize` or a `u64`.
fn count() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0usize..1000, 1 => 0..=i64::MAX as usize]
}

fn number() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop_oneof![0.0..10.0f64, NORMAL | SUBNORMAL | ZERO | POSITIVE | NEGATIVE]
}

/// Letters of all sorts, with what TOML has to escape among them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9_./-]{0,20}",
        vec(
            prop_oneof![any::<char>(), select(&['"', '\'', '\\', '\n', '\r', '\t', '#', '=', '\u{7f}', 'é'][..])],
            0..12
        )
        .prop_map(String::from_iter),
    ]
}

fn path() -> impl Strategy<Value = PathBuf> {
    text().prop_map(PathBuf::from)
}

fn test_classes() -> impl Strategy<Value = TestClasses> {
    prop_oneof![
        count().prop_map(|count| TestClasses::Last(count.max(1))),
        (f64::MIN_POSITIVE..0.999).prop_map(TestClasses::Fraction),
        btree_set(text().prop_filter("a name", |name| !name.is_empty()), 1..5)
            .prop_map(|names| TestClasses::Names(names.into_iter().collect())),
    ]
}

fn method() -> impl Strategy<Value = MethodName> {
    let own = "[a-z][a-z0-9_-]{0,20}".prop_filter_map("a name of this crate", |name| {
        name.parse::<Method>().is_err().then_some(MethodName::Custom(name))
    });
    prop_oneof![4 => select(Method::ALL).prop_map(MethodName::from), 1 => own]
}

fn device() -> impl Strategy<Value = DeviceChoice> {
    prop_oneof![Just(DeviceChoice::Cpu), count().prop_map(DeviceChoice::Number)]
}

fn source_size() -> impl Strategy<Value = SourceSize> {
    prop_oneof![Just(SourceSize::Square), count().prop_map(SourceSize::Pixels)]
}

fn floor() -> impl Strategy<Value = Floor> {
    select(&[Floor(SimilarityFloor::Epsilon), Floor(SimilarityFloor::None)][..])
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let names = (select(DatasetName::ALL), method(), select(&BackboneName::ALL[..]), floor());
    let choices = (select(&Aggregation::ALL[..]), select(&Precision::ALL[..]), select(&SetTerm::ALL[..]));
    let counts =
        (count(), count(), count(), count(), count(), count(), of(count()), of(count()), of(count()), of(count()));
    let numbers = (number(), number(), number(), number(), number(), number());
    let devices = (of(device()), of(vec(device(), 0..4)), any::<bool>(), select(&AugmentOn::ALL[..]));
    let files =
        (of(path()), of(path()), any::<bool>(), of(count()), path(), of(text()), any::<bool>(), of(test_classes()));
    let infomax =
        (number(), number(), number()).prop_map(|(local, global, prior)| InfoMaxRecipe { local, global, prior });
    let knn = (count(), number(), count(), count()).prop_map(|(neighbours, temperature, held_out, bank)| KnnRecipe {
        neighbours,
        temperature,
        held_out,
        bank,
    });
    let probe = (of(count()), count(), count(), number(), of(select(DatasetName::ALL)), any::<bool>(), any::<bool>())
        .prop_map(|(seed, epochs, batch_size, learning_rate, dataset, finetune, augment)| ProbeRecipe {
            seed: seed.map(|seed| seed as u64),
            epochs,
            batch_size,
            learning_rate,
            dataset,
            finetune,
            augment,
        });
    let of_losses = (of(number()), of(number()), of(number()), of(number()), of(number()));
    let metric = (count(), select(&TripletChoice::ALL[..]), of(number()), number(), any::<bool>(), of_losses);
    let watched = (
        vec(select(&LiveFigure::ALL[..]), 0..4).prop_map(Figures::from_iter),
        btree_set(0..LoggerName::ALL.len(), 0..3)
            .prop_map(|chosen| chosen.into_iter().map(|at| LoggerName::ALL[at]).collect()),
    );
    let metric = (metric, watched, of(source_size()));
    (names, choices, counts, numbers, devices, files, infomax, knn, probe, metric).prop_map(
        |(names, choices, counts, numbers, devices, files, infomax, knn, probe, (metric, watched, source_size))| {
            Recipe {
                base: None,
                dataset: names.0,
                method: names.1,
                backbone: names.2,
                similarity_floor: names.3,
                aggregation: choices.0,
                precision: choices.1,
                set_term: choices.2,
                seed: counts.0 as u64,
                batch_size: counts.1,
                views: counts.2,
                epochs: counts.3,
                outter_fs: counts.4,
                num_workers: counts.5,
                clusters: counts.6,
                image_size: counts.7,
                source_size,
                train_images: counts.8,
                test_images: counts.9,
                test_classes: files.7,
                alpha: numbers.0,
                beta: numbers.1,
                temperature: numbers.2,
                margin: numbers.3,
                learning_rate: numbers.4,
                momentum: numbers.5,
                device: devices.0,
                gpus: devices.1,
                local_batch_norm: devices.2,
                augment_on: devices.3,
                checkpoint: files.0,
                data_dir: files.1,
                skip_broken: files.2,
                max_pixels: files.3.map(|pixels| pixels as u64),
                out: files.4,
                id: files.5,
                compare_untrained: files.6,
                images_per_identity: metric.0,
                triplets: metric.1,
                proxy_rate: metric.2,
                positive_margin: metric.5.0,
                scale: metric.5.1,
                positive_scale: metric.5.2,
                negative_scale: metric.5.3,
                base_similarity: metric.5.4,
                validation_share: metric.3,
                freeze_batch_norm: metric.4,
                figures: watched.0,
                logger: watched.1,
                infomax,
                knn,
                probe,
            }
        },
    )
}

/// A file `NAME.toml` with this text.
fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}

/// Pieces that recipes are made of, right and wrong ones.
fn pieces() -> impl Strategy<Value = String> {
    let piece = select(
        &[
            "epochs = ",
            "seed = ",
            "K = ",
            "views = ",
            "batch_size = ",
            "data_size = ",
            "method = ",
            "dataset = ",
            "alpha = ",
            "device = ",
            "gpus = ",
            "gpu = ",
            "similarity_floor = ",
            "set_term = ",
            "augment_on = ",
            "source_size = ",
            "base = ",
            "out = ",
            "id = ",
            "[probe]",
            "[knn]",
            "[infomax]",
            "[[probe]]",
            "probe.epochs = ",
            "probe = {",
            "epochs",
            "3",
            "-1",
            "1e-8",
            "1e999",
            "nan",
            "-inf",
            "0x10",
            "9223372036854775807",
            "9223372036854775808",
            "true",
            "\"simclr\"",
            "\"none\"",
            "\"cpu\"",
            "'shapes'",
            "\"\"\"",
            "[0, 1]",
            "[",
            "]",
            "}",
            "=",
            ".",
            ",",
            "\n",
            "\n",
            "\n",
            " ",
            "# ",
            "\u{feff}",
            "\0",
            "1979-05-27T07:32:00Z",
            "\"\\u0000\"",
            "\"\\",
            "é",
        ][..],
    );
    vec(prop_oneof![8 => piece.prop_map(str::to_owned), 1 => text()], 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_recipe_survives_its_file(recipe in recipe()) {
        let text = recipe.to_toml();
        prop_assert_eq!(&Recipe::parse(&text).unwrap(), &recipe);
        // Again, to the letter.
        prop_assert_eq!(Recipe::parse(&text).unwrap().to_toml(), text.clone());
        let differences = Recipe::parse(&text).unwrap().differences(&recipe);
        prop_assert!(differences.is_empty(), "{:?}", differences);
    }

    /// Through layers, where paths count from the file's folder.
    #[test]
    fn a_recipe_survives_its_file_in_layers(recipe in recipe()) {
        let folder = tempfile::tempdir().unwrap();
        let file = written(folder.path(), "whole", &recipe.to_toml());
        let of_layers = Recipe::layers(&file).map_err(|error| error.to_string()).and_then(|layer| Recipe::of_layers([layer]));
        if let MethodName::Custom(name) = &recipe.method {
            // Only a program that has it knows it.
            prop_assert!(of_layers.unwrap_err().contains(name.as_str()));
            return Ok(());
        }
        let mut found = of_layers.unwrap();
        for (path, expected) in [(&mut found.checkpoint, &recipe.checkpoint), (&mut found.data_dir, &recipe.data_dir)] {
            prop_assert_eq!(path.is_some(), expected.is_some());
            if expected.as_ref().is_some_and(|path| !path.starts_with("~")) {
                prop_assert_eq!(path.clone(), expected.as_ref().map(|path| folder.path().join(path)));
            }
            path.clone_from(expected);
        }
        found.out.clone_from(&recipe.out);
        prop_assert_eq!(found, recipe);
    }

    /// Whether a run can work with it is said, in words that name a setting.
    #[test]
    fn any_recipe_is_fit_for_a_run_or_an_error(recipe in recipe()) {
        if let Err(error) = recipe.validate() {
            prop_assert_eq!(error.exit_code(), 2);
            let told = error.to_string();
            let names = toml::Table::try_from(Recipe { clusters: Some(2), ..recipe }).unwrap();
            let more = ["image_size", "source_size", "gpus", "seed", "train_images", "test_images", "test_classes", "checkpoint", "max_pixels", "id ", "a path"];
            prop_assert!(names.keys().map(String::as_str).chain(more).any(|name| told.contains(name)), "{}", told);
        }
    }

    #[test]
    fn any_text_is_a_recipe_or_an_error(text in prop_oneof![pieces(), text()]) {
        let folder = tempfile::tempdir().unwrap();
        let file = written(folder.path(), "any", &text);
        let layers = Recipe::layers(&file);
        match Recipe::parse(&text) {
            Ok(recipe) => {
                // What a file says fits into a file. Compared as text, for NaN is not itself; and without what is only in a file.
                let kept = Recipe { base: None, ..recipe }.to_toml();
                prop_assert_eq!(Recipe::parse(&kept).unwrap().to_toml(), kept);
            }
            Err(told) => {
                prop_assert!(!told.trim().is_empty());
                prop_assert!(layers.is_err());
            }
        }
        match layers {
            // A value may not be one of its setting, as the name of no method is.
            Ok(layer) => drop(Recipe::of_layers([layer]).map(|recipe| recipe.validate())),
            Err(error) => {
                prop_assert_eq!(error.exit_code(), 2);
                prop_assert!(error.to_string().contains("any.toml"), "{}", error);
            }
        }
    }

    /// A slip of the finger is told by its name, at the top and in tables.
    #[test]
    fn unknown_settings_are_named(recipe in recipe(), name in "[a-z]{1,12}_x", table in select(&["", "probe", "knn", "infomax"][..])) {
        let mut all: Layer = recipe.to_toml().parse().unwrap();
        let into = if table.is_empty() { &mut all } else { all[table].as_table_mut().unwrap() };
        into.insert(name.clone(), 1.into());
        let told = Recipe::parse(&toml::to_string(&all).unwrap()).unwrap_err();
        prop_assert!(told.contains(&format!("unknown setting `{name}`")), "{}", told);
        // The method is looked at first.
        if matches!(recipe.method, MethodName::BuiltIn(_)) {
            let told = Recipe::of_layers([all]).unwrap_err();
            prop_assert!(told.contains(&name), "{}", told);
        }
    }

    /// Bases in chains and in circles.
    #[test]
    fn bases_of_any_kind_end(bases in vec(of(0usize..5), 5)) {
        let folder = tempfile::tempdir().unwrap();
        for (number, base) in bases.iter().enumerate() {
            let base = base.map(|base| format!("base = \"{base}.toml\"\n")).unwrap_or_default();
            written(folder.path(), &number.to_string(), &format!("{base}epochs = {}\n", number + 1));
        }
        let (mut at, mut steps) = (0, 0);
        while let Some(next) = bases[at].filter(|_| steps < 6) {
            (at, steps) = (next, steps + 1);
        }
        match Recipe::layers(&folder.path().join("0.toml")) {
            Ok(layer) => {
                prop_assert!(steps < 6, "a circle");
                prop_assert_eq!(layer["epochs"].as_integer(), Some(1));
            }
            Err(error) => {
                prop_assert!(steps == 6, "{}", error);
                prop_assert!(error.to_string().contains("chain of bases"), "{}", error);
            }
        }
    }
}
