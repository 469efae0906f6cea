//! Photographs in JPEG files: decoding and resizing them, and contrastive views of them, as a run does both.

use std::fs;
use std::path::{Path, PathBuf};

use burn::data::dataloader::DataLoader;
use qare_data::{DatasetName, ImageSet, LoadOptions, load};
use qare_lab::recipe::SourceSize;
use qare_lab::{LabError, Result};
use rayon::prelude::*;

use super::Bench;
use super::child::{Scratch, this_program};
use super::figure::Unit;
use super::loader::{self, VIEWS};
use super::memory::without_files;
use super::photograph::jpeg;
use super::row;
use crate::output::print_line;

const PART: &str = "photographs";
const BATCH: usize = 64;

pub fn measure(bench: &mut Bench) -> Result<()> {
    if bench.options.row {
        return measure_here(bench);
    }
    let scratch;
    let dir = match &bench.options.photographs_dir {
        Some(dir) => dir.clone(),
        None => {
            scratch = Scratch::new()?;
            scratch.0.clone()
        }
    };
    make(&folder(&dir, bench.options.photographs), bench.options.photographs)?;
    let sizes = if bench.options.sizes.is_empty() { vec![96, 224] } else { bench.options.sizes.clone() };
    for side in sizes {
        for workers in [1, 2] {
            measure_apart(bench, &dir, side, workers)?;
        }
    }
    Ok(())
}

/// The folder of a number of photographs.
fn folder(dir: &Path, count: usize) -> PathBuf {
    dir.join(count.to_string())
}

/// Writes the photographs that are missing.
fn make(folder: &Path, count: usize) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| LabError::io("make the folder", folder, error))?;
    let missing: Vec<(usize, PathBuf)> = (0..count)
        .map(|number| (number, folder.join(format!("{number:05}.jpg"))))
        .filter(|(_, path)| !path.exists())
        .collect();
    if !missing.is_empty() {
        print_line(format!("making {} photographs", missing.len()));
    }
    missing.into_par_iter().try_for_each(|(number, path)| {
        let part = path.with_extension("part");
        let written = fs::write(&part, jpeg(number as u64)).and_then(|()| fs::rename(&part, &path));
        written.map_err(|error| LabError::io("write", &path, error))
    })
}

/// Measures a row in a process of its own, on this number of threads.
fn measure_apart(bench: &mut Bench, dir: &Path, side: usize, workers: usize) -> Result<()> {
    let mut call = this_program()?;
    call.env("RAYON_NUM_THREADS", workers.to_string())
        .args(["bench", PART, "--images", &bench.options.photographs.to_string(), "--sizes", &side.to_string()])
        .args(["--num-workers", &workers.to_string(), "--photographs"])
        .arg(dir);
    let peak = row::measure_apart(bench, PART, &mut call, PART, without_files)?;
    if let Some(peak) = peak {
        let label = format!("{}: peak memory without mapped files", about(side, workers));
        bench.figures.number(key(side, workers, "memory"), label, Unit::Bytes, peak);
    }
    Ok(())
}

fn key(side: usize, workers: usize, name: &str) -> String {
    format!("{PART}.{side}px.w{workers}.{name}")
}

fn about(side: usize, workers: usize) -> String {
    let threads = if workers == 1 { "1 thread".to_string() } else { format!("{workers} threads") };
    format!("photographs at {side} pixels, {threads}")
}

fn measure_here(bench: &mut Bench) -> Result<()> {
    let count = bench.options.photographs;
    let (side, workers) = (bench.options.sizes[0], bench.options.num_workers.unwrap_or(1));
    let dir = bench.options.photographs_dir.clone();
    let dir = folder(&dir.ok_or_else(|| LabError::Usage("--row needs --photographs".into()))?, count);
    let SourceSize::Pixels(source) = SourceSize::for_image_size(side) else { unreachable!("the default is a number") };
    let read = |source_size| -> Result<ImageSet> {
        // The file of an earlier run.
        let _ = fs::remove_dir_all(dir.join(".qare-cache"));
        let options = LoadOptions { dir: Some(&dir), image_size: Some(side), source_size, ..LoadOptions::default() };
        Ok(load(DatasetName::Folder, &options)?.train)
    };
    let label = |what: &str| format!("{}: {what}", about(side, workers));
    let runs = bench.clock.measure(|| read(None).map(drop))?;
    bench.figures.seconds(key(side, workers, "decode"), label("decoding"), &runs, count, Some("images"));
    let mut images = None;
    let runs = bench.clock.measure(|| {
        images = None;
        images = Some(read(Some(source))?);
        Ok(())
    })?;
    let what = format!("decoding, with {source} pixels to crop from");
    bench.figures.seconds(key(side, workers, "load"), label(&what), &runs, count, Some("images"));
    let images = images.expect("a run has read them");
    let batch_size = BATCH.min(count);
    let loader = loader::contrastive(images, batch_size, workers, DatasetName::Folder, &bench.clock)?;
    let views = loader.num_batches() * batch_size * VIEWS;
    let runs = bench.clock.measure(|| {
        loader.iter().for_each(drop);
        Ok(())
    })?;
    bench.figures.seconds(key(side, workers, "views"), label("contrastive views"), &runs, views, Some("views"));
    let _ = fs::remove_dir_all(dir.join(".qare-cache"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photographs_are_made_once() {
        let dir = std::env::temp_dir().join(format!("qare-photographs-test-{}", std::process::id()));
        make(&dir, 2).unwrap();
        let first = fs::read(dir.join("00000.jpg")).unwrap();
        assert_ne!(first, fs::read(dir.join("00001.jpg")).unwrap());
        fs::write(dir.join("00001.jpg"), "kept").unwrap();
        make(&dir, 3).unwrap();
        assert_eq!(fs::read(dir.join("00001.jpg")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 3);
        fs::remove_dir_all(dir).unwrap();
    }
}
