//! A slow computation of everything from its definition, in f64.

use qare_retrieval::{
    LabelledRows, Neighbour, QueryFigures, nearest, nearest_across_cameras, nearest_others, rank, rank_across_cameras,
    rank_among_others,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Set {
    dim: usize,
    values: Vec<f32>,
    labels: Vec<u32>,
    cameras: Vec<u32>,
    junk: Vec<bool>,
}

impl Set {
    /// Rows around the centres of their labels. Entries are small whole numbers, so that many similarities are equal; rows with the same length.
    fn draw(rows: usize, dim: usize, labels: u32, draw: &mut ChaCha8Rng) -> Self {
        let signs = |draw: &mut ChaCha8Rng| if draw.random_bool(0.5) { 1.0 } else { -1.0 };
        Self {
            dim,
            values: (0..rows * dim).map(|_| signs(draw)).collect(),
            labels: (0..rows).map(|_| draw.random_range(0..labels)).collect(),
            cameras: (0..rows).map(|_| draw.random_range(0..3)).collect(),
            junk: (0..rows).map(|_| draw.random_bool(0.1)).collect(),
        }
    }

    fn rows(&self) -> LabelledRows {
        let rows = LabelledRows::new(&self.values, self.dim, &self.labels).unwrap();
        rows.with_cameras(&self.cameras).unwrap().with_junk(&self.junk).unwrap()
    }
}

/// The references that count for a query, nearest first, by a full sort of their similarities, which are whole numbers here.
fn order(queries: &Set, references: &Set, kept: impl Fn(usize, usize) -> bool, query: usize) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..references.labels.len()).filter(|index| !references.junk[*index] && kept(query, *index)).collect();
    order.sort_by_cached_key(|index| (-product(queries, references, query, *index), *index));
    order
}

/// The product of a query and a reference, a whole number.
fn product(queries: &Set, references: &Set, query: usize, reference: usize) -> i64 {
    let row = |set: &Set, index: usize| set.values[index * set.dim..(index + 1) * set.dim].to_vec();
    row(references, reference).iter().zip(row(queries, query)).map(|(a, b)| a * b).sum::<f32>() as i64
}

/// Applies the definitions.
fn literal(queries: &Set, references: &Set, kept: impl Fn(usize, usize) -> bool) -> Vec<Option<QueryFigures>> {
    let of_query = |query: usize| {
        let order = order(queries, references, &kept, query);
        let relevant: Vec<bool> =
            order.iter().map(|index| references.labels[*index] == queries.labels[query]).collect();
        let total = relevant.iter().filter(|relevant| **relevant).count();
        if total == 0 || queries.junk[query] {
            return None;
        }
        let hits: Vec<usize> = relevant
            .iter()
            .scan(0, |hits, relevant| {
                *hits += usize::from(*relevant);
                Some(*hits)
            })
            .collect();
        let precision = |k: usize| hits[k - 1] as f64 / k as f64;
        let average = |upto: usize| (1..=upto).filter(|k| relevant[k - 1]).map(precision).sum::<f64>() / total as f64;
        Some(QueryFigures {
            relevant: total,
            first: 1 + relevant.iter().position(|relevant| *relevant).unwrap(),
            r_precision: precision(total),
            average_precision_at_r: average(total),
            average_precision: average(relevant.len()),
        })
    };
    (0..queries.labels.len()).map(of_query).collect()
}

fn compare(found: &[Option<QueryFigures>], expected: &[Option<QueryFigures>], what: &str) {
    assert_eq!(found.len(), expected.len());
    assert!(expected.iter().flatten().count() * 2 > expected.len(), "{what}: most queries count");
    for (query, (found, expected)) in found.iter().zip(expected).enumerate() {
        let (Some(found), Some(expected)) = (found, expected) else {
            assert_eq!(found, expected, "{what}, query {query}");
            continue;
        };
        assert_eq!((found.relevant, found.first), (expected.relevant, expected.first), "{what}, query {query}");
        for (found, expected) in [
            (found.r_precision, expected.r_precision),
            (found.average_precision_at_r, expected.average_precision_at_r),
            (found.average_precision, expected.average_precision),
        ] {
            assert!((found - expected).abs() < 1e-12, "{what}, query {query}: {found} is not {expected}");
        }
    }
}

/// Rows of 16 entries ±1 have the length 4, and their cosines are exact in f32.
#[test]
fn figures_equal_their_definitions() {
    let mut draw = ChaCha8Rng::seed_from_u64(5);
    // One block and several, incomplete ones too; few and many references of a label.
    for (queries, references, labels) in [(5, 9, 2), (64, 1024, 12), (150, 1100, 300), (90, 2100, 8), (40, 60, 1)] {
        let (queries, references) =
            (Set::draw(queries, 16, labels, &mut draw), Set::draw(references, 16, labels, &mut draw));
        let found = rank(&queries.rows(), &references.rows()).unwrap();
        compare(&found, &literal(&queries, &references, |_, _| true), &format!("two sets, {labels} labels"));
        let kept = |query: usize, image: usize| {
            queries.labels[query] != references.labels[image] || queries.cameras[query] != references.cameras[image]
        };
        let found = rank_across_cameras(&queries.rows(), &references.rows()).unwrap();
        compare(&found, &literal(&queries, &references, kept), &format!("across cameras, {labels} labels"));
        let found = rank_among_others(&references.rows());
        compare(&found, &literal(&references, &references, |a, b| a != b), &format!("one set, {labels} labels"));
    }
}

#[test]
fn the_nearest_are_the_first_of_a_full_sort() {
    let mut draw = ChaCha8Rng::seed_from_u64(6);
    for (queries, references, labels) in [(5, 9, 2), (150, 1100, 30), (90, 2100, 8)] {
        let (queries, references) =
            (Set::draw(queries, 16, labels, &mut draw), Set::draw(references, 16, labels, &mut draw));
        // In any order, more than a block of queries, and twice the same.
        let chosen: Vec<usize> = (0..100).map(|_| draw.random_range(0..queries.labels.len())).collect();
        let expected = |queries: &Set, count: usize, kept: &dyn Fn(usize, usize) -> bool| -> Vec<Vec<Neighbour>> {
            let of_query = |query: &usize| {
                let neighbour = |row: usize| Neighbour {
                    row,
                    similarity: product(queries, &references, *query, row) as f32 / 16.0,
                    relevant: references.labels[row] == queries.labels[*query],
                };
                order(queries, &references, kept, *query).into_iter().take(count).map(neighbour).collect()
            };
            chosen.iter().map(of_query).collect()
        };
        let (of_queries, of_references) = (queries.rows(), references.rows());
        for count in [0, 1, 7, 5000] {
            let found = nearest(&of_queries, &of_references, &chosen, count).unwrap();
            assert_eq!(found, expected(&queries, count, &|_, _| true), "{count} of {} references", of_references.len());
            let other_camera = |query: usize, image: usize| {
                queries.labels[query] != references.labels[image] || queries.cameras[query] != references.cameras[image]
            };
            let found = nearest_across_cameras(&of_queries, &of_references, &chosen, count).unwrap();
            assert_eq!(found, expected(&queries, count, &other_camera), "{count} across cameras");
            let chosen: Vec<usize> = chosen.iter().map(|row| row % references.labels.len()).collect();
            for (query, found) in chosen.iter().zip(nearest_others(&of_references, &chosen, count)) {
                let others = order(&references, &references, |query, row| query != row, *query);
                let found: Vec<usize> = found.iter().map(|neighbour| neighbour.row).collect();
                assert_eq!(found, others[..count.min(others.len())], "{count} others of {query}");
            }
        }
    }
}

#[test]
fn figures_do_not_depend_on_the_number_of_threads() {
    let mut draw = ChaCha8Rng::seed_from_u64(8);
    let mut set = Set::draw(700, 33, 40, &mut draw);
    set.values.iter_mut().for_each(|value| *value = draw.random_range(-1.0..1.0));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| rank_among_others(&set.rows()))
    };
    let alone = with(1);
    assert!([2, 3, 8].into_iter().all(|threads| with(threads) == alone));
}
