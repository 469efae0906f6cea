//! What the functions make that tensors, dictionaries and storages are pickled with.

use super::machine::Machine;
use super::pickle::{Id, Object, PickleError, Storage, TensorView};

impl Machine<'_> {
    /// What a call of the few functions makes that tensors and dictionaries are pickled with.
    pub(super) fn call(&mut self, function: Id, arguments: Id) -> Result<Id, PickleError> {
        let Object::Tuple(arguments) = &self.objects[arguments] else {
            return Err(self.expected("a tuple of arguments"));
        };
        let arguments = arguments.clone();
        let name = match &self.objects[function] {
            Object::Global(name) => name.as_str(),
            _ => "",
        };
        match name {
            "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" => {
                let pairs = match arguments.first().map(|id| &self.objects[*id]) {
                    Some(Object::List(pairs)) => pairs.clone(),
                    _ => Vec::new(),
                };
                let mut items = Vec::new();
                for pair in pairs {
                    match &self.objects[pair] {
                        Object::Tuple(pair) | Object::List(pair) if pair.len() == 2 => items.push((pair[0], pair[1])),
                        _ => return Err(self.expected("pairs of names and values")),
                    }
                }
                Ok(self.add(Object::Dict(items)))
            }
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
                let tensor = self.tensor(&arguments)?;
                Ok(self.add(tensor))
            }
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                arguments.first().copied().ok_or(self.expected("a parameter's tensor"))
            }
            // Calls its first argument with its third.
            "torch._tensor._rebuild_from_type_v2" => match arguments[..] {
                [function, _, arguments, ..] if self.is_call(function) => self.call(function, arguments),
                _ => Ok(self.add(Object::Other)),
            },
            _ => Ok(self.add(Object::Other)),
        }
    }

    /// Whether this is a function that makes a tensor (and so does not call another: calls cannot nest without end).
    fn is_call(&self, function: Id) -> bool {
        matches!(&self.objects[function], Object::Global(name) if name.starts_with("torch._utils."))
    }

    /// A tensor of the arguments (storage, offset, shape, strides, …).
    fn tensor(&self, arguments: &[Id]) -> Result<Object, PickleError> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return Err(self.expected("a tensor's storage, offset, shape and strides"));
        };
        let Object::Storage(storage) = &self.objects[*storage] else {
            return Err(self.expected("a tensor's storage"));
        };
        let view = TensorView {
            storage: storage.clone(),
            offset: self.size(*offset)?,
            shape: self.sizes(*shape)?,
            strides: self.sizes(*strides)?,
        };
        match view.shape.len() == view.strides.len() {
            true => Ok(Object::Tensor(view)),
            false => Err(self.expected("a stride for each dimension")),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, PickleError> {
        match &self.objects[id] {
            Object::Tuple(items) => items.iter().map(|item| self.size(*item)).collect(),
            _ => Err(self.expected("a tuple of sizes")),
        }
    }

    fn size(&self, id: Id) -> Result<usize, PickleError> {
        match self.objects[id] {
            Object::Int(value) => usize::try_from(value).map_err(|_| self.expected("a size")),
            _ => Err(self.expected("a size")),
        }
    }

    /// The storage that torch names ("storage", type, key, device, elements, …). A legacy file names the source code of
    /// classes in the same way.
    pub(super) fn storage(&self, id: Id) -> Result<Object, PickleError> {
        let Object::Tuple(parts) = &self.objects[id] else {
            return Err(self.expected("the name of a storage"));
        };
        let text = |at: usize| match parts.get(at).map(|id| &self.objects[*id]) {
            Some(Object::Text(text) | Object::Global(text)) => Ok(text.as_str()),
            _ => Err(self.expected("the name of a storage")),
        };
        if text(0)? != "storage" {
            return Ok(Object::Other);
        }
        let kind = text(1)?.rsplit('.').next().unwrap_or_default().to_owned();
        let elements = self.size(*parts.get(4).ok_or(self.expected("the size of a storage"))?)?;
        // Written by PyTorch before 0.4 where storages share memory.
        let is_whole = parts.get(5).is_none_or(|view| self.objects[*view] == Object::Other);
        match is_whole {
            true => Ok(Object::Storage(Storage { kind, key: text(2)?.to_owned(), elements })),
            false => Err(self.expected("storages that are no views of others (save the file with a newer PyTorch)")),
        }
    }
}
