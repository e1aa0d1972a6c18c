package halftone

// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// handle is the C handle of an object; nil once it is closed.
type handle struct {
	pointer unsafe.Pointer
	shared  *shared
}

// take is the pointer, which is then destroyed.
func (h *handle) take() unsafe.Pointer {
	taken := h.pointer
	h.pointer = nil
	return taken
}

// call is a call on the handle, which stays alive until it has returned.
func (h *handle) call(call func(raw unsafe.Pointer) C.ht_status) error {
	if h == nil || h.pointer == nil {
		return invalid("the object is closed")
	}
	err := failure(call(h.pointer), h.pointer)
	runtime.KeepAlive(h)
	h.shared.rethrow()
	return err
}

func (h *handle) text(what string, copyOut func(unsafe.Pointer, *C.char, *C.char, C.size_t, *C.size_t) C.ht_status) (
	string, error) {
	var memory arena
	defer memory.free()
	name, err := memory.text(what)
	if err != nil {
		return "", err
	}
	return copyText(func(buffer *C.char, capacity C.size_t, length *C.size_t) error {
		return h.call(func(raw unsafe.Pointer) C.ht_status { return copyOut(raw, name, buffer, capacity, length) })
	})
}

func (h *handle) number(name string, get func(unsafe.Pointer, *C.char, *C.double) C.ht_status) (float64, error) {
	var memory arena
	defer memory.free()
	cName, err := memory.text(name)
	if err != nil {
		return 0, err
	}
	var value C.double
	err = h.call(func(raw unsafe.Pointer) C.ht_status { return get(raw, cName, &value) })
	return float64(value), err
}

// tensor is a copy of a matrix that the handle shows by name.
func tensor[T Element](h *handle, name string, get func(unsafe.Pointer, *C.char, *C.ht_matrix) C.ht_status) (
	Matrix[T], error) {
	var memory arena
	defer memory.free()
	cName, err := memory.text(name)
	if err != nil {
		return Matrix[T]{}, err
	}
	view := C.ht_matrix{struct_size: C.sizeof_ht_matrix}
	if err := h.call(func(raw unsafe.Pointer) C.ht_status { return get(raw, cName, &view) }); err != nil {
		return Matrix[T]{}, err
	}
	matrix, err := copied[T](&view)
	runtime.KeepAlive(h)
	return matrix, err
}
