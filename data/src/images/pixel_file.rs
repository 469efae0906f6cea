//! A file of decoded images, for sets that are too large for memory.
//!
//! The file lies in the folder `.qare-cache` of the dataset, where the next run finds it. Its name and its header contain a
//! fingerprint of the source files (names in order, sizes and modification times) and of the limit on their pixels, so
//! changed sources lead to a new file. The name and the header also contain the side of the images. A broken image keeps its
//! position, with black pixels; a list at the end of the file says what is wrong with it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};

use super::mapped::{MappedPixels, map};

/// Raise it when the same source files decode to different pixels.
const VERSION: &str = "qare images 2\n";
const FOLDER: &str = ".qare-cache";
/// Bytes before the first image: version, fingerprint, number of images, side, and length of the list of broken images.
const HEAD: usize = 96;
/// Age from which an unfinished file is removed. A younger one may still be written.
const UNFINISHED: Duration = Duration::from_secs(24 * 60 * 60);

/// Identifies the content of a file of images.
pub(crate) struct PixelKey {
    /// The dataset's folder.
    dir: PathBuf,
    /// Dataset and split, as in `tiny-train`.
    name: String,
    side: usize,
    images: usize,
    fingerprint: [u8; 16],
}

impl PixelKey {
    /// The key of the images in the given files of `dir`.
    pub fn new<'a>(
        dir: &Path,
        name: String,
        side: usize,
        max_pixels: u64,
        files: impl ExactSizeIterator<Item = &'a str>,
    ) -> Self {
        let mut hash = Md5::new();
        hash.update(max_pixels.to_le_bytes());
        let images = files.len();
        for file in files {
            hash.update(file.as_bytes());
            hash.update([0]);
            // Without metadata the image is broken, and the fingerprint does without them.
            if let Ok(metadata) = fs::metadata(dir.join(file)) {
                let time = metadata.modified().unwrap_or(UNIX_EPOCH).duration_since(UNIX_EPOCH).unwrap_or_default();
                hash.update(metadata.len().to_le_bytes());
                hash.update(time.as_nanos().to_le_bytes());
            }
        }
        Self { dir: dir.to_path_buf(), name, side, images, fingerprint: hash.finalize().into() }
    }

    fn bytes(&self) -> usize {
        self.images * 3 * self.side * self.side
    }

    fn head(&self, broken: usize) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..VERSION.len()].copy_from_slice(VERSION.as_bytes());
        head[32..48].copy_from_slice(&self.fingerprint);
        head[48..56].copy_from_slice(&(self.images as u64).to_le_bytes());
        head[56..64].copy_from_slice(&(self.side as u64).to_le_bytes());
        head[64..72].copy_from_slice(&(broken as u64).to_le_bytes());
        head
    }

    /// The common prefix of the names of all files of this dataset, split and side.
    fn prefix(&self) -> String {
        format!("{}-{}-", self.name, self.side)
    }

    fn path(&self) -> PathBuf {
        let fingerprint: String = self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(FOLDER).join(format!("{}{fingerprint}.pixels", self.prefix()))
    }

    /// The images of an earlier run, if their file exists and is complete.
    pub fn find(&self) -> Option<Stored> {
        self.map(&File::open(self.path()).ok()?).ok()
    }

    fn map(&self, file: &File) -> io::Result<Stored> {
        let (start, bytes) = (HEAD, self.bytes());
        let length = file.metadata()?.len();
        let Some(broken) = length.checked_sub((start + bytes) as u64) else {
            return Err(io::Error::other("the file is too short"));
        };
        let map = map(file)?;
        if map[..HEAD] != self.head(broken as usize) {
            return Err(io::Error::other("the file holds other images"));
        }
        let list = String::from_utf8_lossy(&map[start + bytes..]);
        let broken: Option<Vec<(usize, String)>> = list.lines().map(|line| self.broken(line)).collect();
        let broken = broken.ok_or_else(|| io::Error::other("the list of broken images is damaged"))?;
        Ok(Stored { pixels: MappedPixels { map, start, bytes, by_columns: false }, broken })
    }

    /// Parses one line of the list of broken images: the image and what is wrong with it.
    fn broken(&self, line: &str) -> Option<(usize, String)> {
        let (image, problem) = line.split_once('\t')?;
        let image = image.parse().ok().filter(|image| *image < self.images)?;
        Some((image, problem.to_owned()))
    }

    /// Creates a file in the dataset's folder or, if that fails, in the system's folder for temporary files, where no later run
    /// finds it.
    pub fn create(&self) -> io::Result<PixelWriter<'_>> {
        let path = self.path();
        let lasting = fs::create_dir_all(self.dir.join(FOLDER)).and_then(|()| {
            self.remove_others(|name, age| name.ends_with(".part") && age > UNFINISHED);
            PixelWriter::new(self, unique(&path), Some(path))
        });
        lasting.or_else(|_| self.create_temporary())
    }

    /// Creates a file that disappears when the process ends.
    pub fn create_temporary(&self) -> io::Result<PixelWriter<'_>> {
        PixelWriter::new(self, unique(&std::env::temp_dir().join("qare-images")), None)
    }

    /// Removes the useless ones among the other files of this dataset, split and side. Errors are ignored.
    fn remove_others(&self, useless: impl Fn(&str, Duration) -> bool) {
        let (path, prefix) = (self.path(), self.prefix());
        for entry in fs::read_dir(self.dir.join(FOLDER)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            let age = changed.ok().and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default();
            if entry.path() != path && name.starts_with(&prefix) && useless(&name, age) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The content of a complete file.
pub(crate) struct Stored {
    pub pixels: MappedPixels,
    /// The indices of the broken images, ascending, and what is wrong with each.
    pub broken: Vec<(usize, String)>,
}

/// A unique name in the folder of `path`.
fn unique(path: &Path) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut name = path.file_name().expect("a file has a name").to_os_string();
    name.push(format!(".{}-{}-{time}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Writes a file of images. Dropping it unfinished removes the file.
pub(crate) struct PixelWriter<'a> {
    key: &'a PixelKey,
    file: File,
    path: PathBuf,
    /// The final name; `None` for a temporary file.
    place: Option<PathBuf>,
}

impl<'a> PixelWriter<'a> {
    fn new(key: &'a PixelKey, path: PathBuf, place: Option<PathBuf>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let mut writer = Self { key, file, path, place };
        writer.write(&key.head(0))?;
        Ok(writer)
    }

    /// Whether a later run can find the file.
    pub fn is_lasting(&self) -> bool {
        self.place.is_some()
    }

    /// Appends the next images.
    pub fn write(&mut self, pixels: &[u8]) -> io::Result<()> {
        self.file.write_all(pixels)
    }

    /// Appends the list of broken images, gives the file its final name, removes the files it replaces and maps it.
    pub fn finish(mut self, broken: &[(usize, String)]) -> io::Result<Stored> {
        let line = |(image, problem): &(usize, String)| format!("{image}\t{}\n", problem.replace(['\n', '\r'], " "));
        let list: String = broken.iter().map(line).collect();
        self.write(list.as_bytes())?;
        self.file.seek(SeekFrom::Start(0))?;
        self.write(&self.key.head(list.len()))?;
        if let Some(place) = &self.place {
            self.file.sync_all()?;
            fs::rename(&self.path, place)?;
            self.key.remove_others(|name, _| name.ends_with(".pixels"));
        }
        // Dropping the writer removes a temporary file's name; its content lives as long as it is mapped.
        self.key.map(&self.file)
    }
}

impl Drop for PixelWriter<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
