//! Unpacks an archive by its format.

use std::fs::File;
use std::path::Path;

use crate::unpacker::{Contents, Unpacker};
use crate::{ArchiveFormat, Event, FetchError, Source, tarball, zipped};

/// Unpacks an archive to `into`, which must not exist.
pub(super) fn unpack(
    archive: &File,
    source: &Source,
    into: &Path,
    progress: &dyn Fn(Event<'_>),
) -> Result<Contents, FetchError> {
    std::fs::create_dir(into).map_err(|error| FetchError::Write { path: into.to_owned(), source: error })?;
    let mut unpacker = Unpacker::new(&source.file_name, into, source.limits);
    match source.format {
        ArchiveFormat::TarGz => tarball::unpack(archive, &mut unpacker, progress)?,
        ArchiveFormat::Zip => zipped::unpack(archive, &mut unpacker, progress)?,
    }
    Ok(unpacker.contents())
}
