//! Finds and reads the files of CIFAR-10 and CIFAR-100.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cifar::{Archive, Form, IMAGE_SIZE, LabelKind, Layout, Part, SIDE};
use super::cifar_pickle;
use super::splits::Splits;
use crate::error::{DataError, counted, first_of};
use crate::images::ImageSet;

/// Number of records read at a time; it divides the number of records of every file.
const CHUNK: usize = 100;

impl Archive {
    /// The versions of the archive in `dir`, or `dir` itself if it is one; the preferred version first.
    pub fn find(&self, dir: &Path) -> Vec<(PathBuf, &Layout)> {
        let inside = self.layouts.iter().map(|layout| (dir.join(layout.folder), layout));
        let inside: Vec<_> = inside.filter(|(folder, _)| folder.is_dir()).collect();
        if !inside.is_empty() {
            return inside;
        }
        self.layouts.iter().filter(|layout| layout.is_in(dir)).map(|layout| (dir.to_path_buf(), layout)).collect()
    }

    /// Loads the dataset with one kind of label. `class_names` receives the folder and the version that was found.
    pub fn load(
        &self,
        dataset: &'static str,
        dir: Option<&Path>,
        kind: usize,
        class_names: impl Fn(&Path, Form) -> Result<Vec<String>, DataError>,
    ) -> Result<Splits, DataError> {
        let (expected, advice) = (self.expected, self.advice);
        let dir = dir.ok_or(DataError::FolderNeeded { dataset, folder: self.layouts[0].folder, advice })?;
        let (folder, layout) = self.find(dir).into_iter().next().ok_or_else(|| DataError::NotFound {
            dataset,
            dir: dir.to_path_buf(),
            expected,
            advice,
        })?;
        let files = layout.files(&folder);
        if let Some((path, _)) = files.iter().find(|(path, _)| !path.is_file()) {
            return Err(DataError::MissingFile { path: path.clone(), expected: layout.expected });
        }
        let names = class_names(&folder, layout.form)?;
        let parts: Vec<_> = files.par_iter().map(|(path, images)| self.read(layout, path, *images)).collect();
        let mut parts: Vec<Part> = parts.into_iter().collect::<Result<_, _>>().map_err(first_of)?;
        let test = parts.split_off(layout.train.len());
        let join = |parts: Vec<Part>| {
            let (mut pixels, labels): (Vec<_>, Vec<_>) =
                parts.into_iter().map(|mut part| (part.pixels, part.labels.swap_remove(kind))).unzip();
            let pixels = if pixels.len() == 1 { pixels.swap_remove(0) } else { pixels.concat() };
            ImageSet::new(pixels, labels.concat(), SIDE, names.clone())
        };
        Ok(Splits::new(join(parts)?, join(test)?))
    }

    /// Reads a file of `images` images, or returns everything that is wrong with it.
    pub fn read(&self, layout: &Layout, path: &Path, images: usize) -> Result<Part, Vec<DataError>> {
        match layout.form {
            Form::Binary => read_binary(path, images, self.labels),
            Form::Pickle => cifar_pickle::read(path, images, self),
        }
    }
}

fn read_binary(path: &Path, images: usize, kinds: &[LabelKind]) -> Result<Part, Vec<DataError>> {
    let read_error = |source: std::io::Error| vec![DataError::Read { path: path.to_path_buf(), source }];
    let mut file = File::open(path).map_err(read_error)?;
    let found = file.metadata().map_err(read_error)?.len();
    let record_size = kinds.len() + IMAGE_SIZE;
    let expected = (images * record_size) as u64;
    if found != expected {
        let form = format!("{images} records of {} and 3072 pixel bytes", counted(kinds.len(), "label byte"));
        return Err(vec![DataError::WrongSize { path: path.to_path_buf(), found, expected, form }]);
    }
    let mut pixels = vec![0; images * IMAGE_SIZE];
    let mut labels = vec![Vec::with_capacity(images); kinds.len()];
    let mut chunk = vec![0; CHUNK * record_size];
    let mut problems = Vec::new();
    for pixels in pixels.chunks_exact_mut(CHUNK * IMAGE_SIZE) {
        file.read_exact(&mut chunk).map_err(|error| match error.kind() {
            // Its size was right when the file was opened.
            ErrorKind::UnexpectedEof => read_error(std::io::Error::other("the file shrank while it was read")),
            _ => read_error(error),
        })?;
        for (record, image) in chunk.chunks_exact(record_size).zip(pixels.chunks_exact_mut(IMAGE_SIZE)) {
            for (place, kind) in kinds.iter().enumerate() {
                let number = labels[place].len();
                if usize::from(record[place]) >= kind.classes {
                    problems.push(DataError::BadLabel {
                        path: path.to_path_buf(),
                        offset: (number * record_size + place) as u64,
                        record: number,
                        found: record[place].into(),
                        first: 0,
                        last: kind.classes as u64 - 1,
                    });
                }
                labels[place].push(record[place].into());
            }
            image.copy_from_slice(&record[kinds.len()..]);
        }
    }
    if problems.is_empty() { Ok(Part { pixels, labels }) } else { Err(problems) }
}
