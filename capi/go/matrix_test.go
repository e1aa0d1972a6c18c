package halftone

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

var three = []setting{{"bits", 3}, {"group_size", 16}, {"act_order", true}}

func TestSameBytesAsThroughC(t *testing.T) {
	wanted := os.Getenv("HALFTONE_SAME_BYTES")
	if wanted == "" {
		t.Skip("HALFTONE_SAME_BYTES is not set")
	}
	result := quantized(t, newContext(t, 0), "gptq", three...)
	var scales []byte
	for _, scale := range must(result.Scales())(t).Data {
		scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(scale))
	}
	ours := hash(must(result.Codes())(t).Data, scales, must(result.Zeros())(t).Data)
	if ours != wanted {
		t.Errorf("hash %s, wanted %s", ours, wanted)
	}
}

func TestWeightsAreScaleTimesCodeMinusZero(t *testing.T) {
	result := quantized(t, newContext(t, 0), "gptq", three...)
	codes, scales, zeros := must(result.Codes())(t), must(result.Scales())(t), must(result.Zeros())(t)
	weights := must(result.Dequantize())(t)
	above := 0
	for r := 0; r < rowCount; r++ {
		for c := 0; c < colCount; c++ {
			offset := float32(codes.At(r, c)) - float32(zeros.At(r, c/16))
			if got, wanted := weights.At(r, c), scales.At(r, c/16)*offset; got != wanted {
				t.Fatalf("weight [%d, %d] is %g, wanted %g", r, c, got, wanted)
			}
			if codes.At(r, c) > 7 {
				t.Fatalf("code [%d, %d] is %d", r, c, codes.At(r, c))
			}
			if codes.At(r, c) > 3 {
				above++
			}
		}
	}
	if above == 0 {
		t.Error("no code above 3")
	}
	if bits := must(result.Number("bits"))(t); bits != 3 {
		t.Errorf("%g bits", bits)
	}
}

func TestEveryMethod(t *testing.T) {
	context := newContext(t, 0)
	for _, method := range must(Methods())(t) {
		result := quantized(t, context, method.Name, setting{"bits", 4})
		weights, sum := must(result.Dequantize())(t), 0.0
		for i, wanted := range values(1, rowCount*colCount) {
			difference := float64(weights.Data[i] - wanted)
			sum += difference * difference
		}
		if mean := sum / (rowCount * colCount); mean > 0.01 {
			t.Errorf("%s: mean squared error %g", method.Name, mean)
		}
	}
}

// float16 of a number that it holds.
func float16(value float32) Float16 {
	bits := math.Float32bits(value)
	if value == 0 {
		return 0
	}
	return Float16(bits>>16&0x8000 | (bits>>23&0xff-112)<<10 | bits>>13&0x3ff)
}

func TestHalfPrecisionAndStrides(t *testing.T) {
	context := newContext(t, 0)
	quantizer := newQuantizer(t, context, "gptq")
	statistics := newStatisticsFor(t, context, quantizer)
	plain := values(5, rowCount*colCount)
	const stride = colCount + 3
	padded, brain, wide := make([]Float16, rowCount*stride), make([]BFloat16, len(plain)), make([]float64, len(plain))
	for i := range padded {
		padded[i] = 0x7e00 // NaN between the rows
	}
	for i, value := range plain {
		plain[i] = float32(math.Round(float64(value)*64) / 64) // which every type holds
		padded[i/colCount*stride+i%colCount] = float16(plain[i])
		brain[i] = BFloat16(math.Float32bits(plain[i]) >> 16)
		wide[i] = float64(plain[i])
	}
	codes := func(weights AnyMatrix) []uint8 {
		return must(must(quantizer.Run(weights, statistics))(t).Codes())(t).Data
	}
	wanted := codes(NewMatrix(plain, rowCount, colCount))
	for i, weights := range []AnyMatrix{NewMatrix(brain, rowCount, colCount), NewMatrix(wide, rowCount, colCount),
		Matrix[Float16]{padded, rowCount, colCount, stride}} {
		if !equal(codes(weights), wanted) {
			t.Error("other codes, case ", i)
		}
	}
}

func TestStatisticsAddUp(t *testing.T) {
	context := newContext(t, 0)
	inputs := values(2, tokenCount*colCount)
	whole := must(NewStatistics(context, colCount, MomentsCross))(t)
	all := NewMatrix(inputs, tokenCount, colCount)
	check(t, whole.AddBatch(Batch{Inputs: all, FullPrecision: all}))
	parts := must(NewStatistics(context, colCount, MomentsCross))(t)
	check(t, parts.Add(NewMatrix(inputs[:64*colCount], 64, colCount)))
	rest := must(NewStatistics(context, colCount, MomentsCross))(t)
	check(t, rest.Add(NewMatrix(inputs[64*colCount:], tokenCount-64, colCount)))
	check(t, parts.Merge(rest))
	wanted, got := must(whole.Tensor("H"))(t), must(parts.Tensor("H"))(t)
	for i := range wanted.Data {
		if math.Abs(float64(wanted.Data[i]-got.Data[i])) > 1e-3 {
			t.Fatal("H differs at ", i)
		}
	}
	path := filepath.Join(t.TempDir(), "sums.safetensors")
	check(t, whole.Save(path))
	loaded := must(LoadStatistics(context, path))(t)
	if !equal(must(loaded.Tensor("H"))(t).Data, wanted.Data) {
		t.Error("H changed on its way through a file")
	}
	summed := must(NewStatistics(context, colCount, MomentsSecond))(t)
	check(t, summed.AddSums(tokenCount, wanted, nil))
	if tokens := must(summed.Number("tokens"))(t); tokens != tokenCount {
		t.Errorf("%g tokens", tokens)
	}
}

func TestGoroutinesGiveTheSame(t *testing.T) {
	shared := newContext(t, 0)
	wanted := must(quantized(t, shared, "gptq", three...).Codes())(t).Data
	statistics := newStatisticsFor(t, shared, newQuantizer(t, shared, "gptq", three...))
	weights := NewMatrix(values(1, rowCount*colCount), rowCount, colCount)
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		quantizer := newQuantizer(t, shared, "gptq", three...)
		group.Add(1)
		go func() {
			defer group.Done()
			result, err := quantizer.Run(weights, statistics)
			if err != nil {
				t.Error(err)
				return
			}
			runtime.Gosched()
			if codes, err := result.Codes(); err != nil || !equal(codes.Data, wanted) {
				t.Error("other codes ", err)
			}
		}()
	}
	group.Wait()
}

func TestWhatIsLetGoIsCollected(t *testing.T) {
	context := newContext(t, 1)
	for i := 0; i < 200; i++ {
		quantized(t, context, "rtn")
		if i%50 == 0 {
			runtime.GC()
		}
	}
	matrix := must(quantized(t, context, "rtn").Codes())(t)
	runtime.GC()
	runtime.GC()
	if len(matrix.Data) != rowCount*colCount { // a copy, which stays
		t.Error(len(matrix.Data), " codes")
	}
}

func TestPack(t *testing.T) {
	quantizer := newQuantizer(t, newContext(t, 0), "rtn", setting{"bits", 4}, setting{"group_size", 32})
	check(t, quantizer.SetFormat("gptq_v2", F16))
	if bits := must(quantizer.Option("bits"))(t); bits != "4" {
		t.Error("bits is ", bits)
	}
	result := must(quantizer.Run(NewMatrix(values(1, 32*64), 32, 64), nil))(t)
	sent := map[string]Tensor{}
	check(t, result.Pack("gptq_v2", "m", func(tensor Tensor) error {
		sent[tensor.Name] = tensor
		return nil
	}))
	words := sent["m.qweight"]
	if words.DType != I32 || !equal(words.Shape, []int64{64 / 8, 32}) || len(words.Data) != 64/8*32*4 {
		t.Fatal("qweight ", words.DType, words.Shape, len(words.Data))
	}
	codes := must(result.Codes())(t)
	for w := 0; w < len(words.Data)/4; w++ { // word [i, r]: columns 8 i to 8 i + 7 of row r, lowest bits first
		stored := binary.LittleEndian.Uint32(words.Data[4*w:])
		for k := 0; k < 8; k++ {
			if uint8(stored>>(4*k)&15) != codes.At(w%32, w/32*8+k) {
				t.Fatal("word ", w)
			}
		}
	}
}

func TestLists(t *testing.T) {
	kinds := map[string]OptionKind{}
	for _, option := range must(MethodOptions("gptq"))(t) {
		kinds[option.Name] = option.Kind
	}
	if kinds["bits"] != Integer || kinds["act_order"] != Flag {
		t.Error(kinds)
	}
	names := map[string]bool{}
	for _, format := range must(Formats())(t) {
		names[format.Name] = true
	}
	for _, feature := range must(Features())(t) {
		names[feature.Name] = true
	}
	if !names["gptq_v2"] || !names["isa"] || Version() == "" {
		t.Error(names, Version())
	}
}
