//! MD5 checksums of files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use md5::{Digest, Md5};

use crate::Event;

/// The MD5 checksum of a whole file, in hexadecimal.
pub(super) fn md5_of(mut file: &File, progress: &dyn Fn(Event<'_>)) -> std::io::Result<String> {
    let total = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 18];
    let mut done = 0;
    progress(Event::Verifying { done, total });
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..count]);
        done += count as u64;
        progress(Event::Verifying { done, total });
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
