package halftone

/*
#cgo pkg-config: halftone-c
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"io"
	"io/fs"
	"unsafe"
)

// Status is the kind of an Error. It is an error itself, so that errors.Is(err, NotFound) works.
type Status int32

// Kinds of errors. A newer library may have others.
const (
	// InvalidArgument: an argument or option outside its documented range, or an object that is closed.
	InvalidArgument Status = C.HT_INVALID_ARGUMENT
	// ShapeMismatch: matrices whose sizes do not fit each other.
	ShapeMismatch Status = C.HT_SHAPE_MISMATCH
	// Unsupported: a legal request that this method, format or build cannot express.
	Unsupported Status = C.HT_UNSUPPORTED
	// InvalidData: a file, config or tensor that is malformed or not finite.
	InvalidData Status = C.HT_INVALID_DATA
	// NotFound: a file, tensor or name that does not exist.
	NotFound Status = C.HT_NOT_FOUND
	// IO: the operating system refused to read or write.
	IO Status = C.HT_IO
	// Conflict: the output belongs to something else; the object is in use.
	Conflict Status = C.HT_CONFLICT
	// Cancelled: a function of the program, a context.Context or Job.Cancel asked to stop.
	Cancelled Status = C.HT_CANCELLED
	// OutOfMemory: no memory.
	OutOfMemory Status = C.HT_OUT_OF_MEMORY
	// Device: accelerator, driver or device library.
	Device Status = C.HT_DEVICE
	// Internal: a bug in the library.
	Internal Status = C.HT_INTERNAL
)

// Error is the name of the status: "invalid_argument".
func (s Status) Error() string { return C.GoString(C.ht_status_name(C.ht_status(s))) }

// Error is what every function of this package fails with.
type Error struct {
	Status  Status
	Message string // who, what, got and wanted
	cause   error
}

// Error is the message.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

// Is says whether target is the status of this error.
func (e *Error) Is(target error) bool {
	status, ok := target.(Status)
	return ok && status == e.Status
}

// Unwrap is what a function of the program failed with, or why its context.Context is done; else nil.
func (e *Error) Unwrap() error { return e.cause }

func invalid(message string) error { return &Error{Status: InvalidArgument, Message: message} }

// failure is the error of a status, with the last message of a handle; of this thread for nil.
func failure(status C.ht_status, handle unsafe.Pointer) error {
	if status == C.HT_OK {
		return nil
	}
	buffer := make([]byte, 1024)
	for {
		length := int(C.ht_message(handle, (*C.char)(unsafe.Pointer(&buffer[0])), C.size_t(len(buffer))))
		if length < len(buffer) {
			return &Error{Status: Status(status), Message: string(buffer[:length])}
		}
		buffer = make([]byte, length+1)
	}
}

// statusOf is what an error of a function of the program's own ends the work with.
func statusOf(err error) C.ht_status {
	var ours *Error
	var status Status
	var path *fs.PathError
	switch {
	case err == nil:
		return C.HT_OK
	case errors.As(err, &ours):
		return C.ht_status(ours.Status)
	case errors.As(err, &status):
		return C.ht_status(status)
	case errors.As(err, &path), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return C.HT_IO
	}
	return C.HT_CANCELLED
}
