//! What instructions cost in memory, in values of 16 bytes.

/// What is left of the limit.
pub(crate) struct Memory {
    limit: usize,
    left: usize,
}

impl Memory {
    /// A value on the stack. It may move to a container, which then grows by it.
    pub const VALUE: usize = 1;
    /// An empty list, tuple, set or dictionary, a name, or an object outside of the pickle.
    pub const CONTAINER: usize = 2;
    /// An empty object.
    pub const OBJECT: usize = 7;
    /// A value in the memo, by its key.
    pub const MEMO: usize = 3;

    pub fn new(limit: usize) -> Self {
        Self { limit, left: limit }
    }

    /// Takes so much of what is left, or says what the limit was.
    pub fn take(&mut self, values: usize) -> Result<(), usize> {
        self.left = self.left.checked_sub(values).ok_or(self.limit)?;
        Ok(())
    }

    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.limit - self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Object, Persistent, Span, Value};

    /// Vectors and maps double when they grow: a value may take up to twice its size.
    #[test]
    fn costs_are_the_sizes_in_memory() {
        let values = |size: usize| size.div_ceil(size_of::<Value>());
        assert_eq!(size_of::<Value>(), 16);
        assert_eq!(Memory::CONTAINER, values(size_of::<Vec<Value>>()));
        assert_eq!(Memory::CONTAINER, values(size_of::<(Span, Span)>()) + 1);
        assert_eq!(Memory::CONTAINER, values(size_of::<Persistent>()));
        assert_eq!(Memory::OBJECT, values(size_of::<Object>()));
        assert!(Memory::MEMO >= values(size_of::<(u64, Value)>() + 1));
    }
}
