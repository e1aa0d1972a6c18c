//! Functions of the header, in its order.

use crate::*;
use std::os::raw::{c_char, c_void};

extern "C" {
    pub fn ht_version() -> *const c_char;
    pub fn ht_abi_version() -> u32;
    pub fn ht_status_name(status: ht_status) -> *const c_char;

    pub fn ht_method_get(index: u32, method: *mut ht_method) -> ht_status;
    pub fn ht_option_get(method: *const c_char, index: u32, option: *mut ht_option) -> ht_status;
    pub fn ht_format_get(index: u32, format: *mut ht_format) -> ht_status;
    pub fn ht_feature_get(index: u32, feature: *mut ht_feature) -> ht_status;

    pub fn ht_context_create(threads: i32, context: *mut *mut ht_context) -> ht_status;
    pub fn ht_context_destroy(context: *mut ht_context);
    pub fn ht_context_set(context: *mut ht_context, name: *const c_char, value: *const c_char) -> ht_status;
    pub fn ht_context_set_log(context: *mut ht_context, log: ht_log_fn, user: *mut c_void) -> ht_status;
    pub fn ht_message(handle: *const c_void, buffer: *mut c_char, capacity: usize) -> usize;

    pub fn ht_statistics_create(
        context: *mut ht_context,
        width: i64,
        moments: i32,
        statistics: *mut *mut ht_statistics,
    ) -> ht_status;
    pub fn ht_statistics_destroy(statistics: *mut ht_statistics);
    pub fn ht_statistics_add(
        statistics: *mut ht_statistics,
        x: *const ht_matrix,
        x_fp: *const ht_matrix,
        flags: u32,
    ) -> ht_status;
    pub fn ht_statistics_add_sums(
        statistics: *mut ht_statistics,
        tokens: i64,
        h: *const ht_matrix,
        d: *const ht_matrix,
    ) -> ht_status;
    pub fn ht_statistics_merge(statistics: *mut ht_statistics, other: *const ht_statistics) -> ht_status;
    pub fn ht_statistics_save(statistics: *const ht_statistics, path: *const c_char) -> ht_status;
    pub fn ht_statistics_load(
        context: *mut ht_context,
        path: *const c_char,
        statistics: *mut *mut ht_statistics,
    ) -> ht_status;
    pub fn ht_statistics_tensor(
        statistics: *const ht_statistics,
        name: *const c_char,
        view: *mut ht_matrix,
    ) -> ht_status;
    pub fn ht_statistics_number(statistics: *const ht_statistics, name: *const c_char, value: *mut f64) -> ht_status;

    pub fn ht_quantizer_create(
        context: *mut ht_context,
        method: *const c_char,
        quantizer: *mut *mut ht_quantizer,
    ) -> ht_status;
    pub fn ht_quantizer_destroy(quantizer: *mut ht_quantizer);
    pub fn ht_quantizer_set(quantizer: *mut ht_quantizer, option: *const c_char, value: *const c_char) -> ht_status;
    pub fn ht_quantizer_set_format(quantizer: *mut ht_quantizer, format: *const c_char, dtype: i32) -> ht_status;
    pub fn ht_quantizer_text(
        quantizer: *const ht_quantizer,
        option: *const c_char,
        buffer: *mut c_char,
        capacity: usize,
        length: *mut usize,
    ) -> ht_status;
    pub fn ht_quantizer_moments(quantizer: *const ht_quantizer, moments: *mut i32) -> ht_status;
    pub fn ht_quantizer_run(
        quantizer: *mut ht_quantizer,
        w: *const ht_matrix,
        statistics: *const ht_statistics,
        result: *mut *mut ht_result,
    ) -> ht_status;

    pub fn ht_result_destroy(result: *mut ht_result);
    pub fn ht_result_tensor(result: *const ht_result, name: *const c_char, view: *mut ht_matrix) -> ht_status;
    pub fn ht_result_dequantize(result: *const ht_result, weights: *const ht_matrix) -> ht_status;
    pub fn ht_result_number(result: *const ht_result, name: *const c_char, value: *mut f64) -> ht_status;
    pub fn ht_result_text(
        result: *const ht_result,
        what: *const c_char,
        buffer: *mut c_char,
        capacity: usize,
        length: *mut usize,
    ) -> ht_status;
    pub fn ht_result_pack(
        result: *const ht_result,
        format: *const c_char,
        module: *const c_char,
        sink: ht_tensor_fn,
        user: *mut c_void,
    ) -> ht_status;

    pub fn ht_checkpoint_open(
        context: *mut ht_context,
        directory: *const c_char,
        checkpoint: *mut *mut ht_checkpoint,
    ) -> ht_status;
    pub fn ht_checkpoint_destroy(checkpoint: *mut ht_checkpoint);
    pub fn ht_checkpoint_get(checkpoint: *const ht_checkpoint, index: u32, tensor: *mut ht_tensor) -> ht_status;
    pub fn ht_checkpoint_tensor(
        checkpoint: *const ht_checkpoint,
        name: *const c_char,
        tensor: *mut ht_tensor,
    ) -> ht_status;
    pub fn ht_checkpoint_matrix(
        checkpoint: *const ht_checkpoint,
        module: *const c_char,
        result: *mut *mut ht_result,
    ) -> ht_status;

    pub fn ht_job_create(context: *mut ht_context, recipe: *const c_char, job: *mut *mut ht_job) -> ht_status;
    pub fn ht_job_destroy(job: *mut ht_job);
    pub fn ht_job_set(job: *mut ht_job, name: *const c_char, value: *const c_char) -> ht_status;
    pub fn ht_job_set_source(job: *mut ht_job, source: *const ht_source) -> ht_status;
    pub fn ht_job_set_sink(job: *mut ht_job, sink: ht_tensor_fn, user: *mut c_void) -> ht_status;
    pub fn ht_job_set_tokens(job: *mut ht_job, ids: *const ht_matrix) -> ht_status;
    pub fn ht_job_set_progress(job: *mut ht_job, progress: ht_progress_fn, user: *mut c_void) -> ht_status;
    pub fn ht_job_run(job: *mut ht_job) -> ht_status;
    pub fn ht_job_cancel(job: *mut ht_job) -> ht_status;
    pub fn ht_job_text(
        job: *mut ht_job,
        what: *const c_char,
        buffer: *mut c_char,
        capacity: usize,
        length: *mut usize,
    ) -> ht_status;
}
