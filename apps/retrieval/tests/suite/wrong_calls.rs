//! Calls that cannot be answered say why.

use qare_retrieval::{
    LabelledRows, RetrievalError, Summary, normalized_mutual_information, rank, rank_across_cameras, rank_among_others,
};

#[test]
fn sizes_have_to_fit() {
    let size = |what, found, expected| RetrievalError::Size { what, found, expected };
    assert_eq!(LabelledRows::new(&[1.0; 5], 2, &[0, 1]).unwrap_err(), size("numbers", 5, 4));
    assert_eq!(LabelledRows::new(&[], 0, &[]).unwrap_err(), RetrievalError::NoDimensions);
    let rows = LabelledRows::new(&[1.0; 4], 2, &[0, 1]).unwrap();
    assert_eq!(rows.clone().with_cameras(&[1]).unwrap_err(), size("cameras", 1, 2));
    assert_eq!(rows.clone().with_junk(&[true; 3]).unwrap_err(), size("marks of junk", 3, 2));
    assert_eq!(normalized_mutual_information(&[0, 1], &[0]).unwrap_err(), size("clusters", 1, 2));
    let wider = LabelledRows::new(&[1.0; 6], 3, &[0, 1]).unwrap();
    assert_eq!(rank(&rows, &wider).unwrap_err(), RetrievalError::Dimensions { queries: 2, references: 3 });
}

#[test]
fn embeddings_have_to_be_finite() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, bad];
        assert_eq!(LabelledRows::new(&values, 2, &[0, 0, 0]).unwrap_err(), RetrievalError::NonFinite { row: 2 });
    }
}

#[test]
fn the_camera_rule_needs_cameras() {
    let rows = LabelledRows::new(&[1.0; 4], 2, &[0, 0]).unwrap();
    let seen = rows.clone().with_cameras(&[0, 1]).unwrap();
    assert_eq!(rank_across_cameras(&rows, &seen).unwrap_err(), RetrievalError::NoCameras("queries"));
    assert_eq!(rank_across_cameras(&seen, &rows).unwrap_err(), RetrievalError::NoCameras("gallery images"));
}

#[test]
fn without_a_relevant_reference_there_is_no_mean() {
    let rows = LabelledRows::new(&[1.0; 6], 2, &[0, 1, 2]).unwrap();
    let error = RetrievalError::NothingRelevant { queries: 3 };
    assert_eq!(Summary::of(&rank_among_others(&rows)).unwrap_err(), error);
    let none = LabelledRows::new(&[], 2, &[]).unwrap();
    assert!(rank_among_others(&none).is_empty());
    assert_eq!(rank(&rows, &none).unwrap(), [None; 3]);
}
