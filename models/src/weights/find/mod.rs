//! Finds a backbone in any state dict that holds it.

mod candidate;
mod choice;
mod difference;
mod naming;
mod report;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use burn::tensor::backend::Backend;

use super::collect::{NamedTensor, named_shapes};
use super::error::WeightsError;
use super::layout::LAYOUTS;
use super::load;
use super::state_dict::StateDict;
use crate::{Backbone, BackboneName};
use candidate::{Candidate, candidates, roots};
use report::left_out;

/// A backbone that was found in a file, with its weights.
///
/// Its `Display` is a line that says what was taken of the file, and what was left out.
#[derive(Clone, Debug)]
pub struct FoundBackbone {
    path: PathBuf,
    name: BackboneName,
    prefix: String,
    taken: usize,
    left_out: Vec<LeftOut>,
    tensors: BTreeMap<String, NamedTensor>,
}

/// Tensors of a file that are not of the backbone that was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What their names in the file begin with.
    pub prefix: String,
    /// How many there are.
    pub tensors: usize,
    /// The backbone that they are, if they are one.
    pub backbone: Option<BackboneName>,
}

impl StateDict {
    /// Finds a backbone, or the one that is `wanted`, by the names and shapes of its tensors: under any prefix, beside
    /// whatever else is in the file, in modules of other kinds (DataParallel, `torch.compile`), and with its modules named
    /// by their places in a `Sequential` or as Hugging Face's transformers name them. Counters of batches are optional.
    ///
    /// Of several, one that is trained (online, query, student) comes before one that is not known to be either, and
    /// that before one that follows (momentum, key, teacher, an average); then the one that is less deep in the file.
    ///
    /// # Errors
    ///
    /// [`WeightsError::NoBackbone`] with the nearest backbone and the first differences, [`WeightsError::NotFinite`],
    /// [`WeightsError::Damaged`] and [`WeightsError::Io`].
    pub fn find_backbone(&self, wanted: Option<BackboneName>) -> Result<FoundBackbone, WeightsError> {
        let names = self.plain_names();
        let roots = roots(&names);
        let all: Vec<Candidate> = roots.iter().flat_map(|root| candidates(self, &names, root)).collect();
        let mut fitting: Vec<&Candidate> = all.iter().filter(|candidate| candidate.fits()).collect();
        fitting.sort_by(|one, other| choice::compare(one.prefix, other.prefix));
        let chosen = fitting.iter().find(|candidate| wanted.is_none_or(|wanted| candidate.name == wanted));
        let Some(chosen) = chosen else {
            let reason = difference::told(self, wanted, &fitting, &all);
            return Err(WeightsError::NoBackbone { path: self.path().to_owned(), reason });
        };

        let (wanted, present): (Vec<&str>, Vec<&str>) =
            chosen.found.iter().map(|(wanted, name)| (*wanted, *name)).unzip();
        let mut tensors: BTreeMap<String, NamedTensor> = self
            .values(&present)?
            .into_iter()
            .zip(wanted)
            .map(|(tensor, wanted)| (wanted.to_owned(), NamedTensor { name: wanted.to_owned(), ..tensor }))
            .collect();
        let layout = LAYOUTS.iter().find(|layout| layout.name == chosen.name).expect("each backbone has one");
        for (name, shape) in &layout.tensors {
            let counter = || NamedTensor { name: name.clone(), shape: shape.clone(), values: vec![0.0] };
            tensors.entry(name.clone()).or_insert_with(counter).shape.clone_from(shape);
        }
        let taken: HashSet<&str> = present.iter().copied().collect();
        Ok(FoundBackbone {
            path: self.path().to_owned(),
            name: chosen.name,
            prefix: prefix_in_file(chosen),
            taken: taken.len(),
            left_out: left_out(&names, chosen, &fitting, &taken),
            tensors,
        })
    }

    /// Names in the file by plain names. Of two that have one plain name, the one without wrappers is meant.
    fn plain_names(&self) -> BTreeMap<String, &str> {
        let mut names = BTreeMap::new();
        for name in self.names() {
            let plain = naming::plain(name);
            let known = names.entry(plain).or_insert(name);
            if name.len() < known.len() {
                *known = name;
            }
        }
        names
    }
}

/// What the names of a backbone's tensors in the file begin with, up to the last dot.
fn prefix_in_file(candidate: &Candidate) -> String {
    let mut names = candidate.found.values();
    let first = names.next().copied().unwrap_or_default();
    let common = names.fold(first, |common, name| {
        let length = common.bytes().zip(name.bytes()).take_while(|(one, other)| one == other).count();
        &first[..length.min(common.len())]
    });
    common.rfind('.').map_or_else(String::new, |dot| common[..dot].to_owned())
}

impl FoundBackbone {
    /// Which one it is.
    pub fn name(&self) -> BackboneName {
        self.name
    }

    /// What the names of its tensors in the file begin with, without a dot at the end; empty where they are bare.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What else is in the file.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The backbone, on a device.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Backbone<B> {
        load::put(self.name.init::<B>(0, device), "", self.tensors.clone())
    }

    /// Puts the weights into a backbone of this name, on its devices. Clones of it share its running statistics and
    /// so receive those too.
    ///
    /// # Errors
    ///
    /// [`WeightsError::NoBackbone`] if it is another backbone. Nothing was changed then.
    pub fn load_into<B: Backend>(&self, backbone: Backbone<B>) -> Result<Backbone<B>, WeightsError> {
        let shapes = named_shapes(&backbone, "");
        let fits = shapes.len() == self.tensors.len()
            && shapes.iter().all(|(name, shape)| self.tensors.get(name).is_some_and(|found| found.shape == *shape));
        match fits {
            true => Ok(load::put(backbone, "", self.tensors.clone())),
            false => Err(WeightsError::NoBackbone {
                path: self.path.clone(),
                reason: format!("holds {}, which is another backbone than the one to load", self.name),
            }),
        }
    }
}
