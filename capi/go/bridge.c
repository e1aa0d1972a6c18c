#include "bridge.h"

#include "_cgo_export.h"

static ht_matrix matrix_of(const uint8_t* data, ht_go_shape shape) {
  const ht_matrix matrix = {sizeof matrix, shape.dtype, shape.rows, shape.cols, shape.stride, (void*)data, HT_CPU, 0};
  return matrix;
}

ht_status ht_go_statistics_add(ht_statistics* statistics, const uint8_t* x, ht_go_shape x_shape, const uint8_t* x_fp,
                               ht_go_shape x_fp_shape, uint32_t flags) {
  const ht_matrix inputs = matrix_of(x, x_shape), full_precision = matrix_of(x_fp, x_fp_shape);
  return ht_statistics_add(statistics, &inputs, x_fp == NULL ? NULL : &full_precision, flags);
}

ht_status ht_go_statistics_add_sums(ht_statistics* statistics, int64_t tokens, const uint8_t* H, ht_go_shape H_shape,
                                    const uint8_t* D, ht_go_shape D_shape) {
  const ht_matrix second = matrix_of(H, H_shape), cross = matrix_of(D, D_shape);
  return ht_statistics_add_sums(statistics, tokens, &second, D == NULL ? NULL : &cross);
}

ht_status ht_go_quantizer_run(ht_quantizer* quantizer, const uint8_t* W, ht_go_shape W_shape,
                              const ht_statistics* statistics, ht_result** result) {
  const ht_matrix weights = matrix_of(W, W_shape);
  return ht_quantizer_run(quantizer, &weights, statistics, result);
}

ht_status ht_go_result_dequantize(const ht_result* result, const uint8_t* weights, ht_go_shape shape) {
  const ht_matrix target = matrix_of(weights, shape);
  return ht_result_dequantize(result, &target);
}

ht_status ht_go_job_set_tokens(ht_job* job, const uint8_t* ids, ht_go_shape shape) {
  const ht_matrix tokens = matrix_of(ids, shape);
  return ht_job_set_tokens(job, &tokens);
}

static void on_log(void* user, int32_t level, const char* text) { halftoneGoLog((uintptr_t)user, level, (char*)text); }

static ht_status on_tensor(void* user, const ht_tensor* tensor) {
  return halftoneGoTensor((uintptr_t)user, (ht_tensor*)tensor);
}

static ht_status on_read(void* user, const char* name, uint64_t offset, uint64_t size, void* into) {
  return halftoneGoRead((uintptr_t)user, (char*)name, offset, size, into);
}

static int32_t on_progress(void* user, const ht_progress* progress) {
  return halftoneGoProgress((uintptr_t)user, (ht_progress*)progress);
}

ht_status ht_go_context_set_log(ht_context* context, uintptr_t user) {
  return ht_context_set_log(context, user == 0 ? NULL : on_log, (void*)user);
}

ht_status ht_go_result_pack(const ht_result* result, const char* format, const char* module, uintptr_t user) {
  return ht_result_pack(result, format, module, on_tensor, (void*)user);
}

ht_status ht_go_job_set_source(ht_job* job, const char* config, const ht_tensor* tensors, uint64_t count,
                               uintptr_t user) {
  const ht_source source = {sizeof source, 0, config, tensors, count, on_read, (void*)user};
  return ht_job_set_source(job, &source);
}

ht_status ht_go_job_set_sink(ht_job* job, uintptr_t user) { return ht_job_set_sink(job, on_tensor, (void*)user); }

ht_status ht_go_job_set_progress(ht_job* job, uintptr_t user) {
  return ht_job_set_progress(job, on_progress, (void*)user);
}
