//! MAT-files of MATLAB and SciPy.

use qare_matfile::MatFile;

use crate::told;

const LIMIT: usize = 1 << 20;

/// Reads a MAT-file.
pub fn file(bytes: &[u8]) {
    if let Err(error) = MatFile::read(bytes, LIMIT) {
        told(error);
    }
}
