//! The two containers of PyTorch: where in a file the pickle is that says what was saved, and where the numbers are.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek, SeekFrom};

use super::pickle::{Container, Pickle, PickleError, StorageName, Value};
use crate::weights::archive::{self, Archive};
use crate::weights::numbers::{Place, Storage};

/// What a legacy file starts with, a number that PyTorch has drawn, as pickles of protocol 2 and up have it …
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// … and those before.
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
pub(super) fn storages_of_zip(saved: &Pickle, folder: &str) -> Vec<Storage> {
    let storage = |name: &StorageName| Storage {
        place: Place::Member(format!("{folder}data/{}", saved.span(name.key))),
        element: name.element,
        elements: name.elements,
    };
    saved.storages.iter().map(storage).collect()
}

/// The start of a legacy file, in which its pickles are.
pub(super) fn start_of_legacy(file: &mut (impl Read + Seek)) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
    file.take(LONGEST).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Reads the pickles in a row that PyTorch wrote before 1.6, and later on demand: a magic number, the version, the system,
/// what was saved, the names of the storages, then each storage's length and numbers.
pub(super) fn legacy<'a>(start: &'a [u8], file: &mut (impl Read + Seek)) -> Result<(Pickle<'a>, Vec<Storage>), String> {
    let size = file.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
    let mut at = 0;
    let mut next = |what: &str| {
        let pickle = Pickle::read(&start[at..]).map_err(|error| match error {
            PickleError::Cut if size > LONGEST => format!("{what}: it is longer than {LONGEST} bytes"),
            error => format!("{what}: {error}"),
        })?;
        at += pickle.length;
        Ok::<_, String>(pickle)
    };
    next("its magic number")?;
    next("its version")?;
    let system = next("its system")?;
    if system.entry(system.root, "little_endian") == Some(Value::Bool(false)) {
        return Err("its numbers are big-endian, which is not supported".to_owned());
    }
    let saved = next("what was saved")?;
    let keys = next("the names of its storages")?;

    let Some(Container::List(names)) = keys.container(keys.root) else {
        return Err("the names of its storages are no list".to_owned());
    };
    if names.len() > MOST_STORAGES {
        return Err(format!("it has more than {MOST_STORAGES} storages"));
    }
    let known: HashMap<&str, usize> =
        saved.storages.iter().enumerate().map(|(index, name)| (saved.span(name.key), index)).collect();
    // One that is not in the file is a gap in its end.
    let unplaced =
        |name: &StorageName| Storage { place: Place::Byte(size), element: name.element, elements: name.elements };
    let mut storages: Vec<Storage> = saved.storages.iter().map(unplaced).collect();
    let mut seen = HashSet::new();
    let mut at = at as u64;
    for name in names {
        let name = keys.text(*name).ok_or("a storage's name is no text")?;
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

/// A member of the archive, whose checksum has to be right.
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
