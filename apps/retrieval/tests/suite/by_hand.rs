//! Cases that a person can compute.

use qare_retrieval::{
    LabelledRows, Summary, normalized_mutual_information, rank, rank_across_cameras, rank_among_others,
};

/// Rows of two dimensions at these angles, in degrees.
fn at(angles: &[f32]) -> Vec<f32> {
    angles.iter().flat_map(|angle| [angle.to_radians().cos(), angle.to_radians().sin()]).collect()
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

#[test]
fn one_query_with_relevant_references_at_ranks_2_3_and_6() {
    let query = LabelledRows::new(&at(&[0.0]), 2, &[7]).unwrap();
    let references = LabelledRows::new(&at(&[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]), 2, &[1, 7, 7, 2, 3, 7]).unwrap();
    let found = rank(&query, &references).unwrap()[0].unwrap();
    assert_eq!((found.relevant, found.first), (3, 2));
    close(found.r_precision, 2.0 / 3.0);
    close(found.average_precision_at_r, (1.0 / 2.0 + 2.0 / 3.0) / 3.0);
    close(found.average_precision, (1.0 / 2.0 + 2.0 / 3.0 + 3.0 / 6.0) / 3.0);
    let summary = Summary::of(&[Some(found), None]).unwrap();
    assert_eq!([1, 2, 100].map(|k| summary.recall_at(k)), [0.0, 1.0, 1.0]);
    assert_eq!((summary.queries, summary.left_out), (1, 1));
}

#[test]
fn the_camera_rule_leaves_out_the_same_camera_and_junk() {
    // The query is identity 7 at camera 1. Ranked: its own image, 7 at camera 1 again, junk, another identity at camera 1, 7 at camera 2,
    // another identity, 7 at camera 3.
    let query = LabelledRows::new(&at(&[0.0]), 2, &[7]).unwrap().with_cameras(&[1]).unwrap();
    let gallery = LabelledRows::new(&at(&[0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]), 2, &[7, 7, 7, 4, 7, 5, 7])
        .unwrap()
        .with_cameras(&[1, 1, 2, 1, 2, 2, 3])
        .unwrap()
        .with_junk(&[false, false, true, false, false, false, false])
        .unwrap();
    let figures = rank_across_cameras(&query, &gallery).unwrap();
    let summary = Summary::of(&figures).unwrap();
    assert_eq!(figures[0].unwrap().relevant, 2);
    assert_eq!([1, 2, 5].map(|k| summary.recall_at(k)), [0.0, 1.0, 1.0]);
    close(summary.map, (1.0 / 2.0 + 2.0 / 4.0) / 2.0);
}

#[test]
fn a_query_that_only_its_own_camera_has_seen_is_left_out() {
    let images = LabelledRows::new(&at(&[0.0, 1.0, 40.0, 41.0]), 2, &[0, 0, 1, 1]).unwrap();
    let images = images.with_cameras(&[1, 1, 1, 2]).unwrap();
    let figures = rank_across_cameras(&images, &images).unwrap();
    assert_eq!(figures.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, true]);
    assert_eq!(Summary::of(&figures).unwrap().left_out, 2);
}

#[test]
fn of_equally_near_references_the_first_comes_first() {
    // Rows 1 to 3 are the same up to their length, and so are their similarities to the query.
    let query = LabelledRows::new(&[1.0, 1.0], 2, &[0]).unwrap();
    let similar = [0.0, 1.0, 3.0, 6.0, 0.5, 1.0, 6.0, 12.0];
    for (labels, first) in [([9, 0, 8, 8], 1), ([9, 8, 0, 8], 2), ([9, 8, 8, 0], 3), ([0, 8, 8, 8], 4)] {
        let references = LabelledRows::new(&similar, 2, &labels).unwrap();
        assert_eq!(rank(&query, &references).unwrap()[0].unwrap().first, first, "{labels:?}");
    }
}

#[test]
fn rows_of_zeros_are_similar_to_none() {
    let images = LabelledRows::new(&[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0], 2, &[0, 0, 1, 1]).unwrap();
    let first: Vec<usize> = rank_among_others(&images).iter().map(|figures| figures.unwrap().first).collect();
    // The query [1, 0]: two rows of similarity 0, then the opposite one. Rows of zeros: all others are equally near.
    assert_eq!(first, [1, 1, 3, 3]);
}

#[test]
fn junk_is_no_query() {
    let images = LabelledRows::new(&at(&[0.0, 1.0, 2.0]), 2, &[0, 0, 0]).unwrap();
    let figures = rank_among_others(&images.with_junk(&[true, false, false]).unwrap());
    assert_eq!(
        figures.iter().map(|figures| figures.map(|found| found.relevant)).collect::<Vec<_>>(),
        [None, Some(1), Some(1)]
    );
}

#[test]
fn information_of_clusters() {
    let nmi = |labels, clusters| normalized_mutual_information(labels, clusters).unwrap();
    close(nmi(&[0, 0, 1, 1], &[5, 5, 3, 3]), 1.0);
    close(nmi(&[0, 0, 1, 1], &[0, 1, 0, 1]), 0.0);
    // H(L) = log 2, H(C) = 3/2 log 2, I = log 2.
    close(nmi(&[0, 0, 1, 1], &[0, 0, 1, 2]), 1.0 / 1.25);
    assert_eq!(nmi(&[4, 4, 4], &[1, 1, 1]), 1.0);
    assert_eq!(nmi(&[4, 4, 4], &[1, 1, 2]), 0.0);
}
