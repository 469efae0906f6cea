use burn::tensor::{bf16, f16};

/// What the numbers of a tensor in a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float64,
    Float32,
    Float16,
    BFloat16,
    Int64,
    Int32,
    Int16,
    Int8,
    UInt8,
    Bool,
    Complex64,
    Complex128,
    /// Of a type that no weights are kept in, and whose width is unknown here.
    Unknown,
}

impl Element {
    /// PyTorch's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float64 => "float64",
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Int16 => "int16",
            Self::Int8 => "int8",
            Self::UInt8 => "uint8",
            Self::Bool => "bool",
            Self::Complex64 => "complex64",
            Self::Complex128 => "complex128",
            Self::Unknown => "unknown",
        }
    }

    /// Bytes of one number.
    pub fn width(self) -> Option<usize> {
        match self {
            Self::Complex128 => Some(16),
            Self::Float64 | Self::Int64 | Self::Complex64 => Some(8),
            Self::Float32 | Self::Int32 => Some(4),
            Self::Float16 | Self::BFloat16 | Self::Int16 => Some(2),
            Self::Int8 | Self::UInt8 | Self::Bool => Some(1),
            Self::Unknown => None,
        }
    }

    /// Whether parameters may be kept in it.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float64 | Self::Float32 | Self::Float16 | Self::BFloat16)
    }

    /// Whether a counter of batches may be kept in it.
    pub fn is_count(self) -> bool {
        self.is_float() || matches!(self, Self::Int64 | Self::Int32)
    }

    /// The function that makes a number of its [`width`](Self::width) little-endian bytes.
    pub fn decoder(self) -> Option<fn(&[u8]) -> f32> {
        Some(match self {
            Self::Float64 => |bytes| f64::from_le_bytes(array(bytes)) as f32,
            Self::Float32 => |bytes| f32::from_le_bytes(array(bytes)),
            Self::Float16 => |bytes| f16::from_le_bytes(array(bytes)).to_f32(),
            Self::BFloat16 => |bytes| bf16::from_le_bytes(array(bytes)).to_f32(),
            Self::Int64 => |bytes| i64::from_le_bytes(array(bytes)) as f32,
            Self::Int32 => |bytes| i32::from_le_bytes(array(bytes)) as f32,
            _ => return None,
        })
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many bytes as the type is wide")
}
