package halftone_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	halftone "github.com/halftone/halftone-go"
)

// One matrix: statistics of its inputs, a method with its options, codes and grid.
func Example() {
	const rows, cols, tokens = 8, 16, 64
	weights, inputs := make([]float32, rows*cols), make([]float32, tokens*cols)
	for i := range weights {
		weights[i] = float32(i*37%101-50) / 100
	}
	for i := range inputs {
		inputs[i] = float32(i*53%89-44) / 100
	}

	context, err := halftone.NewContext(0)
	if err != nil {
		log.Fatal(err)
	}
	defer context.Close()
	quantizer, err := halftone.NewQuantizer(context, "gptq")
	if err != nil {
		log.Fatal(err)
	}
	defer quantizer.Close()
	if err := quantizer.Set("group_size", 8); err != nil {
		log.Fatal(err)
	}
	statistics, err := halftone.NewStatistics(context, cols, halftone.MomentsSecond)
	if err != nil {
		log.Fatal(err)
	}
	defer statistics.Close()
	if err := statistics.Add(halftone.NewMatrix(inputs, tokens, cols)); err != nil {
		log.Fatal(err)
	}
	result, err := quantizer.Run(halftone.NewMatrix(weights, rows, cols), statistics)
	if err != nil {
		log.Fatal(err)
	}
	defer result.Close()
	codes, err := result.Codes()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(codes.Rows, codes.Cols, len(codes.Data))
	// Output: 8 16 128
}

func ExampleError() {
	context, err := halftone.NewContext(0)
	if err != nil {
		log.Fatal(err)
	}
	defer context.Close()
	_, err = halftone.NewQuantizer(context, "no such method")
	fmt.Println(errors.Is(err, halftone.NotFound))
	// Output: true
}

// A model from directory to directory, with its progress.
func ExampleJob() {
	from, err := halftone.NewContext(0)
	if err != nil {
		log.Fatal(err)
	}
	defer from.Close()
	job, err := halftone.NewJob(from, `{"method": "rtn", "options": {"bits": 4, "group_size": 8}, "format": "native"}`)
	if err != nil {
		log.Fatal(err)
	}
	defer job.Close()
	folder, err := os.MkdirTemp("", "halftone")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	settings := map[string]string{"model": "../../tests/data/models/llama_gqa", "output": filepath.Join(folder, "out")}
	for name, value := range settings {
		if err := job.Set(name, value); err != nil {
			log.Fatal(err)
		}
	}
	var last halftone.Progress
	job.SetProgress(func(now halftone.Progress) error {
		last = now
		return nil
	})
	if err := job.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(last.MatricesDone, "of", last.Matrices)
	// Output: 14 of 14
}
