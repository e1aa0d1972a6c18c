//! Structs, handles and callbacks of the header, in its order.

use std::os::raw::{c_char, c_void};

/// One of the `HT_...` status constants, or one that a newer library knows.
pub type ht_status = i32;

/// A struct of this interface: plain numbers and pointers, of which all zeros is a value, after `struct_size`.
///
/// # Safety
/// The type is `repr(C)`, its first member is `struct_size: u32`, and all zeros is a valid value of it.
pub unsafe trait Struct: Copy {}

/// A struct with `struct_size` set and everything else zero.
pub fn sized<T: Struct>() -> T {
    // SAFETY: Struct says that zeros are a value, and that struct_size is at the beginning.
    unsafe {
        let mut made: T = std::mem::zeroed();
        std::ptr::addr_of_mut!(made).cast::<u32>().write(std::mem::size_of::<T>() as u32);
        made
    }
}

macro_rules! structs {
    ($($(#[$doc:meta])* pub struct $name:ident { $($member:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name { $(pub $member: $type),+ }
        // SAFETY: integers, floats and raw pointers, struct_size first.
        unsafe impl Struct for $name {}
    )+};
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name { _private: [u8; 0] }
    )+};
}

structs! {
    /// A row-major matrix in memory of the caller's, or of a handle's where the library fills it in.
    pub struct ht_matrix {
        struct_size: u32,
        dtype: i32,
        rows: i64,
        cols: i64,
        stride: i64,
        data: *mut c_void,
        device_kind: i32,
        device_id: i32,
    }
    /// A named tensor, contiguous and little-endian.
    pub struct ht_tensor {
        struct_size: u32,
        dtype: i32,
        name: *const c_char,
        shape: *const i64,
        rank: u32,
        flags: u32,
        data: *const c_void,
        bytes: u64,
    }
    /// A method.
    pub struct ht_method {
        struct_size: u32,
        option_count: u32,
        name: *const c_char,
        help: *const c_char,
        paper: *const c_char,
    }
    /// An option of a method.
    pub struct ht_option {
        struct_size: u32,
        type_: i32,
        name: *const c_char,
        default_value: *const c_char,
        help: *const c_char,
        minimum: f64,
        maximum: f64,
        choices: *const *const c_char,
        choice_count: u32,
        flags: u32,
    }
    /// A format of checkpoints.
    pub struct ht_format {
        struct_size: u32,
        flags: u32,
        name: *const c_char,
        help: *const c_char,
    }
    /// A property of this build on this machine.
    pub struct ht_feature {
        struct_size: u32,
        flags: u32,
        name: *const c_char,
        value: *const c_char,
    }
    /// A model that the program holds.
    pub struct ht_source {
        struct_size: u32,
        flags: u32,
        config: *const c_char,
        tensors: *const ht_tensor,
        tensor_count: u64,
        read: ht_read_fn,
        user: *mut c_void,
    }
    /// How far a job is.
    pub struct ht_progress {
        struct_size: u32,
        phase: i32,
        blocks_done: i64,
        blocks: i64,
        matrices_done: i64,
        matrices: i64,
        seconds: f64,
        seconds_left: f64,
        module: *const c_char,
        relative_error: f64,
        tuned_first: i64,
        tuned_last: i64,
        step: i64,
        steps: i64,
        loss: f64,
    }
}

handles! {
    /// Where work is done.
    ht_context
    /// What calibration leaves behind for the matrices that share their inputs.
    ht_statistics
    /// A method with its options.
    ht_quantizer
    /// Codes, and the grid that decodes them.
    ht_result
    /// A checkpoint directory.
    ht_checkpoint
    /// A whole model.
    ht_job
}

/// Receives a finished tensor.
pub type ht_tensor_fn = Option<unsafe extern "C" fn(user: *mut c_void, tensor: *const ht_tensor) -> ht_status>;
/// Receives a line of the log.
pub type ht_log_fn = Option<unsafe extern "C" fn(user: *mut c_void, level: i32, text: *const c_char)>;
/// Reads a range of a tensor.
pub type ht_read_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        name: *const c_char,
        offset: u64,
        size: u64,
        into: *mut c_void,
    ) -> ht_status,
>;
/// Hears how far a job is; nonzero stops it.
pub type ht_progress_fn = Option<unsafe extern "C" fn(user: *mut c_void, progress: *const ht_progress) -> i32>;
