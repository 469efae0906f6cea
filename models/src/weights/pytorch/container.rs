//! PyTorch's two formats, zip archive and legacy file: where the pickle is, and where the numbers of the storages are.

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};

use qare_pickle::{PickleError, Value};

use super::saved::{Saved, SavedError, by_key};
use super::storage::StorageName;
use crate::weights::archive::{self, Archive};
use crate::weights::numbers::{Place, Storage};

/// The magic number that a legacy file starts with, as protocols 2 and up pickle it …
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// … and as protocols 0 and 1 do.
const MAGIC_IN_DECIMAL: &[u8] = b"L119547037146038801333356L\n.";
/// Bytes of pickles, at most. A tensor takes about two hundred.
const LONGEST: u64 = 64 << 20;
const MOST_STORAGES: usize = 200_000;

/// Whether a file that starts with these bytes is one of PyTorch before 1.6.
pub(super) fn is_legacy(head: &[u8]) -> bool {
    let after_protocol = match head {
        [0x80, _, 0x95, rest @ ..] => rest.get(8..).unwrap_or_default(),
        [0x80, _, rest @ ..] => rest,
        _ => return head.starts_with(MAGIC_IN_DECIMAL),
    };
    after_protocol.starts_with(MAGIC)
}

/// The pickle of a zip archive, what PyTorch 1.6 and later write, and the folder that it is in.
pub(super) fn pickle_of_zip(file: &mut (impl Read + Seek)) -> Result<(Vec<u8>, String), String> {
    let mut archive = archive::open(file)?;
    let name = archive.file_names().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl")).min();
    let name = name.ok_or("a zip archive without a `data.pkl`, so none of torch.save")?.to_owned();
    let folder = name.strip_suffix("data.pkl").unwrap_or_default().to_owned();

    let order = format!("{folder}byteorder");
    if archive.index_for_name(&order).is_some() && member(&mut archive, &order, 16)? != b"little" {
        return Err("its numbers are big-endian, which is not supported".to_owned());
    }
    Ok((member(&mut archive, &name, LONGEST)?, folder))
}

/// The storages that the pickle of a zip archive names: each is a member.
pub(super) fn storages_of_zip(saved: &Saved, folder: &str) -> Vec<Storage> {
    let storage = |name: &StorageName| Storage {
        place: Place::Member(format!("{folder}data/{}", saved.pickle.text(name.key).unwrap_or_default())),
        element: name.element,
        elements: name.elements,
    };
    saved.storages.iter().map(storage).collect()
}

/// The start of a legacy file. Its pickles are there.
pub(super) fn start_of_legacy(file: &mut (impl Read + Seek)) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
    file.take(LONGEST).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Reads the pickles in a row that PyTorch wrote before 1.6, and later on demand: a magic number, the version, the system,
/// what was saved, the names of the storages, then each storage's length and numbers.
pub(super) fn legacy<'a>(start: &'a [u8], file: &mut (impl Read + Seek)) -> Result<(Saved<'a>, Vec<Storage>), String> {
    let size = file.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
    let mut at = 0;
    let mut next = |what: &str| {
        let saved = Saved::read(&start[at..]).map_err(|error| match error {
            SavedError::Pickle(PickleError::Cut { .. }) if size > LONGEST => {
                format!("{what}: it is longer than {LONGEST} bytes")
            }
            error => format!("{what}: {error}"),
        })?;
        at += saved.pickle.length();
        Ok::<_, String>(saved)
    };
    next("its magic number")?;
    next("its version")?;
    let system = next("its system")?;
    if system.entry(system.pickle.root(), "little_endian") == Some(Value::Bool(false)) {
        return Err("its numbers are big-endian, which is not supported".to_owned());
    }
    let saved = next("what was saved")?;
    let keys = next("the names of its storages")?;

    let names = match keys.pickle.root() {
        names @ Value::List(_) => keys.pickle.items(names).unwrap_or_default(),
        _ => return Err("the names of its storages are no list".to_owned()),
    };
    if names.len() > MOST_STORAGES {
        return Err(format!("it has more than {MOST_STORAGES} storages"));
    }
    let known = by_key(&saved);
    // A storage that is not in the list stays at the end of the file, where nothing can be read.
    let unplaced =
        |name: &StorageName| Storage { place: Place::Byte(size), element: name.element, elements: name.elements };
    let mut storages: Vec<Storage> = saved.storages.iter().map(unplaced).collect();
    let mut seen = HashSet::new();
    let mut at = at as u64;
    for name in names {
        let name = keys.pickle.text(*name).ok_or("a storage's name is no text")?;
        let index = *known.get(name).ok_or_else(|| format!("no tensor says what its storage `{name}` is"))?;
        if !seen.insert(index) {
            return Err(format!("it has two storages `{name}`"));
        }
        let storage = &mut storages[index];
        let width = storage.element.width().ok_or_else(|| format!("the type of its storage `{name}` is unknown"))?;
        let mut length = [0; 8];
        file.seek(SeekFrom::Start(at)).map_err(|error| error.to_string())?;
        file.read_exact(&mut length).map_err(|_| "it is cut off")?;
        if u64::from_le_bytes(length) != storage.elements as u64 {
            return Err(format!("its storage `{name}` is not of {} elements", storage.elements));
        }
        storage.place = Place::Byte(at + 8);
        at = (storage.elements as u64)
            .checked_mul(width as u64)
            .and_then(|length| length.checked_add(at + 8))
            .filter(|end| *end <= size)
            .ok_or("it is cut off")?;
    }
    Ok((saved, storages))
}

/// Reads a member of the archive and compares its checksum.
fn member<R: Read + Seek>(archive: &mut Archive<R>, name: &str, longest: u64) -> Result<Vec<u8>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let file = archive.by_name(name).map_err(|error| told(&error))?;
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes).map_err(|error| told(&error))?;
    match bytes.len() as u64 > longest {
        true => Err(told(&format!("it unpacks to more than {longest} bytes, far more than tensors need"))),
        false => Ok(bytes),
    }
}
