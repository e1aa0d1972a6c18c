/* The side of an inference engine: opens what `halftone quantize --format native` wrote, finds a layer, and multiplies
 * with it straight from its codes: y = W x, W = scale (code - zero), without ever having W in memory.
 *
 *     cc engine.c $(pkg-config --cflags --libs halftone-c) -lm -o engine
 *     ./engine DIRECTORY [MODULE] */
#include <halftone.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  int64_t rows, cols, groups, group_size;
  const uint8_t* codes; /* [rows, cols] */
  const float* scales;  /* [rows, groups] */
  const uint8_t* zeros; /* [rows, groups] */
} layer;

static ht_status find_layer(const ht_result* result, layer* found) {
  ht_matrix codes = {.struct_size = sizeof codes}, scales = codes, zeros = codes;
  double group_size = 0;
  ht_status status = ht_result_tensor(result, "codes", &codes);
  if (status == HT_OK) status = ht_result_tensor(result, "scales", &scales);
  if (status == HT_OK) status = ht_result_tensor(result, "zeros", &zeros);
  if (status == HT_OK) status = ht_result_number(result, "group_size", &group_size);
  if (status != HT_OK) return status;
  found->rows = codes.rows;
  found->cols = codes.cols;
  found->groups = scales.cols;
  found->group_size = (int64_t)group_size;
  found->codes = codes.data;
  found->scales = scales.data;
  found->zeros = zeros.data;
  return HT_OK;
}

/* y [rows] = W x [cols]. Of a group, scale (sum of code x - zero sum of x). */
static void multiply(const layer* W, const float* x, float* y) {
  for (int64_t r = 0; r < W->rows; ++r) {
    const uint8_t* code = W->codes + r * W->cols;
    double sum = 0;
    for (int64_t g = 0; g < W->groups; ++g) {
      const int64_t first = g * W->group_size;
      const int64_t last = first + W->group_size < W->cols ? first + W->group_size : W->cols;
      double with_codes = 0, plain = 0;
      for (int64_t j = first; j < last; ++j) {
        with_codes += (double)code[j] * x[j];
        plain += x[j];
      }
      sum += W->scales[r * W->groups + g] * (with_codes - W->zeros[r * W->groups + g] * plain);
    }
    y[r] = (float)sum;
  }
}

/* Largest difference from the product with the decoded matrix, relative to the largest element of y. */
static double check(const ht_result* result, const layer* W, const float* x, const float* y) {
  float* decoded = malloc((size_t)(W->rows * W->cols) * sizeof *decoded);
  ht_matrix target = {.struct_size = sizeof target, .dtype = HT_F32, .rows = W->rows, .cols = W->cols, .data = decoded};
  double worst = 0, largest = 1e-30;
  if (decoded == NULL || ht_result_dequantize(result, &target) != HT_OK) worst = HUGE_VAL;
  for (int64_t r = 0; worst < HUGE_VAL && r < W->rows; ++r) {
    double sum = 0;
    for (int64_t j = 0; j < W->cols; ++j) sum += (double)decoded[r * W->cols + j] * x[j];
    if (fabs(sum) > largest) largest = fabs(sum);
    if (fabs(sum - y[r]) > worst) worst = fabs(sum - y[r]);
  }
  free(decoded);
  return worst / largest;
}

int main(int argc, char** argv) {
  const char* module = argc > 2 ? argv[2] : "model.layers.0.mlp.down_proj";
  ht_context* context = NULL;
  ht_checkpoint* checkpoint = NULL;
  ht_result* result = NULL;
  layer W = {0};
  const void* at = NULL;
  if (argc < 2) {
    fprintf(stderr, "usage: %s DIRECTORY [MODULE]\n", argv[0]);
    return 2;
  }
  ht_status status = ht_context_create(1, &context);
  if (status == HT_OK) at = context, status = ht_checkpoint_open(context, argv[1], &checkpoint);
  if (status == HT_OK) at = checkpoint, status = ht_checkpoint_matrix(checkpoint, module, &result);
  if (status == HT_OK) at = result, status = find_layer(result, &W);
  if (status != HT_OK) {
    char message[512];
    ht_message(at, message, sizeof message);
    fprintf(stderr, "engine: %s\n", message);
  } else {
    float *x = malloc((size_t)W.cols * sizeof *x), *y = malloc((size_t)W.rows * sizeof *y);
    if (x == NULL || y == NULL) return EXIT_FAILURE;
    for (int64_t j = 0; j < W.cols; ++j) x[j] = (float)(j % 7) - 3;
    multiply(&W, x, y);
    const double difference = check(result, &W, x, y);
    printf("%s: %lld x %lld, y[0] = %g, largest difference from the decoded product %.1e\n", module, (long long)W.rows,
           (long long)W.cols, y[0], difference);
    if (!(difference < 1e-5)) status = HT_INTERNAL;
    free(x);
    free(y);
  }
  ht_result_destroy(result);
  ht_checkpoint_destroy(checkpoint);
  ht_context_destroy(context);
  return status == HT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
