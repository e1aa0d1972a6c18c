package halftone

// #include "bridge.h"
import "C"

// Phase is what a job is at.
type Phase int32

// Phases of a job.
const (
	PhaseOpen    Phase = C.HT_PHASE_OPEN    // reading and hashing the checkpoint, copying what stays as it is
	PhaseReplay  Phase = C.HT_PHASE_REPLAY  // resume: running through blocks that an earlier run finished
	PhaseCollect Phase = C.HT_PHASE_COLLECT // running to the inputs of the next matrices
	PhaseSolve   Phase = C.HT_PHASE_SOLVE   // a matrix was solved: Module and its numbers are set
	PhaseWrite   Phase = C.HT_PHASE_WRITE   // a block was written and recorded
	PhaseTune    Phase = C.HT_PHASE_TUNE    // a step of fine-tuning
)

// Progress is how far a job is. Blocks are transformer layers.
type Progress struct {
	Phase                  Phase
	BlocksDone, Blocks     int64
	MatricesDone, Matrices int64
	Seconds                float64 // since the job was run
	SecondsLeft            float64 // estimate; negative while there is nothing to go by
	Module                 string  // the matrix that was just solved; else empty
	RelativeError          float64 // of its outputs; else 0
	// In PhaseTune; else 0: blocks TunedFirst up to, not including, TunedLast are tuned together; Step is 1 to Steps;
	// Loss is that of the step's batch, error of the outputs over the outputs, both squared and weighted.
	TunedFirst, TunedLast int64
	Step, Steps           int64
	Loss                  float64
}

func progressOf(now *C.ht_progress) Progress {
	progress := Progress{Phase: Phase(now.phase), BlocksDone: int64(now.blocks_done), Blocks: int64(now.blocks),
		MatricesDone: int64(now.matrices_done), Matrices: int64(now.matrices), Seconds: float64(now.seconds),
		SecondsLeft: float64(now.seconds_left), RelativeError: float64(now.relative_error),
		TunedFirst: int64(now.tuned_first), TunedLast: int64(now.tuned_last), Step: int64(now.step),
		Steps: int64(now.steps), Loss: float64(now.loss)}
	if now.module != nil {
		progress.Module = C.GoString(now.module)
	}
	return progress
}
