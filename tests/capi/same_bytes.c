/* Prints the hash of same_bytes.h by way of the C interface; what the tests in other languages compare theirs with. */
#include "same_bytes.h"

#include <halftone.h>
#include <stdio.h>

static float W[same_rows * same_cols], X[same_tokens * same_cols];

static ht_status hash_part(const ht_result* result, const char* name, size_t element, uint64_t* hash) {
  ht_matrix view = {sizeof view, 0, 0, 0, 0, NULL, 0, 0};
  const ht_status status = ht_result_tensor(result, name, &view);
  if (status == HT_OK) *hash = same_hash(*hash, view.data, (size_t)(view.rows * view.cols) * element);
  return status;
}

int main(void) {
  ht_context* context = NULL;
  ht_statistics* statistics = NULL;
  ht_quantizer* quantizer = NULL;
  ht_result* result = NULL;
  uint64_t hash = same_start;
  const ht_matrix weights = {sizeof weights, HT_F32, same_rows, same_cols, 0, W, HT_CPU, 0};
  const ht_matrix inputs = {sizeof inputs, HT_F32, same_tokens, same_cols, 0, X, HT_CPU, 0};
  same_numbers(W, same_rows * same_cols, 1);
  same_numbers(X, same_tokens * same_cols, 2);

  ht_status status = ht_context_create(0, &context);
  if (status == HT_OK) status = ht_statistics_create(context, same_cols, HT_MOMENTS_SECOND, &statistics);
  if (status == HT_OK) status = ht_statistics_add(statistics, &inputs, NULL, 0);
  if (status == HT_OK) status = ht_quantizer_create(context, "gptq", &quantizer);
  if (status == HT_OK) status = ht_quantizer_set(quantizer, "bits", "3");
  if (status == HT_OK) status = ht_quantizer_set(quantizer, "group_size", "16");
  if (status == HT_OK) status = ht_quantizer_set(quantizer, "act_order", "true");
  if (status == HT_OK) status = ht_quantizer_run(quantizer, &weights, statistics, &result);
  if (status == HT_OK) status = hash_part(result, "codes", 1, &hash);
  if (status == HT_OK) status = hash_part(result, "scales", 4, &hash);
  if (status == HT_OK) status = hash_part(result, "zeros", 1, &hash);
  if (status == HT_OK) printf("%016llx\n", (unsigned long long)hash);
  ht_result_destroy(result);
  ht_quantizer_destroy(quantizer);
  ht_statistics_destroy(statistics);
  ht_context_destroy(context);
  return status == HT_OK ? 0 : 1;
}
