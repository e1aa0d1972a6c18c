// Quantises one matrix to 4 bits by rounding to nearest and with GPTQ, and packs it for an engine.
package main

import (
	"fmt"
	"log"

	halftone "github.com/halftone/halftone-go"
)

const rows, cols, tokens = 64, 96, 256

// numbers in [-1/2, 1/2) in place of a trained matrix and its inputs, neighbours of which are alike.
func numbers(state uint32, count int) []float32 {
	all, previous := make([]float32, count), float32(0)
	for i := range all {
		state = state*1664525 + 1013904223
		previous = 0.5*previous + 0.5*(float32(state>>8)/(1<<24)-0.5)
		all[i] = previous
	}
	return all
}

func quantize(context *halftone.Context, method string) error {
	quantizer, err := halftone.NewQuantizer(context, method)
	if err != nil {
		return err
	}
	defer quantizer.Close()
	if err := quantizer.Set("group_size", 32); err != nil {
		return err
	}
	if err := quantizer.SetFormat("gptq_v2", halftone.F16); err != nil {
		return err
	}
	moments, err := quantizer.Moments()
	if err != nil {
		return err
	}
	statistics, err := halftone.NewStatistics(context, cols, moments)
	if err != nil {
		return err
	}
	defer statistics.Close()
	if err := statistics.Add(halftone.NewMatrix(numbers(2, tokens*cols), tokens, cols)); err != nil {
		return err
	}
	result, err := quantizer.Run(halftone.NewMatrix(numbers(1, rows*cols), rows, cols), statistics)
	if err != nil {
		return err
	}
	defer result.Close()
	relative, err := result.Number("relative_error")
	if err != nil {
		return err
	}
	fmt.Printf("%s: relative error %.5f\n", method, relative)
	return result.Pack("gptq_v2", "layer", func(tensor halftone.Tensor) error {
		fmt.Printf("  %s %v, %d bytes\n", tensor.Name, tensor.Shape, len(tensor.Data))
		return nil
	})
}

func main() {
	context, err := halftone.NewContext(0)
	if err != nil {
		log.Fatal(err)
	}
	defer context.Close()
	for _, method := range []string{"rtn", "gptq"} {
		if err := quantize(context, method); err != nil {
			log.Fatal(err)
		}
	}
}
