package halftone

// #include "bridge.h"
import "C"

import "unsafe"

// Tensor is a named tensor, contiguous and little-endian.
type Tensor struct {
	Name  string
	DType DType
	Shape []int64
	Data  []byte
}

// size is the bytes that shape and type say; 0 for sizes that are none, which the library refuses.
func (t Tensor) size() uint64 {
	if t.Data != nil {
		return uint64(len(t.Data))
	}
	size := uint64(t.DType.Bytes())
	for _, extent := range t.Shape {
		if extent < 0 {
			return 0
		}
		size *= uint64(extent)
	}
	return size
}

// tensorOf is a copy of a tensor of the library's; without its data if that is not wanted.
func tensorOf(tensor *C.ht_tensor, withData bool) Tensor {
	made := Tensor{Name: C.GoString(tensor.name), DType: DType(tensor.dtype)}
	for _, extent := range unsafe.Slice(tensor.shape, int(tensor.rank)) {
		made.Shape = append(made.Shape, int64(extent))
	}
	if withData {
		made.Data = append([]byte{}, unsafe.Slice((*byte)(tensor.data), int(tensor.bytes))...)
	}
	return made
}
