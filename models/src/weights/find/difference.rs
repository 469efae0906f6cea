//! Says where the tensors of a file differ from the nearest backbone.

use super::candidate::Candidate;
use super::prefix_in_file;
use crate::BackboneName;
use crate::weights::layout::LAYOUTS;
use crate::weights::state_dict::StateDict;

/// Differences that are shown.
const SHOWN: usize = 3;

/// Why none of the candidates is the backbone that is looked for.
pub(super) fn told(
    state: &StateDict,
    wanted: Option<BackboneName>,
    fitting: &[&Candidate],
    all: &[Candidate],
) -> String {
    let looked_for = |candidate: &&Candidate| wanted.is_none_or(|wanted| candidate.name == wanted);
    if let (Some(wanted), Some(other)) = (wanted, fitting.first()) {
        return format!("holds {}{}, not {wanted}", other.name, under(other));
    }
    // Of equally near ones the first: that of the likelier place, and the smaller one.
    let nearest = all.iter().filter(looked_for).rev().max_by_key(|candidate| candidate.nearness());
    match nearest.filter(|nearest| nearest.is_near()) {
        Some(nearest) => of_nearest(state, wanted, nearest),
        None => {
            let some: Vec<String> = state
                .names()
                .take(SHOWN)
                .map(|name| format!("`{name}` {:?}", state.shape(name).unwrap_or_default()))
                .collect();
            let known = match wanted {
                Some(wanted) => wanted.to_string(),
                None => BackboneName::ALL.map(BackboneName::as_str).join(", "),
            };
            format!(
                "none of its {} tensors are near those of a backbone known here ({known}); it has {}, …",
                state.names().count(),
                some.join(", ")
            )
        }
    }
}

fn of_nearest(state: &StateDict, wanted: Option<BackboneName>, nearest: &Candidate) -> String {
    let name = nearest.name;
    let layout = LAYOUTS.iter().find(|layout| layout.name == name).expect("each backbone has one");
    // In the order of the network.
    let of_network = layout.tensors.iter().filter_map(|(wanted, expected)| {
        if nearest.missing.iter().any(|(missing, _)| missing == wanted) {
            return Some(format!("`{wanted}` {expected:?} is missing"));
        }
        let (_, found) = nearest.wrong.iter().find(|(wrong, _)| wrong == wanted)?;
        Some(match state.shape(found) {
            Some(shape) if shape != expected => format!("`{found}` is {shape:?}, expected {expected:?}"),
            _ => format!("`{found}` is of type {}, expected floats", state.element_type(found).unwrap_or_default()),
        })
    });
    let extra = nearest
        .extra
        .first()
        .map(|found| format!("`{found}` {:?} is not a part of {name}", state.shape(found).unwrap_or_default()));
    let differences = nearest.wrong.len() + nearest.missing.len() + nearest.extra.len();
    let shown: Vec<String> = of_network.take(SHOWN - usize::from(extra.is_some())).chain(extra).collect();
    let more = match differences - shown.len() {
        0 => String::new(),
        more => format!(", and {more} more differences"),
    };
    let hint = match has_small_stem(state, nearest) {
        true => {
            "; it is the variant for small images, whose first convolution is 3×3 without pooling, which is another network"
        }
        false => "",
    };
    let start = match wanted {
        Some(wanted) => format!("does not hold {wanted}{}", under(nearest)),
        None => format!("holds none of the backbones known here; nearest is {name}{}", under(nearest)),
    };
    format!("{start}, but {}{more}{hint}", shown.join(", "))
}

/// Whether only the first convolution differs, in being one for small images.
fn has_small_stem(state: &StateDict, nearest: &Candidate) -> bool {
    matches!(nearest.name, BackboneName::Resnet18 | BackboneName::Resnet34 | BackboneName::Resnet50)
        && nearest.missing.is_empty()
        && matches!(nearest.wrong[..], [("conv1.weight", found)] if state.shape(found) == Some(&[64, 3, 3, 3]))
}

fn under(candidate: &Candidate) -> String {
    match prefix_in_file(candidate).as_str() {
        "" => String::new(),
        prefix => format!(" under `{prefix}`"),
    }
}
