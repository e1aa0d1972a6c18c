/* Quantises one matrix with GPTQ and packs it for the `gptq` checkpoint format.
 *
 *     cc quantize_matrix.c $(pkg-config --cflags --libs halftone-c) -lm -o quantize_matrix */
#include <halftone.h>
#include <stdio.h>
#include <stdlib.h>

enum { out = 256, in = 512, tokens = 2048 };

/* Stands for weights and activations: numbers between -1 and 1. */
static float* numbers(size_t count, uint64_t seed) {
  float* values = malloc(count * sizeof *values);
  for (size_t i = 0; values != NULL && i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    values[i] = (float)(seed >> 40) / 8388608.0f - 1.0f;
  }
  return values;
}

/* Says what went wrong, and with which handle. */
static int failed(const char* what, ht_status status, const void* handle) {
  char message[512];
  ht_message(handle, message, sizeof message);
  fprintf(stderr, "%s: %s: %s\n", what, ht_status_name(status), message);
  return EXIT_FAILURE;
}

static ht_status show(void* user, const ht_tensor* tensor) {
  uint64_t* total = user;
  printf("  %-14s", tensor->name);
  for (uint32_t i = 0; i < tensor->rank; ++i) printf(" %lld", (long long)tensor->shape[i]);
  printf(": %llu bytes\n", (unsigned long long)tensor->bytes);
  *total += tensor->bytes;
  return HT_OK;
}

int main(void) {
  float *weights = numbers((size_t)out * in, 1), *inputs = numbers((size_t)tokens * in, 2);
  if (weights == NULL || inputs == NULL) return EXIT_FAILURE;
  ht_matrix W = {.struct_size = sizeof W, .dtype = HT_F32, .rows = out, .cols = in, .data = weights};
  ht_matrix X = {.struct_size = sizeof X, .dtype = HT_F32, .rows = tokens, .cols = in, .data = inputs};

  ht_context* context = NULL;
  ht_statistics* statistics = NULL;
  ht_quantizer* quantizer = NULL;
  ht_result* result = NULL;
  int exit_code = EXIT_SUCCESS;
  const void* at = NULL; /* whose message it is if something fails */
  ht_status status = ht_context_create(0, &context);
  at = context;
  if (status == HT_OK) status = ht_statistics_create(context, in, HT_MOMENTS_SECOND, &statistics);
  if (status == HT_OK) status = ht_quantizer_create(context, "gptq", &quantizer);
  if (status == HT_OK) at = statistics, status = ht_statistics_add(statistics, &X, NULL, 0);
  if (status == HT_OK) at = quantizer, status = ht_quantizer_set(quantizer, "bits", "4");
  if (status == HT_OK) status = ht_quantizer_set(quantizer, "group_size", "128");
  if (status == HT_OK) status = ht_quantizer_set_format(quantizer, "gptq", HT_F16);
  if (status == HT_OK) status = ht_quantizer_run(quantizer, &W, statistics, &result);

  double error = 0, bits = 0;
  uint64_t bytes = 0;
  if (status == HT_OK) at = result, status = ht_result_number(result, "relative_error", &error);
  if (status == HT_OK) status = ht_result_number(result, "bits_per_weight", &bits);
  if (status == HT_OK) {
    printf("%d x %d: %.3f bits a weight, %.4f of the outputs' energy lost\n", out, in, bits, error);
    status = ht_result_pack(result, "gptq", "layer", show, &bytes);
  }
  if (status == HT_OK)
    printf("%llu bytes in all, %d as f16\n", (unsigned long long)bytes, out * in * 2);
  else
    exit_code = failed("quantize_matrix", status, at);

  ht_result_destroy(result);
  ht_quantizer_destroy(quantizer);
  ht_statistics_destroy(statistics);
  ht_context_destroy(context);
  free(inputs);
  free(weights);
  return exit_code;
}
