use std::collections::HashMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::backend::Backend;
use safetensors::tensor::{Dtype, TensorView};

use super::collect::{NamedTensor, named_tensors};
use super::error::WeightsError;
use super::state_dict::StateDict;

/// The contents of a safetensors file with these tensors: f32, but counters of batches i64, as
/// PyTorch's `load_state_dict` wants them. The same tensors make the same bytes.
///
/// # Panics
///
/// If a tensor's shape does not fit its values.
pub fn safetensors_bytes(tensors: &[NamedTensor], metadata: Option<HashMap<String, String>>) -> Vec<u8> {
    let encoded: Vec<(Dtype, Vec<u8>)> = tensors.iter().map(encode).collect();
    let views = tensors.iter().zip(&encoded).map(|(tensor, (dtype, bytes))| {
        let view = TensorView::new(*dtype, tensor.shape.clone(), bytes)
            .unwrap_or_else(|e| panic!("tensor `{}`: {e}", tensor.name));
        (tensor.name.as_str(), view)
    });
    safetensors::serialize(views, metadata).expect("names, shapes and texts make valid JSON")
}

fn encode(tensor: &NamedTensor) -> (Dtype, Vec<u8>) {
    match tensor.is_batch_counter() {
        true => {
            let counts = tensor.values.iter().map(|value| *value as i64);
            (Dtype::I64, counts.flat_map(i64::to_le_bytes).collect())
        }
        false => {
            let values = tensor.values.iter().copied();
            (Dtype::F32, values.flat_map(f32::to_le_bytes).collect())
        }
    }
}

/// Writes tensors, of one module or of several with a prefix each, to one safetensors file.
///
/// The file is written in place: to never leave half of one, give a name beside the final one and
/// rename.
///
/// # Errors
///
/// [`WeightsError::Io`].
pub fn write_safetensors(
    path: &Path,
    tensors: &[NamedTensor],
    metadata: Option<HashMap<String, String>>,
) -> Result<(), WeightsError> {
    std::fs::write(path, safetensors_bytes(tensors, metadata))
        .map_err(|source| WeightsError::Io { path: path.to_owned(), source })
}

/// Writes one module to a safetensors file; see [`write_safetensors`] and [`named_tensors`].
///
/// # Errors
///
/// [`WeightsError::Io`].
pub fn save_safetensors<B: Backend, M: Module<B>>(module: &M, prefix: &str, path: &Path) -> Result<(), WeightsError> {
    write_safetensors(path, &named_tensors(module, prefix), None)
}

/// Loads a module from the tensors under `prefix` of a safetensors file.
///
/// # Errors
///
/// Those of [`StateDict::read_safetensors`] and [`StateDict::load_into`].
pub fn load_safetensors<B: Backend, M: Module<B>>(module: M, prefix: &str, path: &Path) -> Result<M, WeightsError> {
    StateDict::read_safetensors(path)?.load_into(module, prefix)
}
