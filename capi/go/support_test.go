package halftone

import (
	"fmt"
	"hash/fnv"
	"testing"
)

// The numbers are those of tests/capi/same_bytes.h.
const (
	rowCount   = 24
	colCount   = 40
	tokenCount = 200
	model      = "../../tests/data/models/llama_gqa" // two layers, a vocabulary of 64
)

// values is multiples of 2^-24 in [-1/2, 1/2): the upper bits of splitmix64.
func values(seed uint64, count int) []float32 {
	all := make([]float32, count)
	for i := range all {
		seed += 0x9e3779b97f4a7c15
		x := seed
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		all[i] = float32(x>>40)/16777216 - 0.5
	}
	return all
}

// check ends the test for an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return value
	}
}

func newContext(t testing.TB, threads int) *Context {
	context := must(NewContext(threads))(t)
	t.Cleanup(func() { context.Close() })
	return context
}

type setting struct {
	name  string
	value any
}

func newQuantizer(t testing.TB, context *Context, method string, settings ...setting) *Quantizer {
	quantizer := must(NewQuantizer(context, method))(t)
	for _, s := range settings {
		check(t, quantizer.Set(s.name, s.value))
	}
	return quantizer
}

func newStatisticsFor(t testing.TB, context *Context, quantizer *Quantizer) *Statistics {
	statistics := must(NewStatistics(context, colCount, must(quantizer.Moments())(t)))(t)
	check(t, statistics.Add(NewMatrix(values(2, tokenCount*colCount), tokenCount, colCount)))
	return statistics
}

// quantized is W [rowCount, colCount] quantised by its inputs X [tokenCount, colCount].
func quantized(t testing.TB, context *Context, method string, settings ...setting) *Result {
	quantizer := newQuantizer(t, context, method, settings...)
	statistics := newStatisticsFor(t, context, quantizer)
	return must(quantizer.Run(NewMatrix(values(1, rowCount*colCount), rowCount, colCount), statistics))(t)
}

// hash is FNV-1a, in hexadecimal.
func hash(parts ...[]byte) string {
	sum := fnv.New64a()
	for _, part := range parts {
		sum.Write(part)
	}
	return fmt.Sprintf("%016x", sum.Sum64())
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
