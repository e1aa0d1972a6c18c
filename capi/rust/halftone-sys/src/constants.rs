//! Constants of the header. Enumerations are plain integers: a newer library may use values that are not listed here.

use crate::ht_status;

/// Version of the interface that these bindings are of: major.
pub const HT_ABI_MAJOR: u32 = 1;
/// Version of the interface that these bindings are of: minor.
pub const HT_ABI_MINOR: u32 = 2;

// Status: what the functions return.
pub const HT_OK: ht_status = 0;
pub const HT_INVALID_ARGUMENT: ht_status = 10;
pub const HT_SHAPE_MISMATCH: ht_status = 11;
pub const HT_UNSUPPORTED: ht_status = 12;
pub const HT_INVALID_DATA: ht_status = 20;
pub const HT_NOT_FOUND: ht_status = 21;
pub const HT_IO: ht_status = 22;
pub const HT_CONFLICT: ht_status = 23;
pub const HT_CANCELLED: ht_status = 30;
pub const HT_OUT_OF_MEMORY: ht_status = 40;
pub const HT_DEVICE: ht_status = 41;
pub const HT_INTERNAL: ht_status = 50;

// Element types.
pub const HT_F32: i32 = 0;
pub const HT_F16: i32 = 1;
pub const HT_BF16: i32 = 2;
pub const HT_F64: i32 = 3;
pub const HT_I8: i32 = 10;
pub const HT_I16: i32 = 11;
pub const HT_I32: i32 = 12;
pub const HT_I64: i32 = 13;
pub const HT_U8: i32 = 20;
pub const HT_U16: i32 = 21;
pub const HT_U32: i32 = 22;
pub const HT_U64: i32 = 23;
pub const HT_BOOL: i32 = 30;
pub const HT_F8_E4M3: i32 = 40;
pub const HT_F8_E5M2: i32 = 41;

// Kinds of memory.
pub const HT_CPU: i32 = 1;
pub const HT_CUDA: i32 = 2;

// Types of options.
pub const HT_FLAG: i32 = 0;
pub const HT_INTEGER: i32 = 1;
pub const HT_REAL: i32 = 2;
pub const HT_CHOICE: i32 = 3;

// Levels of the log.
pub const HT_LOG_ERROR: i32 = 0;
pub const HT_LOG_WARNING: i32 = 1;
pub const HT_LOG_INFO: i32 = 2;

// What statistics hold.
pub const HT_MOMENTS_NONE: i32 = 0;
pub const HT_MOMENTS_SECOND: i32 = 1;
pub const HT_MOMENTS_CROSS: i32 = 2;
pub const HT_MOMENTS_HELD_OUT: i32 = 3;

/// Flag of [`crate::ht_statistics_add`].
pub const HT_HOLD_OUT: u32 = 1;

// Phases of a job.
pub const HT_PHASE_OPEN: i32 = 0;
pub const HT_PHASE_REPLAY: i32 = 1;
pub const HT_PHASE_COLLECT: i32 = 2;
pub const HT_PHASE_SOLVE: i32 = 3;
pub const HT_PHASE_WRITE: i32 = 4;
pub const HT_PHASE_TUNE: i32 = 6;
