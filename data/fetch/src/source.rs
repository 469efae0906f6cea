//! What is fetched: an archive, and how to know that it arrived.

/// An archive on the network and what it unpacks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name of the dataset.
    pub name: String,
    /// Addresses of the archive, tried in this order.
    pub urls: Vec<String>,
    /// Name of the archive on disk: a plain file name.
    pub file_name: String,
    /// Form of the archive.
    pub format: ArchiveFormat,
    /// Size of the archive in bytes, if it is known.
    pub size: Option<u64>,
    /// MD5 of the archive, in hexadecimal. It guards against damage, not against an attacker who can make MD5 collide.
    pub md5: String,
    /// The one folder of the archive that is wanted: a plain folder name.
    pub folder: String,
    /// Files that a complete folder has.
    pub files: Vec<ExpectedFile>,
    /// What unpacking may produce at most.
    pub limits: Limits,
}

/// A file that a complete dataset has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFile {
    /// Path in the dataset's folder, with `/` between its parts.
    pub path: String,
    /// Size in bytes, where the format fixes it.
    pub size: Option<u64>,
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// A tar file, compressed by gzip.
    TarGz,
    /// A zip file.
    Zip,
}

/// What unpacking may produce at most: an archive that wants more is a bomb, or not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and folders.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
}
