package halftone

// #include "bridge.h"
import "C"

// DType is the type of the elements of a tensor.
type DType int32

// Types of elements.
const (
	F32    DType = C.HT_F32
	F16    DType = C.HT_F16
	BF16   DType = C.HT_BF16
	F64    DType = C.HT_F64
	I8     DType = C.HT_I8
	I16    DType = C.HT_I16
	I32    DType = C.HT_I32
	I64    DType = C.HT_I64
	U8     DType = C.HT_U8
	U16    DType = C.HT_U16
	U32    DType = C.HT_U32
	U64    DType = C.HT_U64
	Bool   DType = C.HT_BOOL
	F8E4M3 DType = C.HT_F8_E4M3
	F8E5M2 DType = C.HT_F8_E5M2
)

// Bytes of one element; 0 for a type of a newer library.
func (d DType) Bytes() int {
	switch d {
	case F64, I64, U64:
		return 8
	case F32, I32, U32:
		return 4
	case F16, BF16, I16, U16:
		return 2
	case I8, U8, Bool, F8E4M3, F8E5M2:
		return 1
	}
	return 0
}

// Float16 is the bits of an IEEE 754 half-precision number.
type Float16 uint16

// BFloat16 is the bits of a bfloat16: the upper half of a float32.
type BFloat16 uint16

// Element is a type that matrices are made of.
type Element interface {
	float32 | float64 | Float16 | BFloat16 | int32 | uint8
}

func dtypeOf[T Element]() DType {
	var element T
	switch any(element).(type) {
	case float64:
		return F64
	case Float16:
		return F16
	case BFloat16:
		return BF16
	case int32:
		return I32
	case uint8:
		return U8
	}
	return F32
}
