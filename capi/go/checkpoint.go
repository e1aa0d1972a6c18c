package halftone

// #include "bridge.h"
import "C"

import (
	"errors"
	"runtime"
	"unsafe"
)

// Checkpoint is a checkpoint directory in Hugging Face layout, dense or quantised in any of the formats, memory-mapped.
type Checkpoint struct{ handle }

// OpenCheckpoint maps the files of a directory.
func OpenCheckpoint(context *Context, directory string) (*Checkpoint, error) {
	var memory arena
	defer memory.free()
	path, err := memory.text(directory)
	if err != nil {
		return nil, err
	}
	var raw *C.ht_checkpoint
	err = context.call(func(from unsafe.Pointer) C.ht_status {
		return C.ht_checkpoint_open((*C.ht_context)(from), path, &raw)
	})
	if err != nil {
		return nil, err
	}
	checkpoint := &Checkpoint{handle{pointer: unsafe.Pointer(raw), shared: context.shared}}
	runtime.SetFinalizer(checkpoint, func(c *Checkpoint) { c.Close() })
	return checkpoint, nil
}

// Close unmaps the files.
func (c *Checkpoint) Close() error {
	C.ht_checkpoint_destroy((*C.ht_checkpoint)(c.take()))
	return nil
}

// Tensors is all tensors, sorted by name, without their data.
func (c *Checkpoint) Tensors() ([]Tensor, error) {
	var all []Tensor
	for index := C.uint32_t(0); ; index++ {
		tensor, err := c.get(false, func(raw *C.ht_checkpoint, tensor *C.ht_tensor) C.ht_status {
			return C.ht_checkpoint_get(raw, index, tensor)
		})
		if errors.Is(err, NotFound) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, tensor)
	}
}

// Tensor is a tensor by name, with a copy of its data.
func (c *Checkpoint) Tensor(name string) (Tensor, error) {
	var memory arena
	defer memory.free()
	cName, err := memory.text(name)
	if err != nil {
		return Tensor{}, err
	}
	return c.get(true, func(raw *C.ht_checkpoint, tensor *C.ht_tensor) C.ht_status {
		return C.ht_checkpoint_tensor(raw, cName, tensor)
	})
}

func (c *Checkpoint) get(withData bool, get func(*C.ht_checkpoint, *C.ht_tensor) C.ht_status) (Tensor, error) {
	tensor := C.ht_tensor{struct_size: C.sizeof_ht_tensor}
	err := c.call(func(raw unsafe.Pointer) C.ht_status { return get((*C.ht_checkpoint)(raw), &tensor) })
	if err != nil {
		return Tensor{}, err
	}
	made := tensorOf(&tensor, withData)
	runtime.KeepAlive(c)
	return made, nil
}

// Matrix is codes and grid of a quantised module ("model.layers.0.mlp.down_proj"); NotFound if it is not quantised.
func (c *Checkpoint) Matrix(module string) (*Result, error) {
	var memory arena
	defer memory.free()
	name, err := memory.text(module)
	if err != nil {
		return nil, err
	}
	var made *C.ht_result
	err = c.call(func(raw unsafe.Pointer) C.ht_status {
		return C.ht_checkpoint_matrix((*C.ht_checkpoint)(raw), name, &made)
	})
	return newResult(c.shared, made, err)
}
