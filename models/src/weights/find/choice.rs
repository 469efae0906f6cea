//! Chooses among several networks in one file.

use std::cmp::Ordering;

/// Words in the names of networks that are trained …
const TRAINED: [&str; 4] = ["online", "query", "q", "student"];
/// … and of those that follow them as averages.
const FOLLOWING: [&str; 15] = [
    "momentum", "teacher", "target", "ema", "key", "k", "shadow", "swa", "averaged", "average", "avg", "slow", "old",
    "previous", "frozen",
];

/// Orders prefixes: a trained network before an unknown one before one that follows, then the less nested first.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let key = |prefix: &str| (rank(prefix), prefix.matches('.').count(), prefix.len());
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}

fn rank(prefix: &str) -> u8 {
    let lower = prefix.to_lowercase();
    let words = || lower.split(['.', '_', '-']);
    match () {
        _ if words().any(|word| FOLLOWING.contains(&word)) => 2,
        _ if words().any(|word| TRAINED.contains(&word)) => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_trained_comes_before_what_follows_it() {
        for (first, second) in [
            ("module.encoder_q.", "module.encoder_k."),
            ("student.backbone.", "teacher.backbone."),
            ("online_encoder.net.", "target_encoder.net."),
            ("backbone.", "momentum_backbone."),
            ("backbone.", "backbone_momentum."),
            ("state_dict.", "state_dict_ema."),
            ("model.", "ema_model.module."),
            // Neither is known: the one that is less deep.
            ("z.", "a.b."),
            ("remap.", "schema.x."),
        ] {
            assert_eq!(compare(first, second), Ordering::Less, "{first} {second}");
        }
    }
}
