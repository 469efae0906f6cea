use burn::tensor::{bf16, f16};

/// The type of the numbers of a tensor in a file.
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
    /// The types of tensors that are no views of a storage: sparse and quantized ones, and those on the device `meta`.
    Sparse,
    Quantized,
    Absent,
    /// A type of unknown width, which weights do not have.
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
            Self::Sparse => "sparse",
            Self::Quantized => "quantized",
            Self::Absent => "meta",
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
            Self::Sparse | Self::Quantized | Self::Absent | Self::Unknown => None,
        }
    }

    /// Whether parameters can be of this type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float64 | Self::Float32 | Self::Float16 | Self::BFloat16)
    }

    /// Whether a counter of batches can be of this type.
    pub fn is_count(self) -> bool {
        self.is_float() || matches!(self, Self::Int64 | Self::Int32)
    }

    /// Converts the little-endian bytes of one number, [`width`](Self::width) of them.
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
