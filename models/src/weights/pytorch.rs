use std::collections::HashMap;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn_store::pytorch::{PytorchError, PytorchReader};

use super::collect::NamedTensor;
use super::error::WeightsError;
use super::path::is_batch_counter;
use super::state_dict::StateDict;

const FORMAT: &str = "PyTorch";

/// Loads a module from a file of `torch.save`; see [`StateDict::read_pytorch`].
///
/// # Errors
///
/// Those of [`StateDict::read_pytorch`] and [`StateDict::load_into`].
pub fn load_pytorch<B: Backend, M: Module<B>>(
    module: M,
    path: &Path,
    top_level_key: Option<&str>,
) -> Result<M, WeightsError> {
    StateDict::read_pytorch(path, top_level_key)?.load_into(module, "")
}

pub(super) fn read(path: &Path, top_level_key: Option<&str>) -> Result<StateDict, WeightsError> {
    let damaged = |reason: String| WeightsError::Damaged { path: path.to_owned(), format: FORMAT, reason };
    // A missing file would otherwise read as one of no known format.
    std::fs::metadata(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;

    // The reader trusts offsets and sizes in the file, so that damage can make it panic.
    let reader = catch_unwind(AssertUnwindSafe(|| match top_level_key {
        Some(key) => PytorchReader::with_top_level_key(path, key),
        None => PytorchReader::new(path),
    }))
    .map_err(|_| damaged("its structure is inconsistent".to_owned()))?
    .map_err(|error| match error {
        PytorchError::Io(source) if !is_about_contents(&source) => WeightsError::Io { path: path.to_owned(), source },
        other => damaged(other.to_string()),
    })?;

    let mut tensors = Vec::with_capacity(reader.len());
    for (name, snapshot) in reader.tensors() {
        let data = snapshot.to_data().map_err(|error| damaged(format!("tensor `{name}`: {error:?}")))?;
        if !data.dtype.is_float() && !is_batch_counter(name) {
            return Err(WeightsError::Type {
                path: path.to_owned(),
                name: name.clone(),
                expected: "a float type",
                found: format!("{:?}", data.dtype),
            });
        }
        let mut shape = data.shape.to_vec();
        if is_batch_counter(name) {
            // The reader makes a scalar a vector of one.
            shape.clear();
        }
        let values =
            data.convert::<f32>().into_vec().map_err(|error| damaged(format!("tensor `{name}`: {error:?}")))?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(damaged(format!("tensor `{name}` has {} values for its shape {shape:?}", values.len())));
        }
        tensors.push(NamedTensor { name: name.clone(), shape, values });
    }
    Ok(StateDict::new(path, tensors, HashMap::new()))
}

/// Whether an I/O error tells of what is in the file, and not of the file system.
fn is_about_contents(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput)
}
