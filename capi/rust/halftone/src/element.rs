//! Types of elements.

use halftone_sys as ffi;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that matrices are made of.
pub trait Element: sealed::Sealed + Copy + Default + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// Its number in the C interface.
    const DTYPE: DType;
}

/// A floating type, which weights and inputs may have.
pub trait Float: Element {}

/// The bits of an IEEE 754 half-precision number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct F16(pub u16);

/// The bits of a bfloat16: the upper half of an `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Bf16(pub u16);

macro_rules! dtypes {
    ($($(#[$doc:meta])* $name:ident = $code:ident, $bits:literal;)+) => {
        /// Type of the elements of a tensor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DType {
            $($(#[$doc])* $name,)+
            /// A type of a newer library.
            Other(i32),
        }

        impl DType {
            /// The number of the C interface.
            pub fn code(self) -> i32 {
                match self {
                    $(DType::$name => ffi::$code,)+
                    DType::Other(code) => code,
                }
            }

            /// Bytes of one element; `None` for a type of a newer library.
            pub fn bytes(self) -> Option<usize> {
                match self {
                    $(DType::$name => Some($bits / 8),)+
                    DType::Other(_) => None,
                }
            }

            pub(crate) fn from_code(code: i32) -> DType {
                match code {
                    $(ffi::$code => DType::$name,)+
                    _ => DType::Other(code),
                }
            }
        }
    };
}

dtypes! {
    /// 32-bit float.
    F32 = HT_F32, 32;
    /// IEEE half precision.
    F16 = HT_F16, 16;
    /// bfloat16.
    Bf16 = HT_BF16, 16;
    /// 64-bit float.
    F64 = HT_F64, 64;
    /// Signed, 8 bits.
    I8 = HT_I8, 8;
    /// Signed, 16 bits.
    I16 = HT_I16, 16;
    /// Signed, 32 bits.
    I32 = HT_I32, 32;
    /// Signed, 64 bits.
    I64 = HT_I64, 64;
    /// Unsigned, 8 bits.
    U8 = HT_U8, 8;
    /// Unsigned, 16 bits.
    U16 = HT_U16, 16;
    /// Unsigned, 32 bits.
    U32 = HT_U32, 32;
    /// Unsigned, 64 bits.
    U64 = HT_U64, 64;
    /// A byte that is 0 or 1.
    Bool = HT_BOOL, 8;
    /// 8-bit float with 4 bits of exponent.
    F8E4M3 = HT_F8_E4M3, 8;
    /// 8-bit float with 5 bits of exponent.
    F8E5M2 = HT_F8_E5M2, 8;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),+) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }
    )+};
}
elements!(f32 => F32, f64 => F64, F16 => F16, Bf16 => Bf16, i32 => I32, u8 => U8);

impl Float for f32 {}
impl Float for f64 {}
impl Float for F16 {}
impl Float for Bf16 {}
