//! Weights in and out of modules, under the names and in the layouts of PyTorch's `state_dict`.

mod archive;
mod collect;
mod element;
mod error;
mod find;
mod layout;
mod load;
mod numbers;
mod path;
mod pytorch;
mod record;
mod safetensors_file;
mod safetensors_header;
mod state_dict;

pub use collect::{NamedTensor, named_tensors, parameter_count};
pub use error::WeightsError;
pub use find::{FoundBackbone, LeftOut};
pub use pytorch::load_pytorch;
pub use record::{record_bytes, save_record};
pub use safetensors_file::{load_safetensors, safetensors_bytes, save_safetensors, write_safetensors};
pub use state_dict::StateDict;
