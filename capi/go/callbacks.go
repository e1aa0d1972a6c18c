package halftone

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"runtime/cgo"
	"unsafe"
)

// functions is what C calls back, and what became of it. One goroutine uses it at a time: that of the call.
type functions struct {
	tensors  map[string][]byte
	read     func(name string, offset uint64, into []byte) error
	sink     func(Tensor) error
	progress func(Progress) error
	done     context.Context

	cause    error
	panicked any
}

// guard runs a function of the program's; what it fails or panics with is kept for outcome.
func (f *functions) guard(call func() error) (status C.ht_status) {
	defer func() {
		if panicked := recover(); panicked != nil {
			f.panicked = panicked
			status = C.HT_CANCELLED
		}
	}()
	err := call()
	if err != nil && f.cause == nil {
		f.cause = err
	}
	return statusOf(err)
}

// outcome is the error of a call that has returned, with what the program's functions made of it. Panics go on.
func (f *functions) outcome(err error) error {
	cause, panicked := f.cause, f.panicked
	f.cause, f.panicked = nil, nil
	if panicked != nil {
		panic(panicked)
	}
	var ours *Error
	if errors.As(err, &ours) {
		ours.cause = cause
	}
	return err
}

func functionsOf(user C.uintptr_t) *functions { return cgo.Handle(user).Value().(*functions) }

//export halftoneGoLog
func halftoneGoLog(user C.uintptr_t, level C.int32_t, text *C.char) {
	log := cgo.Handle(user).Value().(*logger)
	defer func() {
		if panicked := recover(); panicked != nil {
			log.mutex.Lock()
			defer log.mutex.Unlock()
			log.panicked = panicked
		}
	}()
	if write := log.current(); write != nil {
		write(LogLevel(level), C.GoString(text))
	}
}

//export halftoneGoTensor
func halftoneGoTensor(user C.uintptr_t, tensor *C.ht_tensor) C.ht_status {
	f := functionsOf(user)
	return f.guard(func() error { return f.sink(tensorOf(tensor, true)) })
}

//export halftoneGoRead
func halftoneGoRead(user C.uintptr_t, name *C.char, offset, size C.uint64_t, into unsafe.Pointer) C.ht_status {
	f := functionsOf(user)
	return f.guard(func() error {
		bytes, tensor := unsafe.Slice((*byte)(into), int(size)), C.GoString(name)
		if data, held := f.tensors[tensor]; held {
			copy(bytes, data[offset:])
			return nil
		}
		return f.read(tensor, uint64(offset), bytes)
	})
}

//export halftoneGoProgress
func halftoneGoProgress(user C.uintptr_t, now *C.ht_progress) C.int32_t {
	f := functionsOf(user)
	status := f.guard(func() error {
		if f.progress != nil {
			if err := f.progress(progressOf(now)); err != nil {
				return err
			}
		}
		if f.done != nil {
			return f.done.Err()
		}
		return nil
	})
	if status != C.HT_OK {
		return 1
	}
	return 0
}
