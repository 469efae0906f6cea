use std::path::Path;

use burn::module::Module;
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder};
use burn::tensor::backend::Backend;

use super::error::WeightsError;

/// The contents of a Burn record of `module`: named MessagePack in full precision, what
/// `NamedMpkFileRecorder<FullPrecisionSettings>` reads.
///
/// ```no_run
/// use burn::module::Module;
/// use burn::record::{FullPrecisionSettings, NamedMpkFileRecorder};
/// use burn_flex::Flex;
/// use qare_models::{BackboneName, save_record};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Default::default();
/// let trained = BackboneName::Conv4.init::<Flex>(1, &device);
/// save_record(&trained, "backbone.mpk".as_ref())?;
///
/// let recorder = NamedMpkFileRecorder::<FullPrecisionSettings>::new();
/// let backbone = BackboneName::Conv4.init::<Flex>(0, &device).load_file("backbone", &recorder, &device)?;
/// # Ok(())
/// # }
/// ```
///
/// Parameters have the random ids that Burn gives them: the same weights do not always make the same bytes.
pub fn record_bytes<B: Backend, M: Module<B>>(module: &M) -> Vec<u8> {
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::new();
    Recorder::<B>::record(&recorder, module.clone().into_record(), ()).expect("tensors can be written to memory")
}

/// Writes `module` to a file of this very name; see [`record_bytes`]. Burn's recorders want it to end in `.mpk`.
///
/// The file is written in place: to never leave half of one, give a name beside the final one and rename.
///
/// # Errors
///
/// [`WeightsError::Io`].
pub fn save_record<B: Backend, M: Module<B>>(module: &M, path: &Path) -> Result<(), WeightsError> {
    std::fs::write(path, record_bytes(module)).map_err(|source| WeightsError::Io { path: path.to_owned(), source })
}
