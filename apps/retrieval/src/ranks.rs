/// Up to this many relevant references, comparing each with all references is faster than searching for the place of each reference among them.
const COUNTED: usize = 32;

/// Writes the ranks of the `relevant` references into `ranks`, ascending: 1 is the nearest. Of equal similarities, the reference with the smaller
/// index comes first.
///
/// `similarities` holds those of a query to all references, −∞ for the ones that are left out; `relevant` holds indices in ascending order.
pub(crate) fn ranks(similarities: &[f32], relevant: &[u32], ranks: &mut Vec<u32>) {
    ranks.clear();
    if relevant.len() <= COUNTED {
        ranks.extend(relevant.iter().map(|index| counted(similarities, *index as usize)));
        ranks.sort_unstable();
    } else {
        searched(similarities, relevant, ranks);
    }
}

/// The rank of one reference: one more than the number of those before it.
fn counted(similarities: &[f32], index: usize) -> u32 {
    let own = similarities[index];
    let (before, behind) = (&similarities[..index], &similarities[index + 1..]);
    let nearer: u32 = before.iter().map(|other| u32::from(*other >= own)).sum();
    1 + nearer + behind.iter().map(|other| u32::from(*other > own)).sum::<u32>()
}

/// The ranks of many references: the number of all references between each and the next.
fn searched(similarities: &[f32], relevant: &[u32], ranks: &mut Vec<u32>) {
    let mut keys: Vec<u64> = relevant.iter().map(|index| key(similarities[*index as usize], *index)).collect();
    keys.sort_unstable();
    // How many references have this number of relevant ones before them, a relevant one itself included.
    let mut places = vec![0u32; keys.len() + 1];
    for (similarity, index) in similarities.iter().zip(0u32..) {
        let own = key(*similarity, index);
        places[keys.partition_point(|key| *key < own)] += 1;
    }
    let mut rank = 0;
    ranks.extend(places[..keys.len()].iter().map(|count| {
        rank += count;
        rank
    }));
}

/// A number that is smaller for a nearer reference, and for the first of two that are equally near.
pub(crate) fn key(similarity: f32, index: u32) -> u64 {
    // The sum makes −0 equal to 0.
    let bits = (similarity + 0.0).to_bits();
    // Ascending in the order of the numbers: all bits of negative ones are flipped, and the sign of the others.
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(!ascending) << 32 | u64::from(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Sorts all references.
    fn by_sort(similarities: &[f32], relevant: &[u32]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..similarities.len() as u32).collect();
        // The sort is stable, so the first of equal ones stays first; −0 and 0 are equal.
        order.sort_by(|a, b| similarities[*b as usize].partial_cmp(&similarities[*a as usize]).unwrap());
        (1..).zip(order).filter(|(_, index)| relevant.contains(index)).map(|(rank, _)| rank).collect()
    }

    #[test]
    fn ranks_equal_those_of_a_full_sort() {
        let mut draw = ChaCha8Rng::seed_from_u64(3);
        for case in 0..400 {
            let count = draw.random_range(1..200);
            // Few distinct values, so that most are tied, or many; −0, 0 and left-out ones among them.
            let steps = if case % 2 == 0 { 3 } else { 100_000 };
            let mut similarities: Vec<f32> =
                (0..count).map(|_| draw.random_range(-steps..=steps) as f32 / steps as f32 * 0.9).collect();
            let share = draw.random_range(0.0..1.0);
            let relevant: Vec<u32> = (0..count as u32).filter(|_| draw.random_bool(share)).collect();
            for (index, similarity) in similarities.iter_mut().enumerate() {
                match draw.random_range(0..10) {
                    0 => *similarity = -0.0,
                    1 if !relevant.contains(&(index as u32)) => *similarity = f32::NEG_INFINITY,
                    _ => {}
                }
            }
            let expected = by_sort(&similarities, &relevant);
            let mut found = Vec::new();
            searched(&similarities, &relevant, &mut found);
            assert_eq!(found, expected, "case {case}, searched");
            let mut found: Vec<u32> = relevant.iter().map(|index| counted(&similarities, *index as usize)).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "case {case}, counted");
        }
    }
}
