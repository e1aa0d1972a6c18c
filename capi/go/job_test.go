package halftone

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

const recipe = `{"method": "gptq", "options": {"bits": 3, "group_size": 8}, "format": "native"}`

func newJob(t testing.TB, from *Context) *Job {
	job := must(NewJob(from, recipe))(t)
	t.Cleanup(func() { job.Close() })
	ids := make([]int32, 6*12)
	for i := range ids {
		ids[i] = int32(i * 29 % 64)
	}
	check(t, job.SetTokens(NewMatrix(ids, 6, 12)))
	return job
}

func newJobInto(t testing.TB, from *Context, output string) *Job {
	job := newJob(t, from)
	check(t, job.Set("model", model))
	check(t, job.Set("output", output))
	return job
}

func tensorsOf(t testing.TB, from *Context, directory string) map[string]Tensor {
	checkpoint := must(OpenCheckpoint(from, directory))(t)
	defer checkpoint.Close()
	all := map[string]Tensor{}
	for _, tensor := range must(checkpoint.Tensors())(t) {
		all[tensor.Name] = must(checkpoint.Tensor(tensor.Name))(t)
	}
	return all
}

// sources of the model: its data held by the program, and read as the job asks for it.
func sources(t testing.TB, from *Context) (map[string]Tensor, []Source) {
	dense := tensorsOf(t, from, model)
	config := string(must(os.ReadFile(filepath.Join(model, "config.json")))(t))
	held, read := Source{Config: config}, Source{Config: config}
	for _, tensor := range dense {
		held.Tensors = append(held.Tensors, tensor)
		tensor.Data = nil
		read.Tensors = append(read.Tensors, tensor)
	}
	read.Read = func(name string, offset uint64, into []byte) error {
		copy(into, dense[name].Data[offset:])
		return nil
	}
	return dense, []Source{held, read}
}

func TestFromDirectoryToDirectory(t *testing.T) {
	from, output := newContext(t, 2), filepath.Join(t.TempDir(), "out")
	job := newJobInto(t, from, output)
	if plan := must(job.Plan())(t); !strings.HasPrefix(plan, "{") {
		t.Error(plan)
	}
	_, err := job.Report()
	wantStatus(t, err, NotFound)
	var solved []Progress
	job.SetProgress(func(now Progress) error {
		if now.Phase == PhaseSolve {
			solved = append(solved, now)
		}
		return nil
	})
	check(t, job.Run(context.Background()))
	if len(solved) != 14 || solved[13].MatricesDone != 14 || !strings.HasPrefix(solved[0].Module, "model.layers.0.") ||
		solved[0].RelativeError <= 0 {
		t.Error(solved)
	}
	if report := must(job.Report())(t); !strings.Contains(report, `"gptq"`) {
		t.Error(report)
	}
	wantStatus(t, job.Run(context.Background()), Conflict) // the output is there
	checkpoint := must(OpenCheckpoint(from, output))(t)
	matrix := must(checkpoint.Matrix("model.layers.1.mlp.down_proj"))(t)
	if bits := must(matrix.Number("bits"))(t); bits != 3 {
		t.Errorf("%g bits", bits)
	}
	_, err = checkpoint.Matrix("model.norm")
	wantStatus(t, err, NotFound)
}

func TestFromMemoryIntoMemory(t *testing.T) {
	from, output := newContext(t, 2), filepath.Join(t.TempDir(), "out")
	check(t, newJobInto(t, from, output).Run(context.Background()))
	wanted := tensorsOf(t, from, output)
	dense, all := sources(t, from)
	for _, source := range all {
		received := map[string]Tensor{}
		job := newJob(t, from)
		check(t, job.SetSource(source))
		check(t, job.SetSink(func(tensor Tensor) error {
			received[tensor.Name] = tensor
			return nil
		}))
		runtime.GC()
		check(t, job.Run(context.Background()))
		if config := must(job.Config())(t); config != string(must(os.ReadFile(filepath.Join(output, "config.json")))(t)) {
			t.Error(config)
		}
		for _, name := range must(job.Unchanged())(t) {
			received[name] = dense[name]
		}
		if !reflect.DeepEqual(received, wanted) {
			t.Error("other tensors: ", len(received), " wanted ", len(wanted))
		}
	}
}

func TestErrorsOfAJob(t *testing.T) {
	from := newContext(t, 0)
	_, all := sources(t, from)
	mine := errors.New("mine")
	job := newJob(t, from)
	check(t, job.SetSource(all[0]))
	check(t, job.SetSink(func(Tensor) error { return mine }))
	err := job.Run(context.Background())
	wantStatus(t, err, Cancelled)
	if !errors.Is(err, mine) {
		t.Error(err)
	}
	failing := all[1]
	failing.Read = func(name string, _ uint64, _ []byte) error {
		_, err := os.ReadFile("/nowhere/" + name)
		return err
	}
	check(t, job.SetSource(failing))
	err = job.Run(context.Background())
	wantStatus(t, err, IO)
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	job.SetProgress(func(Progress) error { return mine })
	check(t, job.SetSource(all[1]))
	err = job.Run(context.Background())
	wantStatus(t, err, Cancelled)
	if !errors.Is(err, mine) {
		t.Error(err)
	}
	job.SetProgress(nil)
	check(t, job.SetSink(func(Tensor) error { return nil }))
	check(t, job.Run(context.Background()))
	failing.Read = nil
	wantStatus(t, job.SetSource(failing), InvalidArgument)
	_, err = NewJob(from, "[")
	wantStatus(t, err, InvalidData)
}

func TestCancelAndResume(t *testing.T) {
	from, folder := newContext(t, 2), t.TempDir()
	whole, parts := filepath.Join(folder, "whole"), filepath.Join(folder, "parts")
	check(t, newJobInto(t, from, whole).Run(context.Background()))
	job := newJobInto(t, from, parts)
	check(t, job.Set("resume", true))
	ctx, cancel := context.WithCancel(context.Background())
	reports := 0
	job.SetProgress(func(Progress) error {
		if reports++; reports == 12 {
			cancel()
		}
		return nil
	})
	err := job.Run(ctx)
	wantStatus(t, err, Cancelled)
	if !errors.Is(err, context.Canceled) || reports > 13 {
		t.Error(err, reports)
	}
	err = job.Run(ctx)
	wantStatus(t, err, Cancelled)
	if _, err := os.Stat(parts); !errors.Is(err, os.ErrNotExist) {
		t.Error("there is an output")
	}
	check(t, job.Run(context.Background()))
	if !reflect.DeepEqual(tensorsOf(t, from, parts), tensorsOf(t, from, whole)) {
		t.Error("other tensors after a resume")
	}
}

func TestCancelFromAnotherGoroutine(t *testing.T) {
	job := newJobInto(t, newContext(t, 2), filepath.Join(t.TempDir(), "out"))
	check(t, job.Cancel()) // without a run: nothing
	begun, asked := make(chan struct{}), make(chan struct{})
	var reports int32
	job.SetProgress(func(Progress) error {
		if atomic.AddInt32(&reports, 1) == 1 {
			close(begun)
		}
		<-asked
		return nil
	})
	go func() {
		<-begun
		if err := job.Cancel(); err != nil {
			t.Error(err)
		}
		close(asked)
	}()
	wantStatus(t, job.Run(context.Background()), Cancelled)
	check(t, job.Close())
	check(t, job.Cancel()) // of a job that is gone: nothing
	wantStatus(t, job.Run(context.Background()), InvalidArgument)
}

func TestPanicsOfAJob(t *testing.T) {
	from := newContext(t, 2)
	_, all := sources(t, from)
	job := newJob(t, from)
	run := func() { job.Run(context.Background()) }
	check(t, job.SetSource(all[1]))
	check(t, job.SetSink(func(Tensor) error { panic("of the sink") }))
	if panicked := panicOf(run); panicked != "of the sink" {
		t.Error(panicked)
	}
	job.SetProgress(func(Progress) error { panic("of the progress") })
	if panicked := panicOf(run); panicked != "of the progress" {
		t.Error(panicked)
	}
	job.SetProgress(nil)
	all[1].Read = func(string, uint64, []byte) error { panic("of the reader") }
	check(t, job.SetSource(all[1]))
	if panicked := panicOf(run); panicked != "of the reader" {
		t.Error(panicked)
	}
}
