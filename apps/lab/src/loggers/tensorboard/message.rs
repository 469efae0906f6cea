//! Protocol buffers: messages as bytes.
//!
//! A field is its number with the type of its value, then the value. Fields that are not set are left out.

/// A message that is being written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message(Vec<u8>);

/// The types of values: variable-length integers, eight bytes, bytes with a length, four bytes.
const VARINT: u64 = 0;
const EIGHT: u64 = 1;
const BYTES: u64 = 2;
const FOUR: u64 = 5;

impl Message {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.push_varint(field << 3 | kind);
    }

    /// Adds an integer, an enum value or a bool.
    pub fn int(mut self, field: u64, value: u64) -> Self {
        self.key(field, VARINT);
        self.push_varint(value);
        self
    }

    /// Adds a `double`.
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, EIGHT);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a `float`.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FOUR);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a string or bytes.
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.key(field, BYTES);
        self.push_varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Adds a message.
    pub fn message(self, field: u64, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    /// Returns the bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the description of the encoding at protobuf.dev.
    #[test]
    fn messages_have_the_documented_bytes() {
        assert_eq!(Message::new().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        let string = Message::new().bytes(2, "testing");
        assert_eq!(string.into_bytes(), [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let inner = Message::new().int(1, 150);
        assert_eq!(Message::new().message(3, &inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().float(16, 1.0).into_bytes(), [0x85, 0x01, 0, 0, 0x80, 0x3f]);
    }
}
