package halftone

// #include "bridge.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"strings"
	"unsafe"
)

// Result is codes, and the grid that decodes them. Parts that a result does not have are NotFound.
type Result struct{ handle }

func newResult(shared *shared, raw *C.ht_result, err error) (*Result, error) {
	if err != nil {
		return nil, err
	}
	result := &Result{handle{pointer: unsafe.Pointer(raw), shared: shared}}
	runtime.SetFinalizer(result, func(r *Result) { r.Close() })
	return result, nil
}

// Close frees the result. Copies of its parts stay.
func (r *Result) Close() error {
	C.ht_result_destroy((*C.ht_result)(r.take()))
	return nil
}

func part[T Element](r *Result, name string) (Matrix[T], error) {
	return tensor[T](&r.handle, name, func(raw unsafe.Pointer, name *C.char, view *C.ht_matrix) C.ht_status {
		return C.ht_result_tensor((*C.ht_result)(raw), name, view)
	})
}

// Codes [out, in], 0 to 2^bits - 1. Of a binary-coded grid bit i is the sign of plane i.
func (r *Result) Codes() (Matrix[uint8], error) { return part[uint8](r, "codes") }

// Scales [out, groups].
func (r *Result) Scales() (Matrix[float32], error) { return part[float32](r, "scales") }

// Zeros [out, groups]: a weight is scale (code - zero).
func (r *Result) Zeros() (Matrix[uint8], error) { return part[uint8](r, "zeros") }

// Alphas [out, groups bits] of a binary-coded grid: a group's planes side by side, largest first.
func (r *Result) Alphas() (Matrix[float32], error) { return part[float32](r, "alphas") }

// Biases [out, groups] of a binary-coded grid: a weight is the sum of +alpha or -alpha, and bias.
func (r *Result) Biases() (Matrix[float32], error) { return part[float32](r, "biases") }

// GroupIndex [1, in]: group of each column, where that is not column / group size.
func (r *Result) GroupIndex() (Matrix[int32], error) { return part[int32](r, "group_index") }

// OutlierColumns [1, k]: columns that stay in 16 bit, ascending.
func (r *Result) OutlierColumns() (Matrix[int32], error) { return part[int32](r, "outlier_columns") }

// OutlierValues [out, k]: the weights of those columns, whatever their codes say.
func (r *Result) OutlierValues() (Matrix[float32], error) { return part[float32](r, "outlier_values") }

// Dequantize is the weights that every format decodes to.
func (r *Result) Dequantize() (Matrix[float32], error) {
	rows, err := r.Number("rows")
	if err != nil {
		return Matrix[float32]{}, err
	}
	cols, err := r.Number("cols")
	if err != nil {
		return Matrix[float32]{}, err
	}
	weights := NewMatrix(make([]float32, int(rows)*int(cols)), int(rows), int(cols))
	return weights, r.DequantizeInto(weights)
}

// DequantizeInto writes them into a matrix [out, in] of float32, Float16 or BFloat16.
func (r *Result) DequantizeInto(weights AnyMatrix) error {
	target, err := required(weights)
	if err != nil {
		return err
	}
	return r.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_result_dequantize((*C.ht_result)(raw), target.data, target.shape)
	})
}

// Number is rows, cols, bits, group_size, groups, symmetric, binary_coded, bits_per_weight, or of the solve
// relative_error, damping, damping_steps, dead_columns, tokens, strength, refine_rounds, refine_gain, seconds.
func (r *Result) Number(name string) (float64, error) {
	return r.number(name, func(raw unsafe.Pointer, name *C.char, value *C.double) C.ht_status {
		return C.ht_result_number((*C.ht_result)(raw), name, value)
	})
}

func (r *Result) copyText(what string) (string, error) {
	return r.text(what, func(raw unsafe.Pointer, name, buffer *C.char, capacity C.size_t, length *C.size_t) C.ht_status {
		return C.ht_result_text((*C.ht_result)(raw), name, buffer, capacity, length)
	})
}

// Report is the solve as a JSON object.
func (r *Result) Report() (string, error) { return r.copyText("report") }

// Notes of the solve: fallbacks, damping raised, too few tokens.
func (r *Result) Notes() ([]string, error) {
	text, err := r.copyText("notes")
	return lines(text), err
}

// Pack packs for a format of Formats: gives sink each of its tensors, named <module>.<suffix>. Unsupported if the
// format cannot hold the result (see Quantizer.SetFormat). An error of sink ends it.
func (r *Result) Pack(format, module string, sink func(Tensor) error) error {
	var memory arena
	defer memory.free()
	cFormat, cModule, err := memory.texts(format, module)
	if err != nil {
		return err
	}
	functions := &functions{sink: sink}
	user := cgo.NewHandle(functions)
	defer user.Delete()
	err = r.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_result_pack((*C.ht_result)(raw), cFormat, cModule, C.uintptr_t(user))
	})
	return functions.outcome(err)
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
