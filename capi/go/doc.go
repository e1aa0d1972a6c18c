// Package halftone quantises the weights of transformers after training: the interface of libhalftone_c for Go.
//
// A matrix: collect what its inputs look like in Statistics, make a Quantizer of a method by name, set its options by
// name, run it, and read codes and grid from the Result or pack them for an engine. A whole model is a Job, from
// directory to directory or from and into the program's memory.
//
// Everything belongs to a Context. Close frees what an object holds at once; one that is never closed is freed when the
// garbage collector finds it. A closed object answers InvalidArgument.
//
// # Errors
//
// Every error is an *Error, of a Status that errors.Is takes:
//
//	if errors.Is(err, halftone.NotFound) { ... }
//
// An error of a function of the program's own, given to a Job or to Result.Pack, is wrapped by the error of the call.
//
// # Memory
//
// Matrices are taken from Go slices without a copy, for the length of the call. What comes back is copied, and may be
// kept. Only the bytes that a Source is asked to fill in are the library's own: they must not be kept.
//
// # Goroutines
//
// An object is used by one goroutine at a time; different objects at once. Several quantizers may read the same
// Statistics at once, contexts may be shared, and Job.Cancel may be called from anywhere. Functions of the program are
// called on the goroutine of the call that they belong to. A panic in one ends the work and goes on from the call; they
// must not end their goroutine (runtime.Goexit, testing.T.FailNow).
//
// # Finding the library
//
// The build asks pkg-config for halftone-c.
package halftone
