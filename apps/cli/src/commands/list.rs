//! `qare list` and `qare devices`: print the available choices.

use indicatif::BinaryBytes;
use qare_data::DatasetName;
use qare_models::BackboneName;

use crate::backend::{NAME, cache_folder, devices};
use crate::output::print_line;
use qare_lab::methods::Method;
use qare_lab::{PrintablePath, Result};

/// Prints methods, backbones, datasets and the backend.
pub fn list() -> Result<()> {
    print_line("methods");
    for method in Method::ALL {
        print_line(format!("  {method:<24}{}", method.about()));
    }
    print_line("\nbackbones");
    for backbone in BackboneName::ALL {
        print_line(format!("  {backbone:<24}{} features", backbone.feature_dim()));
    }
    print_line("\ndatasets");
    for dataset in DatasetName::ALL {
        print_line(format!("  {:<24}{}", dataset.to_string(), dataset.about()));
    }
    print_line(format!("\nbackend\n  {}", NAME));
    Ok(())
}

/// Prints every device with its value of `--device`.
pub fn list_devices() -> Result<()> {
    let devices = devices()?;
    print_line(format!("backend {NAME}"));
    for device in devices {
        let memory = device.memory.map_or(String::new(), |bytes| format!(", {}", BinaryBytes(bytes)));
        print_line(format!("  --device {:<6}{}{memory}", device.choice, device.name));
    }
    if let Some(folder) = cache_folder() {
        print_line(format!(
            "compiled kernels are kept in {} (QARE_CACHE_DIR names another folder)",
            folder.printable()
        ));
    }
    Ok(())
}
