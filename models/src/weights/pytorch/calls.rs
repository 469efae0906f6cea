//! What the functions make that tensors, dictionaries and storages are pickled with.

use super::machine::Machine;
use super::pickle::{Container, Global, PickleError, Span, StorageName, Value};
use crate::weights::element::Element;
use crate::weights::numbers::View;

/// Bytes of the name of a class, a function or a storage, at most.
const LONGEST_NAME: usize = 100;
/// PyTorch's tensors have no more.
const MOST_DIMENSIONS: usize = 64;

impl Machine<'_> {
    pub(super) fn global(&self, module: Span, name: Span) -> Value {
        // A long name is compared with none of these, however often it is referred to.
        if module.len().max(name.len()) > LONGEST_NAME {
            return Value::Global(Global::Unknown);
        }
        let (module, name) = (self.text(module), self.text(name));
        Value::Global(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") | ("builtins" | "__builtin__", "dict") => Global::Dict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::RebuildParameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            _ if module.split('.').next() == Some("torch") => match name.strip_suffix("Storage") {
                Some(kind) => Global::Storage(element(kind)),
                None => Global::Unknown,
            },
            _ => Global::Unknown,
        })
    }

    /// What a call of the few functions makes that tensors and dictionaries are pickled with.
    pub(super) fn call(&mut self, function: Value, arguments: Value) -> Result<Value, PickleError> {
        let Value::Container(index) = arguments else {
            return Err(self.expected("a tuple of arguments"));
        };
        let Container::Tuple(arguments) = &self.containers[index as usize] else {
            return Err(self.expected("a tuple of arguments"));
        };
        let Value::Global(function) = function else { return Ok(Value::Other) };
        match function {
            Global::Dict => {
                let items = match arguments.first() {
                    Some(Value::Container(pairs)) => match &self.containers[*pairs as usize] {
                        Container::List(pairs) => self.pairs(pairs)?,
                        _ => Vec::new(),
                    },
                    _ => Vec::new(),
                };
                self.charge(2 * items.len())?;
                self.add(Container::Dict(items))
            }
            Global::RebuildTensor => {
                let view = self.tensor(arguments)?;
                self.charge(2 * view.shape.len() + 8)?;
                self.tensors.push(view);
                Ok(Value::Tensor(self.tensors.len() as u32 - 1))
            }
            Global::RebuildParameter => arguments.first().copied().ok_or(self.expected("a parameter's tensor")),
            // Calls its first argument with its third.
            Global::RebuildFromType => match arguments[..] {
                // None of these calls another: calls cannot nest without end.
                [function @ Value::Global(Global::RebuildTensor | Global::RebuildParameter), _, arguments, ..] => {
                    self.call(function, arguments)
                }
                _ => Ok(Value::Other),
            },
            Global::Storage(_) | Global::Unknown => Ok(Value::Other),
        }
    }

    fn pairs(&self, pairs: &[Value]) -> Result<Vec<(Value, Value)>, PickleError> {
        let pair = |value: &Value| match value {
            Value::Container(index) => match &self.containers[*index as usize] {
                Container::Tuple(pair) | Container::List(pair) if pair.len() == 2 => Some((pair[0], pair[1])),
                _ => None,
            },
            _ => None,
        };
        pairs.iter().map(pair).collect::<Option<_>>().ok_or(self.expected("pairs of names and values"))
    }

    /// A tensor of the arguments (storage, offset, shape, strides, …).
    fn tensor(&self, arguments: &[Value]) -> Result<View, PickleError> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return Err(self.expected("a tensor's storage, offset, shape and strides"));
        };
        let Value::Storage(storage) = *storage else {
            return Err(self.expected("a tensor's storage"));
        };
        let (shape, strides) = (self.sizes(*shape)?, self.sizes(*strides)?);
        if shape.len() != strides.len() {
            return Err(self.expected("a stride for each dimension"));
        }
        Ok(View { storage: storage as usize, offset: self.size(*offset)?, shape, strides: Some(strides) })
    }

    fn sizes(&self, value: Value) -> Result<Vec<usize>, PickleError> {
        match value {
            Value::Container(index) => match &self.containers[index as usize] {
                Container::Tuple(items) if items.len() <= MOST_DIMENSIONS => {
                    items.iter().map(|item| self.size(*item)).collect()
                }
                _ => Err(self.expected("a tuple of at most 64 sizes")),
            },
            _ => Err(self.expected("a tuple of sizes")),
        }
    }

    fn size(&self, value: Value) -> Result<usize, PickleError> {
        match value {
            Value::Int(value) => usize::try_from(value).map_err(|_| self.expected("a size")),
            _ => Err(self.expected("a size")),
        }
    }

    /// The storage that torch names ("storage", type, key, device, elements, …). A legacy file names the source code of
    /// classes in the same way.
    pub(super) fn storage(&mut self, id: Value) -> Result<Value, PickleError> {
        let parts = match id {
            Value::Container(index) => match &self.containers[index as usize] {
                Container::Tuple(parts) => &parts[..],
                _ => &[],
            },
            _ => &[],
        };
        let Some(Value::Text(what)) = parts.first().copied() else {
            return Err(self.expected("the name of a storage"));
        };
        if &self.bytes[what.range()] != b"storage" {
            return Ok(Value::Other);
        }
        let [_, Value::Global(Global::Storage(element)), Value::Text(key), _, elements, rest @ ..] = parts else {
            return Err(self.expected("a storage's type, key, device and size"));
        };
        // Written by PyTorch before 0.4 where storages share memory.
        if rest.first().is_some_and(|view| *view != Value::Other) {
            return Err(self.expected("storages that are no views of others (save the file with a newer PyTorch)"));
        }
        let (element, key, elements) = (*element, *key, self.size(*elements)?);
        if key.len() > LONGEST_NAME {
            return Err(self.expected("a short name of a storage"));
        }
        if let Some(&known) = self.keys.get(self.text(key)) {
            let storage = &self.storages[known as usize];
            return match storage.element == element && storage.elements == elements {
                true => Ok(Value::Storage(known)),
                false => Err(self.expected("one type and size for each storage")),
            };
        }
        self.charge(8)?;
        let index = self.storages.len() as u32;
        self.keys.insert(self.text(key), index);
        self.storages.push(StorageName { key, element, elements });
        Ok(Value::Storage(index))
    }
}

/// The element of PyTorch's type of storage, less its ending.
fn element(kind: &str) -> Element {
    match kind {
        "Double" => Element::Float64,
        "Float" => Element::Float32,
        "Half" => Element::Float16,
        "BFloat16" => Element::BFloat16,
        "Long" => Element::Int64,
        "Int" => Element::Int32,
        "Short" => Element::Int16,
        "Char" => Element::Int8,
        "Byte" | "Untyped" => Element::UInt8,
        "Bool" => Element::Bool,
        "ComplexFloat" => Element::Complex64,
        "ComplexDouble" => Element::Complex128,
        _ => Element::Unknown,
    }
}
