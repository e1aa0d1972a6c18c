package halftone

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// Job is a whole model: from directory to directory, or from and into the program's memory.
type Job struct {
	handle
	functions *functions
	user      cgo.Handle // of functions, for C
	closing   sync.Mutex // Close, against Cancel
}

// Source is a model that the program holds. Its data must not change until the job is closed.
type Source struct {
	Config  string   // text of the model's config.json
	Tensors []Tensor // those whose Data is nil are read by Read
	// Read fills into with the bytes of a tensor from offset on. The slice must not be kept.
	Read func(name string, offset uint64, into []byte) error
}

// NewJob is a job from a recipe: JSON as the manual of the command describes it. Relative paths in it are relative to
// the working directory.
func NewJob(from *Context, recipe string) (*Job, error) {
	var memory arena
	defer memory.free()
	text, err := memory.text(recipe)
	if err != nil {
		return nil, err
	}
	var raw *C.ht_job
	err = from.call(func(from unsafe.Pointer) C.ht_status {
		return C.ht_job_create((*C.ht_context)(from), text, &raw)
	})
	if err != nil {
		return nil, err
	}
	called := &functions{}
	job := &Job{handle: handle{pointer: unsafe.Pointer(raw), shared: from.shared}, functions: called,
		user: cgo.NewHandle(called)}
	runtime.SetFinalizer(job, func(j *Job) { j.Close() })
	err = job.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_job_set_progress((*C.ht_job)(raw), C.uintptr_t(job.user))
	})
	if err != nil {
		return nil, err
	}
	return job, nil
}

// Close frees the job.
func (j *Job) Close() error {
	j.closing.Lock()
	defer j.closing.Unlock()
	if raw := j.take(); raw != nil {
		C.ht_job_destroy((*C.ht_job)(raw))
		j.user.Delete()
	}
	return nil
}

// Set sets "model", a checkpoint directory; "output", a directory that appears when it is complete; "resume", whether
// to go on with an unfinished run of the same output; "shard_bytes", the largest weights file.
func (j *Job) Set(name string, value any) error {
	var memory arena
	defer memory.free()
	cName, text, err := memory.texts(name, fmt.Sprint(value))
	if err != nil {
		return err
	}
	return j.call(func(raw unsafe.Pointer) C.ht_status { return C.ht_job_set((*C.ht_job)(raw), cName, text) })
}

// SetSource takes the model from the program instead of a directory.
func (j *Job) SetSource(source Source) error {
	var memory arena
	defer memory.free()
	config, err := memory.text(source.Config)
	if err != nil {
		return err
	}
	count := len(source.Tensors)
	list := (*C.ht_tensor)(memory.zeros(count * C.sizeof_ht_tensor))
	held := map[string][]byte{}
	for i, given := range source.Tensors {
		if given.Data == nil && source.Read == nil {
			return invalid("tensor " + given.Name + " has no data, and the source no Read")
		}
		if given.Data != nil {
			held[given.Name] = given.Data
		}
		if err := describe(&memory, given, &unsafe.Slice(list, count)[i]); err != nil {
			return err
		}
	}
	err = j.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_job_set_source((*C.ht_job)(raw), config, list, C.uint64_t(count), C.uintptr_t(j.user))
	})
	if err == nil {
		j.functions.tensors, j.functions.read = held, source.Read
	}
	return err
}

// describe fills in a tensor for C. Its data stays in Go, and is read through a callback.
func describe(memory *arena, tensor Tensor, out *C.ht_tensor) error {
	name, err := memory.text(tensor.Name)
	if err != nil {
		return err
	}
	shape := (*C.int64_t)(memory.zeros(len(tensor.Shape) * C.sizeof_int64_t))
	for i, extent := range tensor.Shape {
		unsafe.Slice(shape, len(tensor.Shape))[i] = C.int64_t(extent)
	}
	*out = C.ht_tensor{struct_size: C.sizeof_ht_tensor, dtype: C.int32_t(tensor.DType), name: name, shape: shape,
		rank: C.uint32_t(len(tensor.Shape)), bytes: C.uint64_t(tensor.size())}
	return nil
}

// SetSink gives sink the tensors of every quantised matrix instead of writing a directory, matrix by matrix. Tensors
// that stay as they are are not sent; Unchanged names them. Needs SetSource. An error of sink ends the run.
func (j *Job) SetSink(sink func(Tensor) error) error {
	if sink == nil {
		return invalid("there is no sink")
	}
	j.functions.sink = sink
	return j.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_job_set_sink((*C.ht_job)(raw), C.uintptr_t(j.user))
	})
}

// SetTokens sets calibration tokens [windows, length], copied. Without them the recipe's calibration file is read.
func (j *Job) SetTokens(ids Matrix[int32]) error {
	tokens, err := ids.operand()
	if err != nil {
		return err
	}
	return j.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_job_set_tokens((*C.ht_job)(raw), tokens.data, tokens.shape)
	})
}

// SetProgress tells report how far the job is, several times a second and after each matrix; nil: no more. An error
// stops the run after the matrix at hand, with Cancelled; what is finished stays for a resume.
func (j *Job) SetProgress(report func(Progress) error) { j.functions.progress = report }

// Run does the work, and returns when it is done. It stops with Cancelled when ctx is done. A job may be run again.
func (j *Job) Run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &Error{Status: Cancelled, Message: "the job was not begun", cause: err}
	}
	j.functions.done = ctx
	defer func() { j.functions.done = nil }()
	return j.functions.outcome(j.call(func(raw unsafe.Pointer) C.ht_status { return C.ht_job_run((*C.ht_job)(raw)) }))
}

// Cancel stops a run as soon as its progress is reported next. It may be called from any goroutine, and does nothing
// without a run.
func (j *Job) Cancel() error {
	j.closing.Lock()
	defer j.closing.Unlock()
	if j.pointer == nil {
		return nil
	}
	return failure(C.ht_job_cancel((*C.ht_job)(j.pointer)), j.pointer)
}

func (j *Job) copyText(what string) (string, error) {
	text, err := j.text(what, func(raw unsafe.Pointer, name, buffer *C.char, capacity C.size_t,
		length *C.size_t) C.ht_status {
		return C.ht_job_text((*C.ht_job)(raw), name, buffer, capacity, length)
	})
	return text, j.functions.outcome(err)
}

// Recipe in canonical form.
func (j *Job) Recipe() (string, error) { return j.copyText("recipe") }

// Plan is what a run would do and cost, and its peak of memory, as JSON; nothing is written.
func (j *Job) Plan() (string, error) { return j.copyText("plan") }

// Report is what was done by a run, as JSON.
func (j *Job) Report() (string, error) { return j.copyText("report") }

// Config is the text of the new config.json, after a run into a sink.
func (j *Job) Config() (string, error) { return j.copyText("config") }

// Unchanged is the tensors that were not sent, after a run into a sink, since they stay as they are.
func (j *Job) Unchanged() ([]string, error) {
	text, err := j.copyText("unchanged")
	return lines(text), err
}
