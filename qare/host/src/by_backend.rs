//! From code that is generic over `Backend` to what only some backends have.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// A value for each of some backends, such as a function of that backend's tensors with their types erased.
#[derive(Debug, Default)]
pub struct ByBackend<T>(RwLock<Option<HashMap<TypeId, T>>>);

impl<T: Copy> ByBackend<T> {
    /// Has no values.
    pub const fn new() -> Self {
        Self(RwLock::new(None))
    }

    /// Sets the value for the backend `B`.
    pub fn set<B: 'static>(&self, value: T) {
        let mut values = self.0.write().unwrap_or_else(PoisonError::into_inner);
        values.get_or_insert_default().insert(TypeId::of::<B>(), value);
    }

    /// The value for the backend `B`, if it has one.
    pub fn get<B: 'static>(&self) -> Option<T> {
        let values = self.0.read().unwrap_or_else(PoisonError::into_inner);
        values.as_ref()?.get(&TypeId::of::<B>()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_backend_has_its_own_value() {
        static VALUES: ByBackend<u32> = ByBackend::new();
        assert_eq!(VALUES.get::<u8>(), None);
        VALUES.set::<u8>(1);
        VALUES.set::<u16>(2);
        VALUES.set::<u8>(3);
        assert_eq!([VALUES.get::<u8>(), VALUES.get::<u16>(), VALUES.get::<u32>()], [Some(3), Some(2), None]);
    }
}
