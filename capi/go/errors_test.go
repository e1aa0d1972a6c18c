package halftone

import (
	"errors"
	"io/fs"
	"math"
	"strings"
	"testing"
)

func wantStatus(t *testing.T, err error, status Status) {
	t.Helper()
	var ours *Error
	if !errors.As(err, &ours) || !errors.Is(err, status) || ours.Message == "" {
		t.Errorf("error %v, wanted %v", err, status)
	}
}

func TestKindsAndWords(t *testing.T) {
	context := newContext(t, 0)
	quantizer := newQuantizer(t, context, "gptq")
	err := quantizer.Set("bits", 99)
	wantStatus(t, err, InvalidArgument)
	if !strings.Contains(err.Error(), "99") || InvalidArgument.Error() != "invalid_argument" || errors.Is(err, IO) {
		t.Error(err)
	}
	wantStatus(t, quantizer.Set("no such option", 1), NotFound)
	wantStatus(t, quantizer.Set("bits", "4\x00"), InvalidArgument)
	_, err = NewQuantizer(context, "no such method")
	wantStatus(t, err, NotFound)
	_, err = MethodOptions("no such method")
	wantStatus(t, err, NotFound)
	_, err = LoadStatistics(context, "/nowhere/sums.safetensors")
	wantStatus(t, err, NotFound)
	_, err = OpenCheckpoint(context, "/nowhere")
	wantStatus(t, err, NotFound)
	_, err = NewContext(math.MaxInt)
	wantStatus(t, err, InvalidArgument)
	_, err = NewContext(-1)
	wantStatus(t, err, InvalidArgument)
	_, err = quantized(t, context, "rtn").Alphas()
	wantStatus(t, err, NotFound)
}

func TestMatricesThatDoNotFit(t *testing.T) {
	data := make([]float32, 10)
	for _, matrix := range []Matrix[float32]{{data, 3, 4, 0}, {data, 3, 4, 4}, {data, 2, 4, 3}, {data, -1, 4, 4},
		{data, math.MaxInt, 4, math.MaxInt}, {nil, 1, 1, 1}} {
		if _, err := matrix.operand(); err == nil {
			t.Error(matrix.Rows, matrix.Cols, matrix.Stride, " was taken")
		}
	}
	if _, err := (Matrix[float32]{data, 3, 2, 4}).operand(); err != nil {
		t.Error(err)
	}
	context := newContext(t, 0)
	quantizer := newQuantizer(t, context, "gptq")
	statistics := newStatisticsFor(t, context, quantizer)
	narrow := NewMatrix(data, 2, 5)
	_, err := quantizer.Run(narrow, statistics)
	wantStatus(t, err, ShapeMismatch)
	_, err = quantizer.Run(narrow, nil)
	wantStatus(t, err, InvalidArgument)
	_, err = quantizer.Run(nil, statistics)
	wantStatus(t, err, InvalidArgument)
	_, err = quantizer.Run(NewMatrix(make([]int32, 80), 2, 40), statistics)
	wantStatus(t, err, Unsupported)
	wantStatus(t, statistics.Add(narrow), ShapeMismatch)
	notFinite := make([]float32, colCount)
	notFinite[3] = float32(math.NaN())
	wantStatus(t, statistics.Add(NewMatrix(notFinite, 1, colCount)), InvalidData)
}

func TestClosed(t *testing.T) {
	context := must(NewContext(0))(t)
	quantizer := newQuantizer(t, context, "rtn")
	statistics := newStatisticsFor(t, context, quantizer)
	check(t, context.Close()) // the others keep what they need
	result := must(quantizer.Run(NewMatrix(values(1, rowCount*colCount), rowCount, colCount), nil))(t)
	for i := 0; i < 2; i++ {
		check(t, context.Close())
		check(t, statistics.Close())
		check(t, result.Close())
	}
	_, err := NewQuantizer(context, "rtn")
	wantStatus(t, err, InvalidArgument)
	_, err = quantizer.Run(NewMatrix(values(1, 80), 2, 40), statistics)
	wantStatus(t, err, InvalidArgument)
	_, err = result.Codes()
	wantStatus(t, err, InvalidArgument)
	wantStatus(t, statistics.Add(NewMatrix(values(1, 80), 2, 40)), InvalidArgument)
	check(t, quantizer.Close())
	wantStatus(t, quantizer.Set("bits", 4), InvalidArgument)
}

func TestErrorsOfASink(t *testing.T) {
	result := quantized(t, newContext(t, 0), "rtn", setting{"bits", 4})
	mine := errors.New("no room")
	err := result.Pack("native", "m", func(Tensor) error { return mine })
	wantStatus(t, err, Cancelled)
	if !errors.Is(err, mine) || !strings.Contains(err.Error(), "no room") {
		t.Error(err)
	}
	err = result.Pack("native", "m", func(Tensor) error { return &fs.PathError{Op: "write", Path: "x", Err: fs.ErrClosed} })
	wantStatus(t, err, IO)
	wantStatus(t, result.Pack("native", "m", func(Tensor) error { return Conflict }), Conflict)
	wantStatus(t, result.Pack("no such format", "m", func(Tensor) error { return nil }), NotFound)
}

// panicOf is what call panics with.
func panicOf(call func()) (panicked any) {
	defer func() { panicked = recover() }()
	call()
	return nil
}

func TestPanicsGoOnFromTheCall(t *testing.T) {
	context := newContext(t, 0)
	result := quantized(t, context, "rtn", setting{"bits", 4})
	pack := func() { result.Pack("native", "m", func(Tensor) error { panic("of the sink") }) }
	if panicked := panicOf(pack); panicked != "of the sink" {
		t.Error(panicked)
	}
	tensors := 0
	check(t, result.Pack("native", "m", func(Tensor) error { tensors++; return nil }))
	if tensors == 0 {
		t.Error("no tensors")
	}
	check(t, context.SetLog(func(LogLevel, string) { panic("of the log") }))
	quantizer := newQuantizer(t, context, "gptq")
	if panicked := panicOf(func() { quantizer.Set("bits", 99) }); panicked != "of the log" {
		t.Error(panicked)
	}
	check(t, context.SetLog(nil))
	wantStatus(t, quantizer.Set("bits", 99), InvalidArgument)
}

func TestLog(t *testing.T) {
	context := newContext(t, 0)
	var lines []string
	check(t, context.SetLog(func(level LogLevel, text string) {
		if level == LogError {
			lines = append(lines, text)
		}
	}))
	quantizer := newQuantizer(t, context, "gptq")
	check(t, context.Close()) // the log stays with what was made from it
	wantStatus(t, quantizer.Set("bits", 99), InvalidArgument)
	if len(lines) != 1 || !strings.Contains(lines[0], "99") {
		t.Error(lines)
	}
}
