//! One binary: every test program here would otherwise instantiate both backends again.

mod batch_norm;
mod cpu_blocks;
mod first_maps;
mod found_backbones;
mod golden_backbone;
mod golden_backbone_on_cpu;
mod golden_deep;
mod golden_heads;
mod half_precision;
mod heads_on_cpu;
mod hostile_files;
mod initial_weights;
mod local_discriminator;
mod numbers;
#[cfg(feature = "onnx")]
mod onnx_graphs;
#[cfg(feature = "onnx")]
mod onnx_interpreter;
mod open_relus;
mod pytorch_files;
mod records;
mod replicas;
mod replicas_under_contention;
mod state_dicts;
mod tensor_blocks;
mod torch_files;
mod watchdog;
mod weights_files;
