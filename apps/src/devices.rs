//! `qare devices`: what this build can compute on.

use indicatif::BinaryBytes;

use crate::backend::{NAME, devices};
use crate::error::Result;
use crate::files::say;

/// Prints every device with what `--device` calls it.
pub fn list() -> Result<()> {
    let devices = devices()?;
    say(format!("backend {NAME}"));
    for device in devices {
        let memory = device.memory.map_or(String::new(), |bytes| format!(", {}", BinaryBytes(bytes)));
        say(format!("  --device {:<6}{}{memory}", device.choice, device.name));
    }
    Ok(())
}
