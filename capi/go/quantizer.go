package halftone

// #include "bridge.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Quantizer is a method with its options.
type Quantizer struct{ handle }

// NewQuantizer is a method of Methods by name, with options at their defaults.
func NewQuantizer(context *Context, method string) (*Quantizer, error) {
	var memory arena
	defer memory.free()
	name, err := memory.text(method)
	if err != nil {
		return nil, err
	}
	var raw *C.ht_quantizer
	err = context.call(func(from unsafe.Pointer) C.ht_status {
		return C.ht_quantizer_create((*C.ht_context)(from), name, &raw)
	})
	if err != nil {
		return nil, err
	}
	quantizer := &Quantizer{handle{pointer: unsafe.Pointer(raw), shared: context.shared}}
	runtime.SetFinalizer(quantizer, func(q *Quantizer) { q.Close() })
	return quantizer, nil
}

// Close frees the quantizer.
func (q *Quantizer) Close() error {
	C.ht_quantizer_destroy((*C.ht_quantizer)(q.take()))
	return nil
}

// Set sets an option of MethodOptions by name: a number, a bool or a word. Options that contradict each other are
// refused by whichever call comes next that needs them all.
func (q *Quantizer) Set(option string, value any) error {
	var memory arena
	defer memory.free()
	name, text, err := memory.texts(option, fmt.Sprint(value))
	if err != nil {
		return err
	}
	return q.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_quantizer_set((*C.ht_quantizer)(raw), name, text)
	})
}

// SetFormat sets what a format fixes, so that Result.Pack will take the result. dtype: of the original weights.
func (q *Quantizer) SetFormat(format string, dtype DType) error {
	var memory arena
	defer memory.free()
	name, err := memory.text(format)
	if err != nil {
		return err
	}
	return q.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_quantizer_set_format((*C.ht_quantizer)(raw), name, C.int32_t(dtype))
	})
}

// Option is the value of an option, as text.
func (q *Quantizer) Option(option string) (string, error) {
	return q.text(option, func(raw unsafe.Pointer, name, buffer *C.char, capacity C.size_t, length *C.size_t) C.ht_status {
		return C.ht_quantizer_text((*C.ht_quantizer)(raw), name, buffer, capacity, length)
	})
}

// Moments is what statistics must have, with the options as they are.
func (q *Quantizer) Moments() (Moments, error) {
	var moments C.int32_t
	err := q.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_quantizer_moments((*C.ht_quantizer)(raw), &moments)
	})
	return Moments(moments), err
}

// Run quantises W [out, in], of a floating type. statistics: of in columns; nil where Moments says MomentsNone. What
// matrices with the same statistics share is kept until others come: solve them one after the other.
func (q *Quantizer) Run(weights AnyMatrix, statistics *Statistics) (*Result, error) {
	operand, err := required(weights)
	if err != nil {
		return nil, err
	}
	if statistics != nil && statistics.pointer == nil {
		return nil, invalid("the statistics are closed")
	}
	var made *C.ht_result
	err = q.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_go_quantizer_run((*C.ht_quantizer)(raw), operand.data, operand.shape, statistics.raw(), &made)
	})
	runtime.KeepAlive(statistics)
	return newResult(q.shared, made, err)
}
