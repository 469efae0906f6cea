//! What reads files that others made, each as a function of bytes: [`TARGETS`].
//!
//! A target panics where something is promised and not held: an error that names no file, a file written elsewhere, a recipe that
//! does not survive its own text. `cargo fuzz run NAME` in `fuzz/` looks for bytes that make one panic, take memory or hang; the tests
//! of this crate change a [corpus](mutation::Mutator) in ways that are the same in every run.

mod archives;
mod cifar;
mod images;
pub mod mutation;
mod recipes;
mod weights;

/// Something that reads a file.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Reads a file of these bytes.
    pub read: fn(&[u8]),
    /// Bytes of memory that it may take for a file of so many bytes.
    pub memory: fn(usize) -> usize,
}

const MIB: usize = 1 << 20;

/// All of them. Each takes some times the file and what its buffers take, whatever the file says of itself; decoders of images take up to
/// 64 MiB by their own limit, which is for files that announce few pixels.
pub const TARGETS: [Target; 6] = [
    Target { name: "weights", read: weights::file, memory: |bytes| 64 * bytes + 4 * MIB },
    Target { name: "pickles", read: weights::pickle, memory: |bytes| 64 * bytes + 4 * MIB },
    Target { name: "cifar", read: cifar::file, memory: |bytes| 64 * bytes + 4 * MIB },
    Target { name: "images", read: images::file, memory: |bytes| 64 * bytes + (64 + 4) * MIB },
    Target { name: "archives", read: archives::file, memory: |bytes| 64 * bytes + 4 * MIB },
    Target { name: "recipes", read: recipes::file, memory: |bytes| 64 * bytes + 4 * MIB },
];

/// Does what the target of this name does.
///
/// # Panics
/// If there is none.
pub fn read(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the name of a target");
    (target.read)(bytes);
}

/// Lets panics of image decoders be, which become errors: a fuzzer's hook would end the process.
pub fn leave_decoders_alone() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !qare_data::is_decoding() {
            report(panic);
        }
    }));
}

/// The first byte, which chooses among so many ways to read the rest.
fn choice(bytes: &[u8], ways: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((first % ways, rest))
}

/// What an error says: something, of a length that a person reads.
fn told(error: impl std::error::Error) -> String {
    let text = error.to_string();
    assert!(!text.trim().is_empty() && text.len() < 20_000, "{} bytes of an error", text.len());
    text
}
