use qare_data::RetrievalRole::{Gallery, Query};

use super::*;
use crate::test_backend::{Plain, any_device};

/// Features of three dimensions.
fn features(rows: &[[f32; 3]], labels: &[u16]) -> Features {
    Features { values: rows.concat(), dim: 3, labels: labels.to_vec() }
}

/// Images of one pixel.
fn images(labels: &[u16]) -> ImageSet {
    let names = (0..10).map(|class| class.to_string()).collect();
    ImageSet::new(vec![0; 3 * labels.len()], labels.to_vec(), 1, names).unwrap()
}

fn figures_of(features: &Features, images: &ImageSet) -> Result<Figures> {
    figures::<Plain>(features, &Search::of(features, images)?, 1, &any_device())
}

#[test]
fn separate_classes_are_found_and_clustered() {
    // Three directions, each with images of a few lengths, and a class of a single image between two of them.
    let centres = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let mut of_three = features(&[], &[]);
    for (class, centre) in centres.iter().enumerate() {
        for length in [0.1f32, 1.0, 2.0, 30.0] {
            of_three.values.extend(centre.map(|value| length * (value + 0.01 * length.cos())));
            of_three.labels.push(class as u16 * 3);
        }
    }
    let found = figures_of(&of_three, &images(&of_three.labels)).unwrap();
    assert_eq!((found.classes, found.summary.queries, found.summary.left_out), (3, 12, 0));
    assert_eq!((found.summary.recall_at(1), found.summary.map_at_r, found.nmi), (1.0, 1.0, Some(1.0)));
    of_three.values.extend([1.0, 1.0, 0.0]);
    of_three.labels.push(1);
    let found = figures_of(&of_three, &images(&of_three.labels)).unwrap();
    assert_eq!((found.classes, found.summary.queries, found.summary.left_out), (4, 12, 1));
    assert_eq!(found.summary.recall_at(1), 1.0);
    let again = figures_of(&of_three, &images(&of_three.labels)).unwrap();
    assert_eq!(found.nmi.unwrap().to_bits(), again.nmi.unwrap().to_bits());
}

#[test]
fn features_that_are_not_finite_are_an_error() {
    let features = Features { values: vec![1.0, f32::NAN], dim: 1, labels: vec![0, 0] };
    let error = figures_of(&features, &images(&[0, 0])).unwrap_err();
    assert!(error.to_string().contains("embedding 1 is not finite") && error.exit_code() == 1, "{error}");
}

/// Four images at growing angles from the first, which the protocols treat differently.
#[test]
fn the_protocol_decides_what_is_searched() {
    let at = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin(), 0.0];
    let labels = [0, 0, 1, 0, 1];
    let features = features(&[at(0.0), at(1.0), at(2.0), at(10.0), at(80.0)], &labels);
    let nearest_to_first =
        |images: &ImageSet| Search::of(&features, images).unwrap().nearest(&[0], 10).unwrap().remove(0);

    let images = images(&labels);
    let first = |images: &ImageSet| Search::of(&features, images).unwrap().figures[0].map(|found| found.first);
    assert_eq!(Protocol::of(&images), Protocol::AmongOthers);
    assert_eq!(nearest_to_first(&images), [(1, true), (2, false), (3, true), (4, false)]);
    assert_eq!(first(&images), Some(1));

    // Image 1 is from the camera of image 0; image 2, of another class, stays.
    let seen = images.clone().with_cameras(vec![1, 1, 1, 2, 2]).unwrap();
    assert_eq!(Protocol::of(&seen), Protocol::AcrossCameras);
    assert_eq!(nearest_to_first(&seen), [(2, false), (3, true), (4, false)]);
    assert_eq!(first(&seen), Some(2));

    // Only the gallery is searched.
    let divided = seen.clone().with_roles(vec![Query, Gallery, Gallery, Gallery, Query]).unwrap();
    assert_eq!(Protocol::of(&divided), Protocol::QueriesAndGallery);
    assert_eq!(nearest_to_first(&divided), [(2, false), (3, true)]);
    let search = Search::of(&features, &divided).unwrap();
    assert_eq!((search.figures.len(), search.searched(), search.image(1)), (2, 3, 4));
    assert_eq!(search.nearest(&[1], 1).unwrap(), [[(3, false)]]);
    let found = figures::<Plain>(&features, &search, 1, &any_device()).unwrap();
    assert_eq!((found.summary.queries, found.summary.left_out, found.nmi), (2, 0, None));
    assert_eq!([1, 2].map(|k| found.summary.recall_at(k)), [0.0, 1.0]);
    assert_eq!(found.summary.map, 0.5);

    // The one image that the second query could find is from its own camera.
    let own_camera = divided.with_cameras(vec![1, 1, 2, 2, 2]).unwrap();
    let search = Search::of(&features, &own_camera).unwrap();
    assert_eq!(search.nearest(&[1], 3).unwrap(), [[(3, false), (1, false)]]);
    let found = figures::<Plain>(&features, &search, 1, &any_device()).unwrap();
    assert_eq!((found.summary.queries, found.summary.left_out, found.summary.map), (1, 1, 0.5));

    // Without cameras, the whole gallery counts.
    let without = images.with_roles(vec![Query, Gallery, Gallery, Gallery, Query]).unwrap();
    assert_eq!(nearest_to_first(&without), [(1, true), (2, false), (3, true)]);
    assert_eq!(first(&without), Some(1));
}

#[test]
fn the_usual_k_are_those_of_the_dataset() {
    use qare_data::DatasetName::{Cub200, Market1501, Omniglot, Sop};
    for (protocol, dataset, ks) in [
        (Protocol::AmongOthers, Sop, &[1, 10, 100, 1000][..]),
        (Protocol::AmongOthers, Cub200, &[1, 2, 4, 8]),
        (Protocol::AcrossCameras, Omniglot, &[1, 2, 4, 8]),
        (Protocol::QueriesAndGallery, Market1501, &[1, 5, 10]),
    ] {
        assert_eq!(protocol.usual_ks(dataset), ks, "{dataset}");
    }
}

#[test]
fn random_queries_depend_on_the_seed_and_the_worst_on_the_ranks() {
    // On a circle, two images of each of 30 classes: class c is c degrees apart, so large classes are the worst. One class is of one image.
    let at = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin(), 0.0];
    let (mut rows, mut labels) = (vec![at(5.5)], vec![9]);
    for class in 0..9u16 {
        for side in [0.0, 1.0] {
            rows.push(at(3.0 * f32::from(class) + 7.0 * side * f32::from(class)));
            labels.push(class);
        }
    }
    let search = Search::of(&features(&rows, &labels), &images(&labels)).unwrap();
    let chosen = |count: usize, seed: u64| Neighbours::of(&search, count, seed).unwrap();
    let queries = |found: &[Found]| found.iter().map(|found| found.query).collect::<Vec<_>>();
    assert_eq!(chosen(4, 3), chosen(4, 3));
    assert!((4..20).any(|seed| queries(&chosen(4, seed).random) != queries(&chosen(4, 3).random)));
    for (count, random, worst) in [(1, 1, 1), (4, 4, 4), (12, 12, 6), (100, 18, 0)] {
        let found = chosen(count, 8);
        assert_eq!((found.random.len(), found.worst.len()), (random, worst), "{count}");
        let mut all = [queries(&found.random), queries(&found.worst)].concat();
        assert!(!all.contains(&0), "the only image of its class is no query");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), random + worst, "no query twice");
        // No query that is left out is worse than the last of the worst.
        let first = |query: &usize| search.figures[*query].unwrap().first;
        let ranks: Vec<usize> = queries(&found.worst).iter().map(first).collect();
        assert!(ranks.is_sorted_by(|one, next| one >= next), "{ranks:?}");
        let left_out = (1..labels.len()).filter(|query| !all.contains(query)).map(|query| first(&query)).max();
        assert!(left_out <= ranks.last().copied().or(left_out), "{ranks:?} {left_out:?}");
        for found in found.random.iter().chain(&found.worst) {
            assert_eq!(found.nearest.len(), 10);
            assert!(found.nearest.iter().all(|(image, right)| *right == (labels[*image] == labels[found.query])));
        }
    }
}
