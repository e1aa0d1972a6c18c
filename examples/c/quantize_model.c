/* Quantises a checkpoint directory, says how far it is, and stops cleanly at Ctrl-C: run it again to go on.
 *
 *     cc quantize_model.c $(pkg-config --cflags --libs halftone-c) -o quantize_model
 *     ./quantize_model MODEL OUTPUT RECIPE.json */
#include <halftone.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t stop = 0;
static void on_signal(int number) {
  (void)number;
  stop = 1;
}

static int32_t tell(void* user, const ht_progress* now) {
  (void)user;
  if (now->phase == HT_PHASE_SOLVE && now->module != NULL)
    printf("%lld/%lld %s: error %.4f, %.0f s left\n", (long long)now->matrices_done, (long long)now->matrices,
           now->module, now->relative_error, now->seconds_left > 0 ? now->seconds_left : 0);
  return stop;
}

static char* read_file(const char* path) {
  FILE* file = fopen(path, "rb");
  char* text = calloc(1, 1 << 16);
  if (file != NULL && text != NULL && fread(text, 1, (1 << 16) - 1, file) == 0) text[0] = '\0';
  if (file != NULL) fclose(file);
  return text;
}

int main(int argc, char** argv) {
  ht_context* context = NULL;
  ht_job* job = NULL;
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL OUTPUT RECIPE.json\n", argv[0]);
    return 2;
  }
  signal(SIGINT, on_signal);
  char* recipe = read_file(argv[3]);
  ht_status status = ht_context_create(0, &context);
  if (status == HT_OK) status = ht_job_create(context, recipe, &job);
  const void* at = job != NULL ? (const void*)job : (const void*)context;
  if (status == HT_OK) status = ht_job_set(job, "model", argv[1]);
  if (status == HT_OK) status = ht_job_set(job, "output", argv[2]);
  if (status == HT_OK) status = ht_job_set(job, "resume", "true");
  if (status == HT_OK) status = ht_job_set_progress(job, tell, NULL);
  if (status == HT_OK) status = ht_job_run(job);
  if (status != HT_OK) {
    char message[512];
    ht_message(at, message, sizeof message);
    fprintf(stderr, "quantize_model: %s: %s\n", ht_status_name(status), message);
  }
  ht_job_destroy(job);
  ht_context_destroy(context);
  free(recipe);
  return status == HT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
