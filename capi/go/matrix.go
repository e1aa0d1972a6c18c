package halftone

// #include "bridge.h"
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// Matrix is a row-major matrix [Rows, Cols]. Rows begin Stride elements apart; 0 means Cols.
type Matrix[T Element] struct {
	Data               []T
	Rows, Cols, Stride int
}

// NewMatrix is a matrix without padding between its rows.
func NewMatrix[T Element](data []T, rows, cols int) Matrix[T] {
	return Matrix[T]{Data: data, Rows: rows, Cols: cols, Stride: cols}
}

// Row r.
func (m Matrix[T]) Row(r int) []T {
	stride := m.Stride
	if stride == 0 {
		stride = m.Cols
	}
	return m.Data[r*stride : r*stride+m.Cols]
}

// At is the element in row r and column c.
func (m Matrix[T]) At(r, c int) T { return m.Row(r)[c] }

// AnyMatrix is a Matrix of any type of elements. Functions refuse those that they cannot take.
type AnyMatrix interface {
	operand() (operand, error)
}

// operand is a matrix for C; data is nil if it has no elements.
type operand struct {
	data  *C.uint8_t
	shape C.ht_go_shape
}

// extent is the number of elements from the first to the last.
func extent(rows, cols, stride int) (int, error) {
	if rows < 0 || cols < 0 || stride < cols {
		return 0, invalid(fmt.Sprintf("a matrix of %d x %d with stride %d", rows, cols, stride))
	}
	if rows == 0 || cols == 0 {
		return 0, nil
	}
	if rows-1 > (math.MaxInt-cols)/stride {
		return 0, invalid(fmt.Sprintf("a matrix of %d x %d with stride %d is larger than memory", rows, cols, stride))
	}
	return (rows-1)*stride + cols, nil
}

func (m Matrix[T]) operand() (operand, error) {
	stride := m.Stride
	if stride == 0 {
		stride = m.Cols
	}
	wanted, err := extent(m.Rows, m.Cols, stride)
	if err != nil {
		return operand{}, err
	}
	if len(m.Data) < wanted {
		message := fmt.Sprintf("a matrix of %d x %d from %d elements, wanted %d", m.Rows, m.Cols, len(m.Data), wanted)
		return operand{}, &Error{Status: ShapeMismatch, Message: message}
	}
	made := operand{shape: C.ht_go_shape{
		dtype: C.int32_t(dtypeOf[T]()), rows: C.int64_t(m.Rows), cols: C.int64_t(m.Cols), stride: C.int64_t(stride)}}
	if len(m.Data) > 0 {
		made.data = (*C.uint8_t)(unsafe.Pointer(&m.Data[0]))
	}
	return made, nil
}

// copied is a copy of what the library shows.
func copied[T Element](view *C.ht_matrix) (Matrix[T], error) {
	if DType(view.dtype) != dtypeOf[T]() {
		message := fmt.Sprintf("a view of type %d, wanted %d", view.dtype, dtypeOf[T]())
		return Matrix[T]{}, &Error{Status: Unsupported, Message: message}
	}
	rows, cols, stride := int(view.rows), int(view.cols), int(view.stride)
	length, err := extent(rows, cols, stride)
	if err != nil {
		return Matrix[T]{}, err
	}
	matrix := NewMatrix(make([]T, rows*cols), rows, cols)
	if length > 0 {
		shown := Matrix[T]{Data: unsafe.Slice((*T)(view.data), length), Rows: rows, Cols: cols, Stride: stride}
		for r := 0; r < rows; r++ {
			copy(matrix.Row(r), shown.Row(r))
		}
	}
	return matrix, nil
}
