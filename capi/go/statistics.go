package halftone

// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Moments says which sums statistics hold.
type Moments int32

// Sums over tokens.
const (
	MomentsNone    Moments = C.HT_MOMENTS_NONE     // only the number of tokens
	MomentsSecond  Moments = C.HT_MOMENTS_SECOND   // H = sum of x' x
	MomentsCross   Moments = C.HT_MOMENTS_CROSS    // H, and D = sum of (x_fp - x)' x
	MomentsHeldOut Moments = C.HT_MOMENTS_HELD_OUT // both, and both once more over the tokens that are held out
)

// Statistics is what calibration leaves behind for the matrices that share their inputs. Plain sums over tokens:
// independent of how these are dealt into batches, up to rounding.
type Statistics struct{ handle }

// Batch is inputs X [tokens, width], and what else is known of these tokens.
type Batch struct {
	Inputs        AnyMatrix // of a floating type
	FullPrecision AnyMatrix // inputs of the same tokens in the full-precision model; nil: equal to Inputs
	HeldOut       bool      // counts the batch as held out as well, for options that are chosen by it ("auto")
}

// NewStatistics is empty sums for inputs of width columns. Memory: width squared floats for each of H and D.
func NewStatistics(context *Context, width int, moments Moments) (*Statistics, error) {
	var raw *C.ht_statistics
	err := context.call(func(from unsafe.Pointer) C.ht_status {
		return C.ht_statistics_create((*C.ht_context)(from), C.int64_t(width), C.int32_t(moments), &raw)
	})
	return newStatistics(context, raw, err)
}

// LoadStatistics is what Save wrote.
func LoadStatistics(context *Context, path string) (*Statistics, error) {
	var memory arena
	defer memory.free()
	cPath, err := memory.text(path)
	if err != nil {
		return nil, err
	}
	var raw *C.ht_statistics
	err = context.call(func(from unsafe.Pointer) C.ht_status {
		return C.ht_statistics_load((*C.ht_context)(from), cPath, &raw)
	})
	return newStatistics(context, raw, err)
}

func newStatistics(context *Context, raw *C.ht_statistics, err error) (*Statistics, error) {
	if err != nil {
		return nil, err
	}
	statistics := &Statistics{handle{pointer: unsafe.Pointer(raw), shared: context.shared}}
	runtime.SetFinalizer(statistics, func(s *Statistics) { s.Close() })
	return statistics, nil
}

// Close frees the sums.
func (s *Statistics) Close() error {
	C.ht_statistics_destroy((*C.ht_statistics)(s.take()))
	return nil
}

// Add adds inputs X [tokens, width]. A matrix with NaN or infinities is refused, and the sums stay.
func (s *Statistics) Add(inputs AnyMatrix) error { return s.AddBatch(Batch{Inputs: inputs}) }

// AddBatch adds a batch.
func (s *Statistics) AddBatch(batch Batch) error {
	inputs, err := required(batch.Inputs)
	if err != nil {
		return err
	}
	fullPrecision, err := optional(batch.FullPrecision)
	if err != nil {
		return err
	}
	var flags C.uint32_t
	if batch.HeldOut {
		flags = C.HT_HOLD_OUT
	}
	return s.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_statistics_add((*C.ht_statistics)(raw), inputs.data, inputs.shape, fullPrecision.data,
			fullPrecision.shape, flags)
	})
}

// AddSums adds sums made elsewhere: H [width, width], of which the upper triangle is read, and D, or nil.
func (s *Statistics) AddSums(tokens int64, h, d AnyMatrix) error {
	second, err := required(h)
	if err != nil {
		return err
	}
	cross, err := optional(d)
	if err != nil {
		return err
	}
	return s.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_statistics_add_sums((*C.ht_statistics)(raw), C.int64_t(tokens), second.data, second.shape,
			cross.data, cross.shape)
	})
}

// Merge adds the sums of another of the same width and moments.
func (s *Statistics) Merge(other *Statistics) error {
	err := s.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_statistics_merge((*C.ht_statistics)(raw), other.raw())
	})
	runtime.KeepAlive(other)
	return err
}

// Save writes a safetensors file, which appears under its name when it is complete.
func (s *Statistics) Save(path string) error {
	var memory arena
	defer memory.free()
	cPath, err := memory.text(path)
	if err != nil {
		return err
	}
	return s.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_statistics_save((*C.ht_statistics)(raw), cPath)
	})
}

// Tensor is a copy of "H" or "D" [width, width].
func (s *Statistics) Tensor(name string) (Matrix[float32], error) {
	return tensor[float32](&s.handle, name, func(raw unsafe.Pointer, name *C.char, view *C.ht_matrix) C.ht_status {
		return C.ht_statistics_tensor((*C.ht_statistics)(raw), name, view)
	})
}

// Number is "tokens", "held_out_tokens", "width" or "moments".
func (s *Statistics) Number(name string) (float64, error) {
	return s.number(name, func(raw unsafe.Pointer, name *C.char, value *C.double) C.ht_status {
		return C.ht_statistics_number((*C.ht_statistics)(raw), name, value)
	})
}

// raw is nil for none.
func (s *Statistics) raw() *C.ht_statistics {
	if s == nil {
		return nil
	}
	return (*C.ht_statistics)(s.pointer)
}

func required(matrix AnyMatrix) (operand, error) {
	if matrix == nil {
		return operand{}, invalid("there is no matrix")
	}
	return matrix.operand()
}

func optional(matrix AnyMatrix) (operand, error) {
	if matrix == nil {
		return operand{}, nil
	}
	return matrix.operand()
}
