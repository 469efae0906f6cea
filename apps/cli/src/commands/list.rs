//! `qare list` and `qare devices`: what there is to choose from.

use indicatif::BinaryBytes;
use qare_data::DatasetName;
use qare_models::BackboneName;

use crate::backend::{NAME, devices};
use crate::output::say;
use qare_lab::Result;
use qare_lab::methods::Method;

/// Prints methods, backbones, datasets and the backend.
pub fn list() -> Result<()> {
    say("methods");
    for method in Method::ALL {
        say(format!("  {method:<16}{}", method.about()));
    }
    say("\nbackbones");
    for backbone in BackboneName::ALL {
        say(format!("  {backbone:<16}{} features", backbone.feature_dim()));
    }
    say("\ndatasets");
    for dataset in DatasetName::ALL {
        say(format!("  {:<16}{}", dataset.to_string(), dataset.about()));
    }
    say(format!("\nbackend\n  {}", NAME));
    Ok(())
}

/// Prints every device with what `--device` calls it.
pub fn list_devices() -> Result<()> {
    let devices = devices()?;
    say(format!("backend {NAME}"));
    for device in devices {
        let memory = device.memory.map_or(String::new(), |bytes| format!(", {}", BinaryBytes(bytes)));
        say(format!("  --device {:<6}{}{memory}", device.choice, device.name));
    }
    Ok(())
}
