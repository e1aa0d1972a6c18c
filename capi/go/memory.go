package halftone

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"strings"
	"unsafe"
)

// arena is C memory for the length of a call.
type arena struct{ blocks []unsafe.Pointer }

func (a *arena) free() {
	for _, block := range a.blocks {
		C.free(block)
	}
}

// text is a string for C. It fails if there is a NUL in it.
func (a *arena) text(text string) (*C.char, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, invalid("a string with NUL in it: " + strings.ReplaceAll(text, "\x00", "\\0"))
	}
	copied := C.CString(text)
	a.blocks = append(a.blocks, unsafe.Pointer(copied))
	return copied, nil
}

// texts is two strings for C.
func (a *arena) texts(first, second string) (*C.char, *C.char, error) {
	one, err := a.text(first)
	if err != nil {
		return nil, nil, err
	}
	two, err := a.text(second)
	return one, two, err
}

// zeros is so many bytes; never nil, as Go ends where C has no memory.
func (a *arena) zeros(bytes int) unsafe.Pointer {
	block := C.calloc(1, C.size_t(bytes+1))
	if block == nil {
		panic("halftone: out of memory")
	}
	a.blocks = append(a.blocks, block)
	return block
}

// copyText is the text that a function copies out.
func copyText(call func(buffer *C.char, capacity C.size_t, length *C.size_t) error) (string, error) {
	buffer := make([]byte, 4096)
	for {
		var length C.size_t
		if err := call((*C.char)(unsafe.Pointer(&buffer[0])), C.size_t(len(buffer)), &length); err != nil {
			return "", err
		}
		if int(length) < len(buffer) {
			return string(buffer[:length]), nil
		}
		buffer = make([]byte, int(length)+1)
	}
}
