// Quantises a model: quantize_model MODEL OUTPUT [RECIPE], of directories and the text of a recipe. Interrupt stops it;
// the same command goes on.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"

	halftone "github.com/halftone/halftone-go"
)

const rounding = `{"method": "rtn", "options": {"bits": 4, "group_size": 32}, "format": "native"}`

func quantize(ctx context.Context, model, output, recipe string) error {
	from, err := halftone.NewContext(0)
	if err != nil {
		return err
	}
	defer from.Close()
	job, err := halftone.NewJob(from, recipe)
	if err != nil {
		return err
	}
	defer job.Close()
	if err := job.Set("model", model); err != nil {
		return err
	}
	if err := job.Set("output", output); err != nil {
		return err
	}
	if err := job.Set("resume", true); err != nil {
		return err
	}
	job.SetProgress(func(now halftone.Progress) error {
		if now.Phase == halftone.PhaseSolve {
			fmt.Printf("%d/%d %s %.5f\n", now.MatricesDone, now.Matrices, now.Module, now.RelativeError)
		}
		return nil
	})
	return job.Run(ctx)
}

func main() {
	if len(os.Args) < 3 || len(os.Args) > 4 {
		log.Fatal("usage: quantize_model MODEL OUTPUT [RECIPE]")
	}
	recipe := rounding
	if len(os.Args) == 4 {
		recipe = os.Args[3]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := quantize(ctx, os.Args[1], os.Args[2], recipe)
	if errors.Is(err, context.Canceled) {
		log.Fatal("stopped; the same command goes on")
	}
	if err != nil {
		log.Fatal(err)
	}
}
