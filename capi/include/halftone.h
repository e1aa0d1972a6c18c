/* Halftone: quantisation of the weights of transformers after training. The C interface.
 *
 * C99, and C++. Everything is reached through handles, which belong to the caller until ..._destroy. Methods, options
 * and formats go by name, so this file does not grow when they do. docs/abi.md has the policy and a table of every
 * function; docs/embedding.md shows it in use from C, C++, Rust and Go.
 *
 * Status. Every function that can fail returns an ht_status: HT_OK (0), or what went wrong; then its outputs are as
 * they were, and ht_message of the handle it was called on says who, what, got and wanted. Creating functions leave the
 * message with the handle that they were given. Nothing aborts, prints, exits or throws.
 *
 * Structs begin with struct_size. Set it to sizeof the struct, the rest to zero, then the fields you mean:
 *
 *     ht_matrix W = {.struct_size = sizeof W, .dtype = HT_F32, .rows = rows, .cols = cols, .data = weights};
 *
 * They grow at the end only. A library newer than the program reads and writes no more than struct_size bytes; an older
 * one takes what it does not know for zero.
 *
 * Strings are UTF-8 and end in NUL. Those that the library returns by pointer live as long as the process, unless it
 * says otherwise. Text of any length is copied out: ht_..._text(handle, what, buffer, capacity, &length) writes what
 * fits into `capacity` bytes, always ending in NUL unless capacity is 0, and the whole length without the NUL into
 * `length`. Both buffer and length may be NULL.
 *
 * Threads. One handle, one thread at a time: a second gets HT_CONFLICT. A handle may move between threads, and
 * different handles work at once. Exceptions: ht_message and ht_job_cancel may be called at any time from anywhere,
 * several quantizers may read the same statistics at once, and contexts are shared by all that was made from them.
 * Callbacks come on the thread that called the function that they belong to, never under a lock, and may call any
 * function of other handles; they must return (no longjmp, exception or panic may leave them).
 */
#ifndef HALFTONE_H
#define HALFTONE_H

#include <stddef.h>
#include <stdint.h>

#if defined(HALFTONE_C_EXPORTS) && defined(__GNUC__)
#define HT_API __attribute__((visibility("default")))
#else
#define HT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface: a program runs with a library of the same major and the same or a newer minor version. */
#define HT_ABI_MAJOR 1
#define HT_ABI_MINOR 2

/* ---- Status ----------------------------------------------------------------------------------------------------- */

typedef int32_t ht_status;
enum {
  HT_OK = 0,
  HT_INVALID_ARGUMENT = 10, /* an argument or option outside its documented range; NULL or a dead handle */
  HT_SHAPE_MISMATCH = 11,   /* matrices whose sizes do not fit each other */
  HT_UNSUPPORTED = 12,      /* a legal request that this method, format or build cannot express */
  HT_INVALID_DATA = 20,     /* a file, config or tensor that is malformed or not finite */
  HT_NOT_FOUND = 21,        /* a file, tensor or name that does not exist; the end of an enumeration */
  HT_IO = 22,               /* the operating system refused to read or write */
  HT_CONFLICT = 23,         /* the output belongs to something else; the handle is in use */
  HT_CANCELLED = 30,        /* a callback or ht_job_cancel asked to stop */
  HT_OUT_OF_MEMORY = 40,
  HT_DEVICE = 41,  /* accelerator, driver or device library */
  HT_INTERNAL = 50 /* a bug in the library */
};

/* "0.1.0". */
HT_API const char* ht_version(void);
/* HT_ABI_MAJOR * 65536 + HT_ABI_MINOR of the library that is running. */
HT_API uint32_t ht_abi_version(void);
/* "invalid_argument"; "unknown" for other numbers. */
HT_API const char* ht_status_name(ht_status status);

/* ---- Matrices and tensors --------------------------------------------------------------------------------------- */

/* Element types. */
enum {
  HT_F32 = 0,
  HT_F16 = 1,
  HT_BF16 = 2,
  HT_F64 = 3,
  HT_I8 = 10,
  HT_I16 = 11,
  HT_I32 = 12,
  HT_I64 = 13,
  HT_U8 = 20,
  HT_U16 = 21,
  HT_U32 = 22,
  HT_U64 = 23,
  HT_BOOL = 30,
  HT_F8_E4M3 = 40,
  HT_F8_E5M2 = 41
};

/* Kinds of memory; the numbers are DLPack's. */
enum { HT_CPU = 1, HT_CUDA = 2 };

/* A row-major matrix in memory of the caller's, or of a handle's where the library fills it in. */
typedef struct ht_matrix {
  uint32_t struct_size;
  int32_t dtype;
  int64_t rows, cols;
  int64_t stride;      /* elements from one row to the next, at least cols; 0: cols */
  void* data;          /* [rows, cols]; inputs are only read */
  int32_t device_kind; /* HT_CPU, HT_CUDA; 0: HT_CPU */
  int32_t device_id;
} ht_matrix;

/* A named tensor, contiguous and little-endian. */
typedef struct ht_tensor {
  uint32_t struct_size;
  int32_t dtype;
  const char* name;
  const int64_t* shape; /* [rank] */
  uint32_t rank;
  uint32_t flags; /* 0 */
  const void* data;
  uint64_t bytes;
} ht_tensor;

/* Receives a finished tensor. It and its bytes are valid during the call. Nonzero stops the work: HT_CANCELLED, or
 * another ht_status that the work then ends with. */
typedef ht_status (*ht_tensor_fn)(void* user, const ht_tensor* tensor);

/* ---- What there is ---------------------------------------------------------------------------------------------- */

typedef struct ht_method {
  uint32_t struct_size;
  uint32_t option_count;
  const char* name;  /* "gptq" */
  const char* help;  /* one line */
  const char* paper; /* "arXiv 2210.17323" */
} ht_method;

enum { HT_FLAG = 0, HT_INTEGER = 1, HT_REAL = 2, HT_CHOICE = 3 };

typedef struct ht_option {
  uint32_t struct_size;
  int32_t type;               /* HT_FLAG: "true" or "false"; HT_INTEGER; HT_REAL; HT_CHOICE: one of `choices` */
  const char* name;           /* "damping" */
  const char* default_value;  /* as text, what ht_quantizer_set takes */
  const char* help;           /* one line, with the paper's symbol where there is one */
  double minimum, maximum;    /* of HT_INTEGER and HT_REAL, both included */
  const char* const* choices; /* [choice_count]; of HT_REAL what it may be beside a number ("auto") */
  uint32_t choice_count;
  uint32_t flags; /* 0 */
} ht_option;

typedef struct ht_format {
  uint32_t struct_size;
  uint32_t flags;   /* 0 */
  const char* name; /* "gptq_v2" */
  const char* help; /* one line: who loads it */
} ht_format;

typedef struct ht_feature {
  uint32_t struct_size;
  uint32_t flags;    /* 0 */
  const char* name;  /* "isa", "products", "threads", "openmp", "cuda", "cuda_devices" */
  const char* value; /* "avx512", "onednn", "8", "yes", "no", "not available: no NVIDIA driver is loaded" */
} ht_feature;

/* Row `index` of the list, from 0; HT_NOT_FOUND past its end. */
HT_API ht_status ht_method_get(uint32_t index, ht_method* method);
/* Option `index` of a method by name. */
HT_API ht_status ht_option_get(const char* method, uint32_t index, ht_option* option);
HT_API ht_status ht_format_get(uint32_t index, ht_format* format);
HT_API ht_status ht_feature_get(uint32_t index, ht_feature* feature);

/* ---- Context ---------------------------------------------------------------------------------------------------- */

/* Where work is done: threads, and a device. Everything else is made from one and keeps what it needs of it, so a
 * context may be destroyed first. */
typedef struct ht_context ht_context;

/* threads: 0 takes what the machine offers this process. Results are the same bytes for any number. */
HT_API ht_status ht_context_create(int32_t threads, ht_context** context);
/* Since 1.2. For quantizers that are made, and jobs that are run, from then on. device: "cpu", "cuda" or "cuda:N",
 * where matrices are solved and a job's blocks are run and tuned; weights, statistics and results stay in memory of the
 * host. HT_UNSUPPORTED, with the reason, where this build or machine has no such device. device_memory: bytes of its
 * memory that a quantizer or a job takes at most; "0": what is free. */
HT_API ht_status ht_context_set(ht_context* context, const char* name, const char* value);
/* Destroying NULL does nothing; so does destroying what is no handle. What another thread is using, or a callback's
 * own caller, is freed when that ends. The same holds for every ..._destroy. */
HT_API void ht_context_destroy(ht_context* context);

enum { HT_LOG_ERROR = 0, HT_LOG_WARNING = 1, HT_LOG_INFO = 2 };
typedef void (*ht_log_fn)(void* user, int32_t level, const char* text);
/* What is worth telling while functions run on handles of this context: failures, notes of solvers (damping raised, a
 * fallback), layers and blocks done. On the thread of that function. NULL: no more. The default is silence. A call that
 * is under way may still use a log that has been replaced: `user` must live until all calls that had begun are over. */
HT_API ht_status ht_context_set_log(ht_context* context, ht_log_fn log, void* user);

/* Why the last failed call on this handle failed; the empty string if none has. A call that fails leaves the message
 * until the next failure. NULL, or what is no handle: the last failure on this thread that had no handle to go to.
 * Returns the length without the NUL; copies what fits into `capacity` bytes. */
HT_API size_t ht_message(const void* handle, char* buffer, size_t capacity);

/* ---- Input statistics ------------------------------------------------------------------------------------------- */

/* What calibration leaves behind for the matrices that share their inputs: H = sum of x' x and, for asymmetric methods,
 * D = sum of (x_fp - x)' x over tokens. Plain sums: independent of how tokens are dealt into batches, up to rounding.
 */
typedef struct ht_statistics ht_statistics;

enum {
  HT_MOMENTS_NONE = 0,    /* only the number of tokens */
  HT_MOMENTS_SECOND = 1,  /* H */
  HT_MOMENTS_CROSS = 2,   /* and D */
  HT_MOMENTS_HELD_OUT = 3 /* and both once more over the tokens that are held out */
};

/* width: columns of X, the `in` of the weights. moments: see ht_quantizer_moments. Memory: width^2 floats for each of H
 * and D, twice with HT_MOMENTS_HELD_OUT. */
HT_API ht_status ht_statistics_create(ht_context* context, int64_t width, int32_t moments, ht_statistics** statistics);
HT_API void ht_statistics_destroy(ht_statistics* statistics);

enum { HT_HOLD_OUT = 1 };
/* Adds inputs X [tokens, width] and those of the same tokens in the full-precision model, X_fp (NULL: equal to X).
 * Floating types, converted to f32. flags: HT_HOLD_OUT counts the batch as held out as well, for options that are
 * chosen by it ("auto"). HT_INVALID_DATA for NaN and infinities; a refused batch leaves the sums as they were. Cost:
 * tokens width^2 multiply-adds for H, twice that for D. */
HT_API ht_status ht_statistics_add(ht_statistics* statistics, const ht_matrix* X, const ht_matrix* X_fp,
                                   uint32_t flags);
/* Adds sums made elsewhere: H [width, width], symmetric, its upper triangle is read; D [width, width] as above, or NULL
 * if there is none to add. f32. */
HT_API ht_status ht_statistics_add_sums(ht_statistics* statistics, int64_t tokens, const ht_matrix* H,
                                        const ht_matrix* D);
/* Adds the sums of another of the same width and moments. */
HT_API ht_status ht_statistics_merge(ht_statistics* statistics, const ht_statistics* other);
/* A safetensors file with the tensors H, D, held_out.H, held_out.D that there are, and the counts of tokens. It appears
 * under its name when it is complete. */
HT_API ht_status ht_statistics_save(const ht_statistics* statistics, const char* path);
HT_API ht_status ht_statistics_load(ht_context* context, const char* path, ht_statistics** statistics);
/* A view of "H" or "D" [width, width] f32, valid until the next ht_statistics_add, _add_sums, _merge or _destroy. */
HT_API ht_status ht_statistics_tensor(const ht_statistics* statistics, const char* name, ht_matrix* view);
/* "tokens", "held_out_tokens", "width", "moments". */
HT_API ht_status ht_statistics_number(const ht_statistics* statistics, const char* name, double* value);

/* ---- Quantizers ------------------------------------------------------------------------------------------------- */

/* A method with its options. */
typedef struct ht_quantizer ht_quantizer;

/* method: a name of ht_method_get. Options begin at their defaults. */
HT_API ht_status ht_quantizer_create(ht_context* context, const char* method, ht_quantizer** quantizer);
HT_API void ht_quantizer_destroy(ht_quantizer* quantizer);
/* Sets an option from text, as ht_option_get describes it: ht_quantizer_set(q, "bits", "3"). Options that contradict
 * each other are refused by whichever call comes next that needs them all. */
HT_API ht_status ht_quantizer_set(ht_quantizer* quantizer, const char* option, const char* value);
/* Sets what a format fixes (type of the scales, smallest zero), so that ht_result_pack will take the result. dtype: of
 * the original weights. */
HT_API ht_status ht_quantizer_set_format(ht_quantizer* quantizer, const char* format, int32_t dtype);
/* The value of an option, as text. */
HT_API ht_status ht_quantizer_text(const ht_quantizer* quantizer, const char* option, char* buffer, size_t capacity,
                                   size_t* length);
/* HT_MOMENTS_... that statistics must have, with the options as they are. */
HT_API ht_status ht_quantizer_moments(const ht_quantizer* quantizer, int32_t* moments);

/* Codes, and the grid that decodes them. */
typedef struct ht_result ht_result;

/* Quantises W [out, in], of a floating type. statistics: of in columns; NULL where ht_quantizer_moments says none. What
 * matrices with the same statistics share (order, factorisation) is kept with the quantizer until other statistics or
 * options come: solve the matrices of a stage one after the other. Nothing of W or statistics is kept by the result. */
HT_API ht_status ht_quantizer_run(ht_quantizer* quantizer, const ht_matrix* W, const ht_statistics* statistics,
                                  ht_result** result);

/* ---- Results ---------------------------------------------------------------------------------------------------- */

HT_API void ht_result_destroy(ht_result* result);
/* A view of a part, valid until the result is destroyed; HT_NOT_FOUND if this result has none of that name.
 *   codes           u8  [out, in]          0 .. 2^bits - 1; of a binary-coded grid bit i is the sign of plane i
 *   scales          f32 [out, groups]      every value is one that the stored type holds
 *   zeros           u8  [out, groups]      a weight is scale (code - zero)
 *   alphas          f32 [out, groups bits] binary-coded: a group's planes side by side, largest first
 *   biases          f32 [out, groups]      a weight is the sum of +alpha or -alpha, and bias
 *   group_index     i32 [1, in]            group of each column, where that is not column / group_size
 *   outlier_columns i32 [1, k]             columns that stay in 16 bit, ascending
 *   outlier_values  f32 [out, k]           their weights, whatever their codes say */
HT_API ht_status ht_result_tensor(const ht_result* result, const char* name, ht_matrix* view);
/* The weights that every format decodes to, into a matrix [out, in] of f32, f16 or bf16 (rounded half to even). */
HT_API ht_status ht_result_dequantize(const ht_result* result, const ht_matrix* weights);
/* rows cols bits group_size groups symmetric binary_coded; bits_per_weight: everything stored, scales, zeros, outliers
 * and indices included; and of the solve: relative_error (of the layer's outputs, squared), damping, damping_steps,
 * dead_columns, tokens, strength, refine_rounds, refine_gain, seconds. */
HT_API ht_status ht_result_number(const ht_result* result, const char* name, double* value);
/* "report": the solve as a JSON object; "notes": its notes, one a line: fallbacks, damping raised, too few tokens. */
HT_API ht_status ht_result_text(const ht_result* result, const char* what, char* buffer, size_t capacity,
                                size_t* length);
/* Packs for a format: sends each of its tensors, named <module>.<suffix>. HT_UNSUPPORTED if it cannot hold the result
 * (see ht_quantizer_set_format). */
HT_API ht_status ht_result_pack(const ht_result* result, const char* format, const char* module, ht_tensor_fn sink,
                                void* user);

/* ---- Checkpoints ------------------------------------------------------------------------------------------------ */

/* A checkpoint directory in Hugging Face layout, dense or quantised in any of the formats, memory-mapped. */
typedef struct ht_checkpoint ht_checkpoint;

HT_API ht_status ht_checkpoint_open(ht_context* context, const char* directory, ht_checkpoint** checkpoint);
HT_API void ht_checkpoint_destroy(ht_checkpoint* checkpoint);
/* Tensor `index` of all, sorted by name, from 0; HT_NOT_FOUND past the end. Pointers are into the mapped file, valid
 * until the checkpoint is destroyed. */
HT_API ht_status ht_checkpoint_get(const ht_checkpoint* checkpoint, uint32_t index, ht_tensor* tensor);
HT_API ht_status ht_checkpoint_tensor(const ht_checkpoint* checkpoint, const char* name, ht_tensor* tensor);
/* Codes and grid of a quantised module ("model.layers.0.mlp.down_proj"). HT_NOT_FOUND if it is not quantised. */
HT_API ht_status ht_checkpoint_matrix(const ht_checkpoint* checkpoint, const char* module, ht_result** result);

/* ---- Jobs ------------------------------------------------------------------------------------------------------- */

/* A whole model: from directory to directory, or from and into the program's memory. */
typedef struct ht_job ht_job;

/* recipe: JSON as docs/command.md describes it, e.g. {"method": "gptq", "options": {"bits": 4}}. Relative paths in it
 * are relative to the working directory. */
HT_API ht_status ht_job_create(ht_context* context, const char* recipe, ht_job** job);
HT_API void ht_job_destroy(ht_job* job);
/* model: checkpoint directory. output: directory that appears when it is complete. resume: "true" goes on with an
 * unfinished run of the same output. shard_bytes: largest weights file, 5000000000. */
HT_API ht_status ht_job_set(ht_job* job, const char* name, const char* value);

/* Reads `size` bytes of a tensor from byte `offset` on into memory that holds nothing yet; all of them. Nonzero: an
 * ht_status that the job ends with. */
typedef ht_status (*ht_read_fn)(void* user, const char* name, uint64_t offset, uint64_t size, void* into);

/* A model that the program holds. */
typedef struct ht_source {
  uint32_t struct_size;
  uint32_t flags;           /* 0 */
  const char* config;       /* text of the model's config.json */
  const ht_tensor* tensors; /* [tensor_count], all with the struct_size of the first; `data` NULL: ask `read` */
  uint64_t tensor_count;
  ht_read_fn read; /* may be NULL if every tensor has data */
  void* user;
} ht_source;

/* Takes the model from the program instead of a directory. Config, names and shapes are copied; data must stay until
 * the job is destroyed. */
HT_API ht_status ht_job_set_source(ht_job* job, const ht_source* source);
/* Sends the tensors of every quantised matrix to the program instead of a directory, matrix by matrix. Tensors that
 * stay as they are are not sent; ht_job_text "unchanged" names them. Needs ht_job_set_source. */
HT_API ht_status ht_job_set_sink(ht_job* job, ht_tensor_fn sink, void* user);
/* Calibration tokens [windows, length] i32, copied. Without them the recipe's calibration file is read. */
HT_API ht_status ht_job_set_tokens(ht_job* job, const ht_matrix* ids);

enum {
  HT_PHASE_OPEN = 0,    /* reading and hashing the checkpoint, copying what stays as it is */
  HT_PHASE_REPLAY = 1,  /* resume: running through blocks that an earlier run finished */
  HT_PHASE_COLLECT = 2, /* running to the inputs of the next matrices */
  HT_PHASE_SOLVE = 3,   /* a matrix was solved: `module` and its numbers are set */
  HT_PHASE_WRITE = 4,   /* a block was written and recorded */
  HT_PHASE_TUNE = 6     /* a step of fine-tuning */
};

typedef struct ht_progress {
  uint32_t struct_size;
  int32_t phase;
  int64_t blocks_done, blocks; /* transformer layers */
  int64_t matrices_done, matrices;
  double seconds;        /* since the job was run */
  double seconds_left;   /* estimate; negative while there is nothing to go by */
  const char* module;    /* matrix just solved; else NULL */
  double relative_error; /* of its outputs; else 0 */
  /* Since 1.1. In HT_PHASE_TUNE; else 0. */
  int64_t tuned_first, tuned_last; /* blocks [tuned_first, tuned_last) are tuned together */
  int64_t step, steps;             /* 1 .. steps */
  double loss; /* of the step's batch: error of the outputs, over the outputs, both squared and weighted */
} ht_progress;

/* Several times a second, and after each matrix. Nonzero stops the job after the matrix at hand: HT_CANCELLED. What is
 * finished stays for a resume. */
typedef int32_t (*ht_progress_fn)(void* user, const ht_progress* progress);
HT_API ht_status ht_job_set_progress(ht_job* job, ht_progress_fn progress, void* user);

/* Does the work, and returns when it is done. A job may be run again. */
HT_API ht_status ht_job_run(ht_job* job);
/* Stops a run as soon as its progress is reported next. From any thread, at any time; without a run it does nothing. */
HT_API ht_status ht_job_cancel(ht_job* job);
/* "recipe": in canonical form. "plan": what a run would do and cost, and its peak of memory; nothing is written. After
 * a run: "report"; into a sink also "config", the text of the new config.json, and "unchanged", tensors that were not
 * sent, one a line. All but config and unchanged are JSON. */
HT_API ht_status ht_job_text(ht_job* job, const char* what, char* buffer, size_t capacity, size_t* length);

#ifdef __cplusplus
}
#endif
#endif /* HALFTONE_H */
