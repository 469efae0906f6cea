//! Translates the names that other programs give to the tensors of a ResNet.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::weights::layout::LAYOUTS;
use crate::weights::path::WRAPPERS;

/// A name without wrappers, and with torchvision's names for the parts of a block.
pub(super) fn plain(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
    for part in &mut parts {
        if *part == "shortcut" {
            *part = "downsample";
        }
    }
    let plain = parts.join(".");
    of_transformers(&plain).unwrap_or(plain)
}

/// The name of a tensor of a ResNet in Hugging Face's transformers, in torchvision's terms.
fn of_transformers(name: &str) -> Option<String> {
    let kind = |what: &str, convolution: &str, normalization: &str| match what {
        "convolution" => Some(convolution.to_owned()),
        "normalization" => Some(normalization.to_owned()),
        _ => None,
    };
    if let Some((prefix, rest)) = split_at(name, "embedder.embedder.") {
        let (what, leaf) = rest.split_once('.')?;
        return Some(format!("{prefix}{}.{leaf}", kind(what, "conv1", "bn1")?));
    }
    let (prefix, rest) = split_at(name, "encoder.stages.")?;
    let parts: Vec<&str> = rest.split('.').collect();
    let (stage, block, inner) = match parts[..] {
        [stage, "layers", block, "layer", layer, what, leaf] => {
            let number = layer.parse::<u8>().ok()?.checked_add(1)?;
            let inner = kind(what, &format!("conv{number}"), &format!("bn{number}"))?;
            (stage, block, format!("{inner}.{leaf}"))
        }
        [stage, "layers", block, "downsample", what, leaf] => {
            (stage, block, format!("{}.{leaf}", kind(what, "downsample.0", "downsample.1")?))
        }
        _ => return None,
    };
    let stage = stage.parse::<u8>().ok()?.checked_add(1)?;
    Some(format!("{prefix}layer{stage}.{block}.{inner}"))
}

/// What comes before whole parts of a name, and what comes after them.
fn split_at<'a>(name: &'a str, parts: &str) -> Option<(&'a str, &'a str)> {
    let at = name.find(parts)?;
    let starts_a_part = at == 0 || name[..at].ends_with('.');
    starts_a_part.then(|| (&name[..at], &name[at + parts.len()..]))
}

/// How the modules of a network are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Naming {
    /// By the attributes of its class.
    Class,
    /// By their positions in a `Sequential`.
    Places,
}

/// The prefix of the network that a tensor of this plain name belongs to: empty, or with a dot at its end.
pub(super) fn root_of(name: &str) -> Option<(&str, Naming)> {
    static NAMES: LazyLock<HashSet<&str>> =
        LazyLock::new(|| LAYOUTS.iter().flat_map(|layout| &layout.tensors).map(|(name, _)| name.as_str()).collect());
    const MOST_PARTS: usize = 5;

    // The longest end of it that is the name of a tensor counts.
    let ends: Vec<usize> = name.rmatch_indices('.').map(|(dot, _)| dot + 1).take(MOST_PARTS).collect();
    let starts = ends.iter().copied().chain((ends.len() < MOST_PARTS).then_some(0));
    let known = starts.rev().find(|start| NAMES.contains(&name[*start..]));
    let is_of_layer = known.is_some_and(|start| name[start..].starts_with("layer"));
    if !is_of_layer && let Some(start) = start_of_places(name) {
        return Some((&name[..start], Naming::Places));
    }
    known.map(|start| (&name[..start], Naming::Class))
}

/// The start of a module's position in a Sequential, if the name goes on like that of a tensor of a ResNet's block.
fn start_of_places(name: &str) -> Option<usize> {
    const OF_BLOCKS: [&str; 7] = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "downsample"];
    const OF_LAYERS: [&str; 2] = ["conv", "bn"];
    let mut starts = Vec::new();
    let mut start = 0;
    for part in name.split('.') {
        let numbers = starts.iter().rev().take_while(|(_, is_number)| *is_number).count();
        let needed = match part {
            _ if OF_BLOCKS.contains(&part) => 2,
            _ if OF_LAYERS.contains(&part) => 1,
            _ => usize::MAX,
        };
        if numbers >= needed {
            return Some(starts[starts.len() - numbers].0);
        }
        starts.push((start, is_number(part)));
        start += part.len() + 1;
    }
    None
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.len() < 10 && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// Replaces positions in names by the names of `modules`. The modules that have tensors are matched in their order, for
/// those without (ReLU, pooling) have positions too.
pub(super) fn by_modules<'a>(names: impl Iterator<Item = &'a str>, modules: &[String]) -> HashMap<&'a str, String> {
    let placed: Vec<(&str, Vec<u32>, &str)> =
        names.filter_map(|name| place(name).map(|(place, rest)| (name, place, rest))).collect();
    let mut places: Vec<&Vec<u32>> = placed.iter().map(|(_, place, _)| place).collect();
    places.sort();
    places.dedup();
    let modules: HashMap<&Vec<u32>, &String> = places.into_iter().zip(modules).collect();
    placed
        .iter()
        .filter_map(|(name, place, rest)| modules.get(place).map(|module| (*name, format!("{module}.{rest}"))))
        .collect()
}

/// The position of a tensor's module in nested Sequentials, and the tensor's name in the module.
fn place(name: &str) -> Option<(Vec<u32>, &str)> {
    let mut rest = name;
    let mut numbers = Vec::new();
    let mut before_last = name;
    while let Some((part, after)) = rest.split_once('.')
        && is_number(part)
    {
        numbers.push(part.parse().ok()?);
        before_last = rest;
        rest = after;
    }
    if numbers.len() > 1 && rest.contains('.') {
        // The last number is that of a block in the module.
        numbers.pop();
        rest = before_last;
    }
    (!numbers.is_empty()).then_some((numbers, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_no_part_of_a_name() {
        for name in ["module.layer1.0.conv1.weight", "_orig_mod.layer1.module.0.conv1.weight"] {
            assert_eq!(plain(name), "layer1.0.conv1.weight");
        }
        assert_eq!(plain("net.layer2.0.shortcut.0.weight"), "net.layer2.0.downsample.0.weight");
    }

    #[test]
    fn names_of_transformers_are_torchvisions() {
        for (name, expected) in [
            ("resnet.embedder.embedder.convolution.weight", "resnet.conv1.weight"),
            ("embedder.embedder.normalization.running_var", "bn1.running_var"),
            ("encoder.stages.0.layers.1.layer.0.convolution.weight", "layer1.1.conv1.weight"),
            ("resnet.encoder.stages.3.layers.0.layer.1.normalization.bias", "resnet.layer4.0.bn2.bias"),
            ("encoder.stages.1.layers.0.shortcut.convolution.weight", "layer2.0.downsample.0.weight"),
            ("encoder.stages.1.layers.0.shortcut.normalization.weight", "layer2.0.downsample.1.weight"),
            ("encoder.stages.x.layers.0.conv.weight", "encoder.stages.x.layers.0.conv.weight"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }

    #[test]
    fn a_network_begins_where_the_name_of_its_tensor_does() {
        for (name, root, naming) in [
            ("layer1.0.conv1.weight", "", Naming::Class),
            ("a.b.layer3.0.downsample.1.num_batches_tracked", "a.b.", Naming::Class),
            ("a.conv1.weight", "a.", Naming::Class),
            ("backbone.layer4.bn.weight", "backbone.", Naming::Class),
            ("backbone.4.0.conv1.weight", "backbone.", Naming::Places),
            ("4.0.downsample.1.bias", "", Naming::Places),
            ("f.0.1.0.bn2.weight", "f.", Naming::Places),
            ("0.conv.weight", "", Naming::Places),
        ] {
            assert_eq!(root_of(name), Some((root, naming)), "{name}");
        }
        assert_eq!(root_of("blocks.0.attn.qkv.weight"), None);
    }

    #[test]
    fn modules_are_matched_in_the_order_of_their_places() {
        let modules = ["conv1", "bn1", "layer1", "layer2"].map(str::to_owned);
        let found = |names: [&'static str; 5]| {
            let named = by_modules(names.into_iter(), &modules);
            names.map(|name| named.get(name).cloned())
        };
        let expected = ["conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.1.downsample.0.weight"];
        let expected = expected.map(|name| Some(name.to_owned()));
        let found_flat = found(["0.weight", "1.bias", "4.0.conv1.weight", "10.1.downsample.0.weight", "11.weight"]);
        assert_eq!(found_flat[..4], expected);
        assert_eq!(found_flat[4], None);
        let nested = found(["0.0.weight", "0.1.bias", "1.0.conv1.weight", "2.1.downsample.0.weight", "x.weight"]);
        assert_eq!(nested[..4], expected);
    }
}
