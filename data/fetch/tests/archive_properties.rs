//! Archives with any entries under any names. Only files and folders are written, inside the folder and within the limits, and either
//! all of them or none.

#[path = "../../tests/cases/mod.rs"]
mod cases;
mod served;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use cases::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use qare_fetch::{ArchiveFormat, ExpectedFile, FetchError, Limits, Outcome, Source};
use served::{Place, gzip, hasty, source, tar_entry};
use tar::EntryType;
use zip::write::SimpleFileOptions;

const LIMITS: Limits = Limits { entries: 8, bytes: 40_000 };

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    kind: Kind,
    /// The target of a link.
    link: String,
    /// The number of bytes of a file.
    size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    File,
    Folder,
    SymbolicLink,
    HardLink,
    Device,
    Pipe,
}

impl Entry {
    fn contents(&self) -> Vec<u8> {
        let seed = self.name.len() + self.size;
        (0..self.size).map(|place| (place * 7 + seed) as u8).collect()
    }

    /// The parts of its path, without `.` and empty ones. `None` if the path is not safe.
    fn place(&self) -> Option<Vec<&str>> {
        let parts: Vec<&str> = self.name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let unsafe_part = |part: &&str| {
            *part == ".." || part.contains(['\\', ':', '\0', '\n']) || part.ends_with(' ') || part.ends_with('.')
        };
        (!self.name.starts_with('/') && !parts.iter().any(unsafe_part)).then_some(parts)
    }

    /// Whether it is a file or a folder. In a zip, a link is a file with another mode.
    fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Folder)
    }
}

/// Names that lead down, up or elsewhere, and names that collide.
fn name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => prop_oneof![Just("a"), Just("b"), Just("toy")],
        2 => prop_oneof![Just("."), Just(""), Just("…"), Just("..."), Just("A")],
        1 => prop_oneof![Just(".."), Just("C:"), Just("a\\..\\b"), Just(".. "), Just("x\ny")],
    ];
    let begin = prop_oneof![12 => Just("toy/"), 2 => Just(""), 1 => Just("/"), 1 => Just("../")];
    let end = prop_oneof![4 => Just(""), 1 => Just("/")];
    let long = prop_oneof![9 => Just(0usize), 1 => 90usize..200];
    (begin, vec(part, 0..4), end, long)
        .prop_map(|(begin, parts, end, long)| format!("{begin}{}{}{end}", parts.join("/"), "x".repeat(long)))
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        12 => Just(Kind::File),
        4 => Just(Kind::Folder),
        1 => Just(Kind::SymbolicLink),
        1 => Just(Kind::HardLink),
        1 => prop_oneof![Just(Kind::Device), Just(Kind::Pipe)],
    ];
    let size = prop_oneof![Just(0usize), 1usize..2000, 10_000usize..30_000];
    (name(), kind, name(), size).prop_map(|(name, kind, link, size)| match kind {
        Kind::Folder => Entry { name: format!("{}/", name.trim_end_matches('/')), kind, link, size: 0 },
        Kind::File => Entry { name: name.trim_end_matches('/').to_owned(), kind, link, size },
        _ => Entry { name, kind, link, size: 0 },
    })
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(entry(), 0..9).prop_map(|mut entries| {
        entries.retain(|entry| !entry.name.is_empty() && entry.name != "/");
        entries.insert(0, Entry { name: "toy/first".into(), kind: Kind::File, link: String::new(), size: 10 });
        entries
    })
}

fn tarball(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        let kind = match entry.kind {
            Kind::File => EntryType::Regular,
            Kind::Folder => EntryType::Directory,
            Kind::SymbolicLink => EntryType::Symlink,
            Kind::HardLink => EntryType::Link,
            Kind::Device => EntryType::Char,
            Kind::Pipe => EntryType::Fifo,
        };
        let is_long = entry.name.len() > 100;
        if is_long {
            let name = format!("{}\0", entry.name);
            tar.extend(tar_entry("././@LongLink", EntryType::GNULongName, "", name.as_bytes()));
        }
        let (name, link) =
            (if is_long { "long" } else { &entry.name }, if entry.link.len() > 100 { "" } else { &entry.link });
        tar.extend(tar_entry(name, kind, link, &entry.contents()));
    }
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

/// The archive, and the entries that are in it. The writer refuses a name the second time, and cannot write devices.
fn zipped(entries: &[Entry]) -> (Vec<u8>, Vec<Entry>) {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    let mut taken = Vec::new();
    for entry in entries {
        let added = match entry.kind {
            Kind::File => writer.start_file(&*entry.name, options),
            Kind::Folder => writer.add_directory(&*entry.name, options),
            Kind::SymbolicLink => writer.add_symlink(&*entry.name, &*entry.link, options),
            _ => continue,
        };
        if added.is_ok() {
            if entry.kind == Kind::File {
                writer.write_all(&entry.contents()).unwrap();
            }
            taken.push(entry.clone());
        }
    }
    (writer.finish().unwrap().into_inner(), taken)
}

/// Everything below a folder, without following links: files with their bytes, and folders.
fn found(folder: &Path) -> BTreeMap<Vec<String>, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(folder.to_owned(), Vec::new())];
    while let Some((folder, path)) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let mut path: Vec<String> = path.clone();
            path.push(entry.file_name().into_string().unwrap());
            let kind = entry.file_type().unwrap();
            assert!(kind.is_file() || kind.is_dir(), "{path:?} is neither a file nor a folder");
            if kind.is_dir() {
                folders.push((entry.path(), path.clone()));
            }
            found.insert(path, kind.is_file().then(|| std::fs::read(entry.path()).unwrap()));
        }
    }
    found
}

/// The tree that an archive of these entries unpacks to, or the reason why it is refused.
fn meant(entries: &[Entry]) -> Result<BTreeMap<Vec<String>, Option<Vec<u8>>>, &'static str> {
    let mut tree: BTreeMap<Vec<String>, Option<Vec<u8>>> = BTreeMap::new();
    if entries.len() as u64 > LIMITS.entries {
        return Err("too many");
    }
    if entries.iter().map(|entry| entry.size as u64).sum::<u64>() > LIMITS.bytes {
        return Err("too large");
    }
    for entry in entries {
        let Some(parts) = entry.place().filter(|_| entry.is_plain()) else { return Err("harmful") };
        let parts: Vec<String> = parts.into_iter().map(str::to_owned).collect();
        let folders = if entry.kind == Kind::File { parts.len().saturating_sub(1) } else { parts.len() };
        for depth in 1..=folders {
            if tree.entry(parts[..depth].to_vec()).or_insert(None).is_some() {
                return Err("a file in the place of a folder");
            }
        }
        if entry.kind == Kind::File && (parts.is_empty() || tree.insert(parts, Some(entry.contents())).is_some()) {
            return Err("twice");
        }
    }
    Ok(tree)
}

fn unpack(archive: &[u8], format: ArchiveFormat) -> (Place, Result<Outcome, FetchError>) {
    let place = Place::new();
    let files = vec![ExpectedFile { path: "first".to_owned(), size: Some(10) }];
    let source = Source { files, limits: LIMITS, ..source(archive, format, Vec::new()) };
    place.write(&format!("{}.part", source.file_name), archive);
    let result = place.fetch(&source, &hasty()).map(|fetched| fetched.outcome);
    (place, result)
}

fn check(entries: &[Entry], archive: &[u8], format: ArchiveFormat) -> Result<(), TestCaseError> {
    let (place, result) = unpack(archive, format);
    let top = found(place.root());
    // Nothing is written beside the folder of the downloads.
    prop_assert!(top.keys().all(|path| path[0] == "data"), "{:?}", top.keys());
    match (result, meant(entries)) {
        (Ok(Outcome::Unpacked { files, bytes, .. }), Ok(meant)) => {
            prop_assert!(bytes <= LIMITS.bytes && files <= LIMITS.entries);
            // Entries outside of the dataset's folder are left out.
            let expected: BTreeMap<_, _> = meant.into_iter().filter(|(path, _)| path[0] == "toy").collect();
            prop_assert_eq!(found(&place.dir()), expected);
        }
        (Err(error), meant) => {
            let refused = matches!(
                error,
                FetchError::UnsafeArchive { .. } | FetchError::TooLarge { .. } | FetchError::BadArchive { .. }
            );
            prop_assert!(refused, "{}", error);
            prop_assert!(meant.is_err(), "{}", error);
            prop_assert_eq!(place.files(), [""; 0]);
            prop_assert_eq!(place.top(), [""; 0]);
        }
        (Ok(outcome), meant) => prop_assert!(false, "{:?} of {:?}", outcome, meant),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn tarballs_of_any_entries_come_out_whole_or_not_at_all(entries in entries()) {
        check(&entries, &tarball(&entries), ArchiveFormat::TarGz)?;
    }

    #[test]
    fn zips_of_any_entries_come_out_whole_or_not_at_all(entries in entries()) {
        let (archive, taken) = zipped(&entries);
        check(&taken, &archive, ArchiveFormat::Zip)?;
    }

    /// With changed bytes, still nothing is written outside, and nothing is left incomplete.
    #[test]
    fn damaged_archives_leave_nothing_or_a_folder(
        entries in entries(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)],
    ) {
        for (mut archive, format) in [(tarball(&entries), ArchiveFormat::TarGz), (zipped(&entries).0, ArchiveFormat::Zip)] {
            for (at, byte) in &damage {
                let at = at.index(archive.len());
                archive[at] ^= byte;
            }
            if let Some(cut) = cut {
                archive.truncate(cut.index(archive.len()));
            }
            let (place, result) = unpack(&archive, format);
            let everything = found(place.root());
            prop_assert!(everything.keys().all(|path| path[0] == "data"), "{:?}", everything.keys());
            match result {
                Ok(_) => prop_assert_eq!(place.top(), ["toy"]),
                Err(_) => prop_assert_eq!(place.files(), [""; 0]),
            }
            let bytes: u64 = everything.values().flatten().map(|bytes| bytes.len() as u64).sum();
            prop_assert!(bytes <= LIMITS.bytes, "{} bytes", bytes);
        }
    }
}
