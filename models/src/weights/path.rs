/// Names under which wrappers keep the module they wrap: DataParallel, `torch.compile`, sharded and checkpointed training.
pub(super) const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Where a visitor or mapper is in a module, as PyTorch would name it.
#[derive(Default)]
pub(super) struct ModulePath {
    steps: Vec<Step>,
}

struct Step {
    name: String,
    container: String,
}

impl ModulePath {
    pub fn enter(&mut self, name: &str, container: &str) {
        self.steps.push(Step { name: name.to_owned(), container: container.to_owned() });
    }

    pub fn exit(&mut self) {
        self.steps.pop();
    }

    /// The name of the tensor here, with `prefix` in front. Variants of an enum are left out: they
    /// are Burn's way to choose a network, not a part of it.
    pub fn name(&self, prefix: &str) -> String {
        let mut names = vec![prefix];
        names.extend(
            self.steps.iter().filter(|step| !step.container.starts_with("Enum:")).map(|step| step.name.as_str()),
        );
        names.retain(|name| !name.is_empty());
        names.join(".")
    }

    /// Whether the tensor here is the weight of Burn's `Linear`, which is `[in, out]` where
    /// PyTorch's is `[out, in]`.
    pub fn is_linear_weight(&self) -> bool {
        matches!(self.steps.last(), Some(step)
            if step.container == "Struct:Linear" && step.name == "weight")
    }
}

/// Whether a tensor of this name is BatchNorm's counter of batches, which PyTorch keeps as an i64
/// scalar.
pub(super) fn is_batch_counter(name: &str) -> bool {
    last_part(name) == "num_batches_tracked"
}

/// Whether a tensor of this name is trained, and not a statistic of BatchNorm.
pub(super) fn is_parameter(name: &str) -> bool {
    !is_batch_counter(name) && !matches!(last_part(name), "running_mean" | "running_var")
}

pub(super) fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
