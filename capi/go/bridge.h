/* Between cgo and the C interface: matrices as arguments, since C memory must not hold pointers to Go memory, and
 * callbacks by handle. */
#ifndef HALFTONE_GO_BRIDGE_H
#define HALFTONE_GO_BRIDGE_H

#include <halftone.h>

/* Of a matrix without its data. */
typedef struct ht_go_shape {
  int32_t dtype;
  int64_t rows, cols, stride;
} ht_go_shape;

/* As the functions of the interface. Data is used during the call only; NULL of x_fp and D: none. */
ht_status ht_go_statistics_add(ht_statistics* statistics, const uint8_t* x, ht_go_shape x_shape, const uint8_t* x_fp,
                               ht_go_shape x_fp_shape, uint32_t flags);
ht_status ht_go_statistics_add_sums(ht_statistics* statistics, int64_t tokens, const uint8_t* H, ht_go_shape H_shape,
                                    const uint8_t* D, ht_go_shape D_shape);
ht_status ht_go_quantizer_run(ht_quantizer* quantizer, const uint8_t* W, ht_go_shape W_shape,
                              const ht_statistics* statistics, ht_result** result);
ht_status ht_go_result_dequantize(const ht_result* result, const uint8_t* weights, ht_go_shape shape);
ht_status ht_go_job_set_tokens(ht_job* job, const uint8_t* ids, ht_go_shape shape);

/* With a cgo.Handle as user, and the exported functions of callbacks.go as callbacks. */
ht_status ht_go_context_set_log(ht_context* context, uintptr_t user);
ht_status ht_go_result_pack(const ht_result* result, const char* format, const char* module, uintptr_t user);
ht_status ht_go_job_set_source(ht_job* job, const char* config, const ht_tensor* tensors, uint64_t count,
                               uintptr_t user);
ht_status ht_go_job_set_sink(ht_job* job, uintptr_t user);
ht_status ht_go_job_set_progress(ht_job* job, uintptr_t user);

#endif /* HALFTONE_GO_BRIDGE_H */
