//! The methods of metric learning as the loop sees them.

use std::collections::BTreeSet;

use burn::module::AutodiffModule;
use burn::optim::GradientsParams;
use burn::tensor::TensorData;
use qare::metric::Triplets;
use qare_data::Share;

use super::*;
use crate::evaluation::features::values;
use crate::test_backend::{Plain, Training, any_device};
use crate::training::optimizer::{ModelOptimizer, Rule, take_gradients_where, with_stable_ids};

fn recipe(name: &str, text: &str) -> Recipe {
    Recipe::of_layers([format!("method = \"{name}\"\nbatch_size = 6\nimages_per_identity = 2\n{text}")
        .parse()
        .unwrap()])
    .unwrap()
}

fn networks(recipe: &Recipe) -> MetricLearning<Training> {
    with_stable_ids(Pretext::<Training>::new(recipe, &Facts { images: 12, classes: 5 }, &any_device()).unwrap())
}

/// Three classes with two images each.
fn batch() -> ViewBatch<Training> {
    let (images, side) = (6, 16);
    let value = |at: usize| ((at / (3 * side * side) + 2) * at % 89) as f32 / 89.0;
    let data: Vec<f32> = (0..images * 3 * side * side).map(value).collect();
    ViewBatch {
        images: Tensor::from_data(TensorData::new(data, [images, 1, 3, side, side]), &any_device()),
        labels: Tensor::from_ints([3, 3, 0, 0, 4, 4], &any_device()),
        indices: (0..images).collect(),
        epoch: 1,
        share: Share::whole(images),
    }
}

#[test]
fn names_are_those_of_methods_and_differ() {
    let names: BTreeSet<&str> = Method::ALL.iter().map(|method| method.as_str()).collect();
    assert_eq!(names.len(), Method::ALL.len());
    for method in MetricMethod::ALL {
        assert_eq!(method.as_str().parse(), Ok(Method::Metric(*method)));
        assert_eq!(method.as_str().ends_with("_qare"), method.set_term);
    }
    assert_eq!("sparseclr".parse(), Ok(Method::Sparseclr));
    assert_eq!("sparceclr_labels".parse::<Method>().unwrap().as_str(), "sparseclr_labels");
}

#[test]
fn the_loss_is_that_of_the_objective_on_the_embeddings() {
    for method in MetricMethod::ALL {
        let recipe = recipe(method.as_str(), "beta = 0.3");
        let networks = networks(&recipe);
        let backbone = recipe.backbone.init::<Training>(1, &any_device());
        let output = networks.forward(&backbone, batch()).unwrap();
        let embeddings = networks.embed(backbone.forward(batch().images.squeeze_dim(1)));
        let pairwise = networks.objective.loss.forward(embeddings.clone(), batch().labels).unwrap();
        let mut expected = values(pairwise.inner());
        if method.set_term {
            let qare = qare::QareConfig::new().init().forward(embeddings, Views::PAIR).unwrap();
            expected.push(values(qare.inner())[0]);
        }
        let figures: Vec<f32> = output.figures.iter().flat_map(|figure| values(figure.clone().inner())).collect();
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
        assert_eq!(figures.len(), expected.len(), "{method:?}");
        assert!(figures.iter().zip(&expected).all(|(a, b)| close(*a, *b)), "{method:?}: {figures:?}, {expected:?}");
        let whole = expected[0] + expected.get(1).map_or(0.0, |qare| 0.3 * qare);
        assert!(close(values(output.loss.inner())[0], whole), "{method:?}");
        assert_eq!(figures.len(), method.plan(&recipe).figures.len());
    }
}

#[test]
fn margins_and_temperatures_are_those_of_the_loss_unless_a_recipe_names_others() {
    let numbers = |name: &str, text: &str| {
        let recipe = recipe(name, text);
        (recipe.margin, recipe.temperature)
    };
    assert_eq!(numbers("triplet", "").0, 0.05);
    assert_eq!(numbers("triplet_qare", "margin = 0.2").0, 0.2);
    assert_eq!((numbers("infonce", "").1, numbers("normsoftmax", "").1), (0.07, 0.05));
    assert_eq!((numbers("arcface", "").0, numbers("proxyanchor", "").0), (28.6, 0.1));
    let method = |name: &str| MetricMethod::of(&recipe(name, ""));
    let of = |name: &str, text: &str| method(name).loss(&recipe(name, text), 3);
    let triplet = of("triplet", "margin = 0.2\ntriplets = \"semihard\"");
    assert!(
        matches!(triplet, MetricLossConfig::TripletMargin(config) if config.margin == 0.2 && config.triplets == Triplets::SemiHard)
    );
    let infonce = of("infonce", "temperature = 0.3");
    assert!(matches!(infonce, MetricLossConfig::InfoNce(config) if config.temperature == 0.3));
    let sparse = of("sparseclr_labels", "margin = 0.4");
    assert!(matches!(sparse, MetricLossConfig::SparseClr(config) if config.margin == 0.4));
    let face = of("arcface", "margin = 10");
    assert!(matches!(face, MetricLossConfig::ArcFace(config) if config.margin_degrees == 10.0 && config.dim == 64));
}

#[test]
fn every_number_of_a_loss_is_a_setting() {
    use MetricLossConfig as Of;
    let of = |name: &str, text: &str| MetricMethod::of(&recipe(name, "")).loss(&recipe(name, text), 3);
    let contrastive = |text: &str| match of("contrastive_qare", text) {
        Of::Contrastive(config) => [config.pos_margin, config.neg_margin],
        other => panic!("{other:?}"),
    };
    assert_eq!(contrastive(""), [0.0, 1.0]);
    assert_eq!(contrastive("positive_margin = 0.2\nmargin = 0.9"), [0.2, 0.9]);
    // Alpha and beta of a recipe are the weights of its terms.
    let multi = |text: &str| match of("multisimilarity_qare", text) {
        Of::MultiSimilarity(config) => [config.alpha, config.beta, config.base],
        other => panic!("{other:?}"),
    };
    assert_eq!(multi("alpha = 3\nbeta = 4"), [2.0, 50.0, 0.5]);
    assert_eq!(multi("positive_scale = 3\nnegative_scale = 40\nbase_similarity = -0.1"), [3.0, 40.0, -0.1]);
    let anchor = |text: &str| match of("proxyanchor", text) {
        Of::ProxyAnchor(config) => [config.margin, config.alpha],
        other => panic!("{other:?}"),
    };
    assert_eq!(anchor(""), [0.1, 32.0]);
    assert_eq!(anchor("margin = 0.2\nscale = 16"), [0.2, 16.0]);
    let face = |text: &str| match of("arcface", text) {
        Of::ArcFace(config) => [config.margin_degrees, config.scale],
        other => panic!("{other:?}"),
    };
    assert_eq!(face(""), [28.6, 64.0]);
    assert_eq!(face("margin = 20\nscale = 30"), [20.0, 30.0]);
}

/// Each loss has a page whose table names its settings and their defaults.
#[test]
fn pages_name_the_settings_and_their_defaults() {
    for method in MetricMethod::ALL.iter().filter(|method| !method.set_term) {
        let name = method.as_str();
        let page = format!("{}/../../docs/methods/{name}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page}: {error}"));
        let with = |text: &str| {
            let recipe = recipe(name, text);
            (format!("{:?}", method.loss(&recipe, 3)), recipe.proxy_rate())
        };
        // | m | `--margin`, `margin` | `margin` | 0.05 |
        let mut named = BTreeSet::new();
        for row in page.lines().filter(|line| line.starts_with("| ") && line.contains("`--")) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let (flag, setting) = cells[1].split_once(", ").expect("a flag and a setting");
            let setting = setting.trim_matches('`');
            assert_eq!(flag, format!("`--{}`", setting.replace('_', "-")), "{name}: {row}");
            let default = cells[3].split(", ").next().expect("a default");
            let default = default.replace('`', "\"");
            assert_eq!(with(&format!("{setting} = {default}")), with(""), "{name}: {row}");
            named.insert(setting);
        }
        let common = ["images_per_identity", "validation_share", "source_size"];
        let settings = method.settings().into_iter().filter(|setting| !common.contains(setting));
        assert_eq!(named, settings.collect(), "{name}");
    }
}

#[test]
fn the_settings_of_a_method_are_those_that_change_it() {
    for method in MetricMethod::ALL {
        let unused = recipe(method.as_str(), "").unused();
        assert!(!unused.contains(&"images_per_identity") && unused.contains(&"alpha") && unused.contains(&"clusters"));
        assert_eq!(unused.contains(&"beta"), !method.set_term);
        // A setting that is said to be unused does not change the loss, and one that is used does.
        let loss = |text: &str| format!("{:?}", method.loss(&recipe(method.as_str(), text), 3));
        for (setting, text) in [
            ("margin", "margin = 0.77"),
            ("temperature", "temperature = 0.77"),
            ("triplets", "triplets = \"hard\""),
            ("positive_margin", "positive_margin = 0.77"),
            ("scale", "scale = 7.7"),
            ("positive_scale", "positive_scale = 7.7"),
            ("negative_scale", "negative_scale = 7.7"),
            ("base_similarity", "base_similarity = 0.77"),
        ] {
            assert_eq!(loss(text) == loss(""), unused.contains(&setting), "{method:?}: {setting}");
        }
    }
    assert!(recipe("simclr", "").unused().contains(&"images_per_identity"));
}

#[test]
fn proxies_depend_on_the_seed_and_have_their_own_rate() {
    for (name, rate, length) in [("proxyanchor", 100.0, 2.0 / 5.0), ("normsoftmax", 10.0, 1.0), ("arcface", 10.0, 1.0)]
    {
        let bytes = |text: &str| networks(&recipe(name, text)).weights();
        assert_eq!(bytes("seed = 3"), bytes("seed = 3"));
        assert_ne!(bytes("seed = 3"), bytes("seed = 4"));
        let of_proxies = |networks: &MetricLearning<Training>| {
            let proxies = networks.objective.loss.proxies().expect("the loss has proxies");
            values(proxies.val().inner())
        };
        let recipe = recipe(name, "");
        let before = networks(&recipe);
        let proxies = of_proxies(&before);
        assert_eq!(proxies.len(), 5 * 64);
        // 320 normal numbers: five standard deviations of the mean of their squares.
        let square = proxies.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / 320.0;
        assert!((square / length - 1.0).abs() < 5.0 * (2.0f64 / 320.0).sqrt(), "{name}: {square}");

        let rates = Pretext::<Training>::rates(&before);
        assert!(matches!(rates[..], [(_, found)] if found == rate), "{name}: {rates:?}");
        // The first step of Adam changes each number by the rate.
        let backbone = recipe.backbone.init::<Training>(1, &any_device());
        let loss = before.forward(&backbone, batch()).unwrap().loss;
        let mut gradients = GradientsParams::from_grads(loss.backward(), &before);
        let own = take_gradients_where::<Training, _>(&before, |id| id == rates[0].0, &mut gradients);
        let mut optimizer = ModelOptimizer::new(Rule::ADAM);
        let after = optimizer.step(1e-3 * rate, before.clone(), own);
        let moved = of_proxies(&after).iter().zip(&proxies).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!((f64::from(moved) / (1e-3 * rate) - 1.0).abs() < 1e-3, "{name}: {moved}");
        assert_eq!(
            values(after.embedding.unwrap().bias.val().inner()),
            values(before.embedding.unwrap().bias.val().inner())
        );
    }
    assert!(Pretext::<Training>::rates(&networks(&recipe("triplet", ""))).is_empty());
    assert_eq!(networks(&recipe("arcface", "proxy_rate = 3")).proxy_rate, 3.0);
}

#[test]
fn without_an_embedding_size_the_features_are_the_embedding() {
    let networks = networks(&recipe("triplet", "outter_fs = 0"));
    assert!(networks.weights().is_empty());
    let features = Tensor::<Training, 2>::ones([2, 64], &any_device());
    assert_eq!(values(networks.embed(features.clone()).inner()), values(features.inner()));
    // In evaluation too.
    let features = Tensor::<Plain, 2>::ones([2, 64], &any_device());
    assert_eq!(values(networks.valid().embed(features.clone())), values(features));
}
