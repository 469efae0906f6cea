//! Unpacks archives, and replaces what was in the folder before.

mod served;

use std::io::Write;

use qare_fetch::{ArchiveFormat, FetchError, FetchOptions, Limits, Outcome, Source};
use served::{BIG, Place, TOY, gzip, hasty, md5, noise, source, tar_entry, tarball, tarball_with, zip_with};
use tar::EntryType;
use zip::write::SimpleFileOptions;

/// Unpacks an archive that is already downloaded. The source has no address.
fn unpack(
    archive: &[u8],
    format: ArchiveFormat,
    change: impl FnOnce(&mut Source),
) -> (Place, Result<Outcome, FetchError>) {
    let place = Place::new();
    let mut source = source(archive, format, Vec::new());
    change(&mut source);
    place.write(&format!("{}.part", source.file_name), archive);
    let result = place.fetch(&source, &hasty()).map(|fetched| fetched.outcome);
    (place, result)
}

fn unpack_tar(archive: &[u8]) -> (Place, Result<Outcome, FetchError>) {
    unpack(archive, ArchiveFormat::TarGz, |_| {})
}

fn unpack_zip(archive: &[u8]) -> (Place, Result<Outcome, FetchError>) {
    unpack(archive, ArchiveFormat::Zip, |_| {})
}

fn assert_harmful((place, result): (Place, Result<Outcome, FetchError>), entry: &str, problem: &str) {
    let error = result.unwrap_err();
    assert!(matches!(&error, FetchError::UnsafeArchive { entry: found, .. } if found == entry), "{entry}: {error}");
    assert!(error.to_string().contains(problem), "{problem} in {error}");
    assert_eq!(place.files(), [""; 0], "{entry} left something");
}

#[test]
fn harmful_entries_of_a_tarball_are_refused() {
    for (name, kind, link, problem) in [
        ("../evil", EntryType::Regular, "", "leads out"),
        ("toy/../../evil", EntryType::Regular, "", "leads out"),
        ("../evil/", EntryType::Directory, "", "leads out"),
        ("/tmp/evil", EntryType::Regular, "", "absolute"),
        ("C:evil", EntryType::Regular, "", "colon"),
        ("toy/link", EntryType::Symlink, "../../evil", "link"),
        ("toy/link", EntryType::Symlink, "big.bin", "link"),
        ("toy/hard", EntryType::Link, "toy/big.bin", "link"),
        ("toy/device", EntryType::Char, "", "neither a file nor a folder"),
        ("toy/device", EntryType::Block, "", "neither a file nor a folder"),
        ("toy/pipe", EntryType::Fifo, "", "neither a file nor a folder"),
        ("toy/big.bin", EntryType::Regular, "", "taken"),
        ("toy/big.bin/", EntryType::Directory, "", "taken"),
        ("toy/big.bin/below", EntryType::Regular, "", "taken"),
        ("toy/deep", EntryType::Regular, "", "taken"),
    ] {
        assert_harmful(unpack_tar(&tarball_with(&[tar_entry(name, kind, link, b"")])), name, problem);
    }
}

#[test]
fn a_long_name_is_looked_at_too() {
    // A long name is in an entry of its own, before that of the file.
    let long = format!("toy/{}/../../../evil", "a".repeat(200));
    let entries = [
        tar_entry("././@LongLink", EntryType::GNULongName, "", format!("{long}\0").as_bytes()),
        tar_entry("toy/harmless", EntryType::Regular, "", b"x"),
    ];
    assert_harmful(unpack_tar(&tarball_with(&entries)), &long, "leads out");
    let record = "25 path=toy/../../evil.bin\n".replacen("25", "27", 1);
    assert_eq!(record.len(), 27);
    let entries = [
        tar_entry("pax", EntryType::XHeader, "", record.as_bytes()),
        tar_entry("toy/harmless", EntryType::Regular, "", b"x"),
    ];
    assert_harmful(unpack_tar(&tarball_with(&entries)), "toy/../../evil.bin", "leads out");
}

#[test]
fn harmful_entries_of_a_zip_are_refused() {
    for (name, problem) in
        [("../evil", "leads out"), ("toy/../../evil", "leads out"), ("/tmp/evil", "absolute"), ("C:/evil", "colon")]
    {
        let archive = zip_with(|writer| {
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(b"evil").unwrap();
        });
        assert_harmful(unpack_zip(&archive), name, problem);
    }
    let archive =
        zip_with(|writer| writer.add_symlink("toy/link", "../../evil", SimpleFileOptions::default()).unwrap());
    assert_harmful(unpack_zip(&archive), "toy/link", "link");
}

#[test]
fn harmless_oddities_are_unpacked() {
    let record = "20 comment=harmless\n";
    assert_eq!(record.len(), 20);
    let entries = [
        tar_entry("pax", EntryType::XGlobalHeader, "", record.as_bytes()),
        tar_entry("toy/old-folder/", EntryType::Regular, "", b""),
        tar_entry("./", EntryType::Directory, "", b""),
        tar_entry("toy", EntryType::Directory, "", b""),
        tar_entry("__MACOSX/._toy", EntryType::Regular, "", b"not part of the dataset"),
    ];
    let (place, result) = unpack_tar(&tarball_with(&entries));
    result.unwrap();
    assert_eq!(place.files(), TOY);
    assert_eq!(place.top(), ["toy"]);
    assert!(place.dir().join("toy/old-folder").is_dir());
}

fn assert_too_large((place, result): (Place, Result<Outcome, FetchError>), what: &str) {
    let error = result.unwrap_err();
    assert!(matches!(&error, FetchError::TooLarge { what: found, .. } if *found == what), "{what}: {error}");
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn bombs_do_not_go_off() {
    let tarball_of = |entry: Vec<u8>| tarball_with(&[entry]);
    let file = EntryType::Regular;
    // A large file.
    assert_too_large(unpack_tar(&tarball_of(tar_entry("toy/zeros", file, "", &vec![0; 500_000]))), "bytes");
    // A header that announces a large file, without its data.
    let mut header = tar_entry("toy/zeros", file, "", b"");
    header[124..136].copy_from_slice(b"77777777777\0");
    header[148..156].copy_from_slice(b"        ");
    let checksum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
    assert_too_large(unpack_tar(&tarball_of(header)), "bytes");
    // Many entries.
    let many: Vec<Vec<u8>> = (0..30).map(|index| tar_entry(&format!("toy/{index}"), file, "", b"")).collect();
    assert_too_large(unpack_tar(&tarball_with(&many)), "files and folders");
    // A long name of 8 MiB.
    let name = tar_entry("././@LongLink", EntryType::GNULongName, "", &vec![b'a'; 8 << 20]);
    assert_too_large(unpack_tar(&tarball_of(name)), "bytes");
    // Zeros without any entry.
    assert_too_large(unpack_tar(&gzip(&vec![0; 8 << 20])), "bytes");

    let zip_of = |count: usize, size: usize| {
        zip_with(|writer| {
            for index in 0..count {
                writer.start_file(format!("toy/{index}"), SimpleFileOptions::default()).unwrap();
                writer.write_all(&vec![0; size]).unwrap();
            }
        })
    };
    assert_too_large(unpack_zip(&zip_of(1, 500_000)), "bytes");
    assert_too_large(unpack_zip(&zip_of(30, 0)), "files and folders");
    // A large file whose header says that it is small.
    let archive = zip_of(1, 1_234_567);
    let (large, small) = (1_234_567_u32.to_le_bytes(), 1_000_u32.to_le_bytes());
    let mut lying = archive.clone();
    for place in 0..lying.len() - 4 {
        if lying[place..place + 4] == large {
            lying[place..place + 4].copy_from_slice(&small);
        }
    }
    assert_ne!(lying, archive);
    let (place, result) = unpack_zip(&lying);
    let error = result.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. } | FetchError::BadArchive { .. }), "{error}");
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn damaged_archives_leave_nothing() {
    let good = tarball();
    let mut crc = good.clone();
    let place_of_crc = crc.len() - 8;
    crc[place_of_crc] ^= 1;
    let plain_tar = tar_entry("toy/big.bin", EntryType::Regular, "", &noise(BIG));
    let small = tar_entry("toy/deep/small.txt", EntryType::Regular, "", b"small");
    let tar_of_all = [small, plain_tar.clone()].concat();
    for (what, archive) in [
        ("cut in the middle", good[..good.len() / 2].to_vec()),
        ("cut before its end", good[..good.len() - 4].to_vec()),
        ("a wrong sum", crc),
        ("no gzip", plain_tar.clone()),
        ("cut inside of the compression", gzip(&plain_tar[..plain_tar.len() / 2])),
        ("half of the last file", gzip(&tar_of_all[..tar_of_all.len() - BIG / 2])),
        ("half a dataset", gzip(&plain_tar)),
        ("no tar", gzip(&noise(5000))),
        ("empty", gzip(b"")),
    ] {
        // The source expects no sizes, so only the archive can show the damage.
        let sizeless = |source: &mut Source| source.files.iter_mut().for_each(|file| file.size = None);
        let (place, result) = unpack(&archive, ArchiveFormat::TarGz, sizeless);
        let error = result.unwrap_err();
        assert!(matches!(error, FetchError::BadArchive { .. }), "{what}: {error}");
        assert_eq!(place.files(), [""; 0], "{what}");
    }
    let good = zip_with(|_| {});
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (what, archive) in [("cut", &good[..good.len() / 2]), ("flipped", &flipped), ("no zip", &noise(5000))] {
        let (place, result) = unpack_zip(archive);
        let error = result.unwrap_err();
        assert!(matches!(error, FetchError::BadArchive { .. }), "{what}: {error}");
        assert_eq!(place.files(), [""; 0], "{what}");
    }
}

#[test]
fn what_the_dataset_needs_at_least_fits_its_limits() {
    // The first limits are exactly enough, the others are one too low.
    let limits = Limits { entries: 3, bytes: BIG as u64 + 5 };
    let (_, result) = unpack(&tarball(), ArchiveFormat::TarGz, |source| source.limits = limits);
    result.unwrap();
    for limits in [Limits { entries: 2, ..limits }, Limits { bytes: limits.bytes - 1, ..limits }] {
        let (_, result) = unpack(&tarball(), ArchiveFormat::TarGz, |source| source.limits = limits);
        assert!(matches!(result, Err(FetchError::TooLarge { .. })));
    }
}

#[test]
fn a_dataset_that_is_there_is_left_alone() {
    let place = Place::new();
    place.write("toy/big.bin", &vec![9; BIG]);
    place.write("toy/deep/small.txt", b"mine");
    let source = source(&tarball(), ArchiveFormat::TarGz, Vec::new());
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_eq!(fetched.outcome, Outcome::AlreadyThere);
    assert_eq!(place.read("toy/deep/small.txt"), b"mine");
    assert_eq!(place.files(), TOY);
}

#[test]
fn half_a_dataset_is_left_alone_too() {
    let place = Place::new();
    let source = source(&tarball(), ArchiveFormat::TarGz, Vec::new());
    for (contents, problem) in
        [(&[1; 10][..], "`big.bin` has 10 bytes, expected 300000"), (&[1; BIG], "lacks `deep/small.txt`")]
    {
        place.write("toy/big.bin", contents);
        let error = place.fetch(&source, &hasty()).unwrap_err();
        assert!(matches!(error, FetchError::Incomplete { .. }), "{error}");
        assert!(error.to_string().contains(problem), "{problem} in {error}");
        assert_eq!(place.files(), ["data/toy/big.bin"]);
    }
}

#[test]
fn overwriting_replaces_the_folder_only_by_a_complete_one() {
    let overwrite = FetchOptions { overwrite: true, ..hasty() };
    let place = Place::new();
    place.write("toy/mine.txt", b"old");
    let harmful = tarball_with(&[tar_entry("../evil", EntryType::Regular, "", b"")]);
    place.write("toy.tar.gz.part", &harmful);
    place.fetch(&source(&harmful, ArchiveFormat::TarGz, Vec::new()), &overwrite).unwrap_err();
    assert_eq!(place.files(), ["data/toy/mine.txt"]);

    place.write("toy.tar.gz.part", &tarball());
    place.fetch(&source(&tarball(), ArchiveFormat::TarGz, Vec::new()), &overwrite).unwrap();
    assert_eq!(place.files(), TOY);
    assert_eq!(place.top(), ["toy"]);
}

#[test]
fn the_archive_is_kept_if_asked() {
    let place = Place::new();
    let archive = tarball();
    place.write("toy.tar.gz.part", &archive);
    let keep = FetchOptions { keep_archive: true, ..hasty() };
    let fetched = place.fetch(&source(&archive, ArchiveFormat::TarGz, Vec::new()), &keep).unwrap();
    let kept = place.dir().join("toy.tar.gz");
    assert!(matches!(fetched.outcome, Outcome::Unpacked { archive: Some(path), .. } if path == kept));
    assert_eq!(place.top(), ["toy", "toy.tar.gz"]);
    assert_eq!(place.read("toy.tar.gz"), archive);
}

#[test]
fn an_archive_of_a_browser_is_used_and_kept() {
    let place = Place::new();
    let archive = tarball();
    place.write("toy.tar.gz", &archive);
    let source = source(&archive, ArchiveFormat::TarGz, Vec::new());
    place.fetch(&source, &hasty()).unwrap();
    assert_eq!(place.files(), ["data/toy.tar.gz", TOY[0], TOY[1]]);
    assert_eq!(place.top(), ["toy", "toy.tar.gz"]);

    // An incomplete archive of a browser is kept.
    let place = Place::new();
    place.write("toy.tar.gz", &archive[..1000]);
    let error = place.fetch(&source, &hasty()).unwrap_err();
    let FetchError::ArchiveChecksum { expected, found, .. } = error else { panic!("{error}") };
    assert_eq!((expected, found), (md5(&archive), md5(&archive[..1000])));
    assert_eq!(place.files(), ["data/toy.tar.gz"]);
}

#[test]
fn places_that_cannot_be_written() {
    let archive = tarball();
    let source = source(&archive, ArchiveFormat::TarGz, Vec::new());
    let assert_write = |place: &Place, files: &[&str]| {
        let error = place.fetch(&source, &hasty()).unwrap_err();
        assert!(matches!(error, FetchError::Write { .. }), "{error}");
        assert_eq!(place.files(), files);
    };
    // A file has the name of the folder.
    let place = Place::new();
    std::fs::write(place.dir(), b"a file").unwrap();
    assert_write(&place, &["data"]);
    // A folder has the name of the download.
    let place = Place::new();
    place.write("toy.tar.gz.part/file", b"x");
    assert_write(&place, &["data/toy.tar.gz.part/file"]);
}

#[cfg(unix)]
#[test]
fn links_in_the_way_are_not_followed() {
    use std::os::unix::fs::symlink;

    let archive = tarball();
    let source = source(&archive, ArchiveFormat::TarGz, Vec::new());
    let place = Place::new();
    place.write("toy.tar.gz.part", &archive);
    std::fs::create_dir(place.root().join("outside")).unwrap();
    std::fs::write(place.root().join("outside/precious"), b"x").unwrap();
    symlink(place.root().join("outside"), place.dir().join(".unpacking-toy")).unwrap();
    place.fetch(&source, &hasty()).unwrap();
    assert_eq!(place.files(), [TOY[0], TOY[1], "outside/precious"]);

    let place = Place::new();
    std::fs::create_dir(place.dir()).unwrap();
    symlink(place.root().join("outside"), place.dir().join("toy.tar.gz.part")).unwrap();
    let error = place.fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::Write { .. }), "{error}");
    assert_eq!(place.files(), ["data/toy.tar.gz.part"]);
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_one_clear_error() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    std::fs::create_dir(place.dir()).unwrap();
    std::fs::set_permissions(place.dir(), std::fs::Permissions::from_mode(0o555)).unwrap();
    // The administrator may write everywhere.
    if std::fs::write(place.dir().join("probe"), b"").is_ok() {
        return;
    }
    let error = place.fetch(&source(&tarball(), ArchiveFormat::TarGz, Vec::new()), &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::Write { .. }), "{error}");
    assert!(error.to_string().contains("name a folder that can be written"), "{error}");
}
