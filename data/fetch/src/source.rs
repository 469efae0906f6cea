//! The description of an archive to fetch.

/// An archive on the network, and the folder that it unpacks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A name for messages.
    pub name: String,
    /// Addresses of the archive, in the order in which they are tried.
    pub urls: Vec<String>,
    /// File name of the archive on disk, without folders.
    pub file_name: String,
    /// Format of the archive.
    pub format: ArchiveFormat,
    /// Size of the archive in bytes, if it is known.
    pub size: Option<u64>,
    /// MD5 checksum of the archive, in hexadecimal. It detects damage, but not an attacker who constructs MD5 collisions.
    pub md5: String,
    /// The top-level folder of the archive that is unpacked. Everything else in the archive is discarded.
    pub folder: String,
    /// Files that a complete folder contains.
    pub files: Vec<ExpectedFile>,
    /// Limits on what is unpacked.
    pub limits: Limits,
}

/// A file that a complete folder contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFile {
    /// Path relative to the folder, with `/` as the separator.
    pub path: String,
    /// Size in bytes, if it is fixed.
    pub size: Option<u64>,
}

/// The format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// A tar archive compressed with gzip.
    TarGz,
    /// A zip archive.
    Zip,
}

/// Limits on what is unpacked. An archive that exceeds them is a decompression bomb, or the wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Number of files and folders.
    pub entries: u64,
    /// Number of bytes of all files.
    pub bytes: u64,
}
