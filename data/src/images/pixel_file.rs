//! A file of decoded images, for sets that are too large for memory.
//!
//! The file lies in the folder `.qare-cache` of the dataset, where the next run finds it. Its name and its header contain a
//! fingerprint of the source files (names in order, sizes and modification times) and of the limit on their pixels, so
//! changed sources lead to a new file. The name and the header also contain the size of the images. A broken image keeps its
//! position, with black pixels, or without any if sizes differ; a list at the end of the file says what is wrong with it.
//!
//! The images are squares of one side, or the sources of random crops. Height and width of each source follow after the pixels.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};

use super::mapped::{MappedPixels, map};

/// Raise it when the same source files decode to different pixels.
const VERSION: &str = "qare images 2\n";
const VERSION_OF_SOURCES: &str = "qare sources 1\n";
const FOLDER: &str = ".qare-cache";
/// Bytes before the first image: version, fingerprint, number of images, side, length of the list of broken images, and, for sources,
/// number of bytes of all pixels.
const HEAD: usize = 96;
/// Bytes of the height and the width of a source.
const OF_SIZE: usize = 8;
/// Age from which an unfinished file is removed. A younger one may still be written.
const UNFINISHED: Duration = Duration::from_secs(24 * 60 * 60);

/// Identifies the content of a file of images.
pub(crate) struct PixelKey {
    /// The dataset's folder.
    dir: PathBuf,
    /// Dataset and split, as in `tiny-train`.
    name: String,
    shape: Shape,
    images: usize,
    fingerprint: [u8; 16],
}

/// The height and width of the images in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Squares of this side.
    Square(usize),
    /// Sources, each of its own size; the shorter side is at most this long.
    Source(usize),
}

impl PixelKey {
    /// The key of the images in the given files of `dir`.
    pub fn new<'a>(
        dir: &Path,
        name: String,
        shape: Shape,
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
        Self { dir: dir.to_path_buf(), name, shape, images, fingerprint: hash.finalize().into() }
    }

    /// The head of a file whose pixels and list of broken images take this many bytes.
    fn head(&self, pixels: usize, broken: usize) -> [u8; HEAD] {
        let (version, side, pixels) = match self.shape {
            Shape::Square(side) => (VERSION, side, 0),
            Shape::Source(most) => (VERSION_OF_SOURCES, most, pixels),
        };
        let mut head = [0; HEAD];
        head[..version.len()].copy_from_slice(version.as_bytes());
        head[32..48].copy_from_slice(&self.fingerprint);
        head[48..56].copy_from_slice(&(self.images as u64).to_le_bytes());
        head[56..64].copy_from_slice(&(side as u64).to_le_bytes());
        head[64..72].copy_from_slice(&(broken as u64).to_le_bytes());
        head[72..80].copy_from_slice(&(pixels as u64).to_le_bytes());
        head
    }

    /// The common prefix of the names of all files of this dataset, split and size.
    fn prefix(&self) -> String {
        match self.shape {
            Shape::Square(side) => format!("{}-{side}-", self.name),
            Shape::Source(most) => format!("{}-source-{most}-", self.name),
        }
    }

    /// The file in the dataset's folder.
    pub fn path(&self) -> PathBuf {
        let fingerprint: String = self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(FOLDER).join(format!("{}{fingerprint}.pixels", self.prefix()))
    }

    /// The images of an earlier run, if their file exists and is complete.
    pub fn find(&self) -> Option<Stored> {
        self.map(&File::open(self.path()).ok()?).ok()
    }

    fn map(&self, file: &File) -> io::Result<Stored> {
        let other = |problem| Err(io::Error::other(problem));
        let map = map(file)?;
        let number = |place: usize| {
            let bytes = map.get(place..place + 8).map(|bytes| bytes.try_into().expect("eight bytes"));
            usize::try_from(u64::from_le_bytes(bytes.unwrap_or_default())).unwrap_or(usize::MAX)
        };
        let (bytes, sizes) = match self.shape {
            Shape::Square(side) => (self.images * 3 * side * side, 0),
            Shape::Source(_) => (number(72), self.images * OF_SIZE),
        };
        let ends = HEAD.checked_add(bytes).and_then(|start| Some((start, start.checked_add(sizes)?)));
        let Some((start_of_sizes, start_of_list)) = ends.filter(|(_, list)| *list <= map.len()) else {
            return other("the file is too short");
        };
        if map[..HEAD] != self.head(bytes, map.len() - start_of_list) {
            return other("the file holds other images");
        }
        let side = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize;
        let sizes = map[start_of_sizes..start_of_list].chunks_exact(OF_SIZE);
        let sizes: Vec<(usize, usize)> = sizes.map(|size| (side(&size[..4]), side(&size[4..]))).collect();
        let of_all = sizes
            .iter()
            .try_fold(0usize, |all, (height, width)| all.checked_add(height.checked_mul(*width)?.checked_mul(3)?));
        if matches!(self.shape, Shape::Source(_)) && of_all != Some(bytes) {
            return other("the sizes of the images do not match their pixels");
        }
        let list = String::from_utf8_lossy(&map[start_of_list..]);
        let broken: Option<Vec<(usize, String)>> = list.lines().map(|line| self.broken(line)).collect();
        let Some(broken) = broken else { return other("the list of broken images is damaged") };
        Ok(Stored { pixels: MappedPixels { map, start: HEAD, bytes, by_columns: false }, sizes, broken })
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
    /// Height and width of each source; empty for squares.
    pub sizes: Vec<(usize, usize)>,
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
    /// Number of bytes of the pixels that are written.
    written: usize,
}

impl<'a> PixelWriter<'a> {
    fn new(key: &'a PixelKey, path: PathBuf, place: Option<PathBuf>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let mut writer = Self { key, file, path, place, written: 0 };
        writer.file.write_all(&key.head(0, 0))?;
        Ok(writer)
    }

    /// Whether a later run can find the file.
    pub fn is_lasting(&self) -> bool {
        self.place.is_some()
    }

    /// Appends the next images.
    pub fn write(&mut self, pixels: &[u8]) -> io::Result<()> {
        self.file.write_all(pixels)?;
        self.written += pixels.len();
        Ok(())
    }

    /// A temporary file with the images that are written so far. An image that is written in part is left out.
    pub fn moved(mut self) -> io::Result<Self> {
        let mut moved = self.key.create_temporary()?;
        self.file.seek(SeekFrom::Start(HEAD as u64))?;
        moved.written = io::copy(&mut (&self.file).take(self.written as u64), &mut moved.file)? as usize;
        Ok(moved)
    }

    /// Appends the sizes of the images, if they differ, and the list of broken images, gives the file its final name, removes the files
    /// it replaces and maps it.
    pub fn finish(mut self, sizes: &[(usize, usize)], broken: &[(usize, String)]) -> io::Result<Stored> {
        let line = |(image, problem): &(usize, String)| format!("{image}\t{}\n", problem.replace(['\n', '\r'], " "));
        let list: String = broken.iter().map(line).collect();
        let sizes: Vec<u8> =
            sizes.iter().flat_map(|size| [size.0 as u32, size.1 as u32]).flat_map(u32::to_le_bytes).collect();
        self.file.write_all(&sizes)?;
        self.file.write_all(list.as_bytes())?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.key.head(self.written, list.len()))?;
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
