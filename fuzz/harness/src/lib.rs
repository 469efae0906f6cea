//! The readers of untrusted files, each as a function of bytes: [`TARGETS`].
//!
//! A target panics if a reader breaks a promise: an error names no file, a file is written elsewhere, or a recipe does not survive its
//! own text. `cargo fuzz run NAME` in `fuzz/` searches for bytes that make a target panic, hang or take too much memory. The tests of
//! this crate make [changes](mutation::Mutator) to a corpus, the same ones in every run.

mod archives;
mod cifar;
mod images;
mod matfiles;
pub mod mutation;
mod recipes;
mod weights;

/// Something that reads a file.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and the name of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Reads a file with these bytes.
    pub read: fn(&[u8]),
    /// The most bytes of memory for a file of a given length.
    pub memory: fn(usize) -> usize,
}

const MIB: usize = 1 << 20;

/// All targets. The memory of each is bounded by a multiple of the file's length and by its buffers, whatever the file announces. The
/// decoders of images may take up to 64 MiB more, by a limit of their own for files that announce few pixels.
pub const TARGETS: [Target; 7] = [
    Target { name: "weights", read: weights::file, memory: |bytes| 64 * bytes + 4 * MIB },
    Target { name: "pickles", read: weights::pickle, memory: |bytes| 64 * bytes + 4 * MIB },
    Target { name: "cifar", read: cifar::file, memory: |bytes| 64 * bytes + 4 * MIB },
    Target { name: "images", read: images::file, memory: |bytes| 64 * bytes + (64 + 4) * MIB },
    Target { name: "archives", read: archives::file, memory: |bytes| 64 * bytes + 4 * MIB },
    // Compressed variables inflate to at most a limit of a MiB.
    Target { name: "matfiles", read: matfiles::file, memory: |bytes| 64 * bytes + 20 * MIB },
    Target { name: "recipes", read: recipes::file, memory: |bytes| 64 * bytes + 4 * MIB },
];

/// Reads bytes with the target of this name.
///
/// # Panics
/// If there is no such target, or the target panics.
pub fn read(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the name of a target");
    (target.read)(bytes);
}

/// Installs a panic hook that ignores panics of image decoders, which become errors. A fuzzer's own hook would end the process.
pub fn leave_decoders_alone() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !qare_data::is_decoding() {
            report(panic);
        }
    }));
}

/// The first byte as a choice among this number of ways, and the rest.
fn choice(bytes: &[u8], ways: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((first % ways, rest))
}

/// The text of an error. Asserts that it is neither empty nor too long to read.
fn told(error: impl std::error::Error) -> String {
    let text = error.to_string();
    assert!(!text.trim().is_empty() && text.len() < 20_000, "{} bytes of an error", text.len());
    text
}
