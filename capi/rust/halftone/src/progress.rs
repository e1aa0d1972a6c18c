//! How far a job is.

use crate::text;
use halftone_sys as ffi;

/// What a job is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Reading and hashing the checkpoint, copying what stays as it is.
    Open,
    /// Resume: running through blocks that an earlier run finished.
    Replay,
    /// Running to the inputs of the next matrices.
    Collect,
    /// A matrix was solved: `module` and its numbers are set.
    Solve,
    /// A block was written and recorded.
    Write,
    /// A step of fine-tuning.
    Tune,
    /// Of a newer library.
    Other(i32),
}

/// A step of fine-tuning blocks `first .. last` together.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TuningStep {
    /// First block.
    pub first: u64,
    /// Behind the last block.
    pub last: u64,
    /// 1 to `steps`.
    pub step: u64,
    /// Steps of these blocks.
    pub steps: u64,
    /// Of the step's batch: error of the outputs over the outputs, both squared and weighted.
    pub loss: f64,
}

/// How far a job is. Blocks are transformer layers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// What it is at.
    pub phase: Phase,
    /// Blocks finished.
    pub blocks_done: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Matrices solved.
    pub matrices_done: u64,
    /// Matrices in all.
    pub matrices: u64,
    /// Seconds since the job was run.
    pub seconds: f64,
    /// Estimate of the seconds that are left; `None` while there is nothing to go by.
    pub seconds_left: Option<f64>,
    /// The matrix that was just solved.
    pub module: Option<&'a str>,
    /// Relative error of its outputs; else 0.
    pub relative_error: f64,
    /// In [`Phase::Tune`].
    pub tuning: Option<TuningStep>,
}

impl<'a> Progress<'a> {
    /// # Safety
    /// `now.module` is NULL or a string that stays as long as `'a`.
    pub(crate) unsafe fn from_raw(now: &'a ffi::ht_progress) -> Self {
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        let phase = match now.phase {
            ffi::HT_PHASE_OPEN => Phase::Open,
            ffi::HT_PHASE_REPLAY => Phase::Replay,
            ffi::HT_PHASE_COLLECT => Phase::Collect,
            ffi::HT_PHASE_SOLVE => Phase::Solve,
            ffi::HT_PHASE_WRITE => Phase::Write,
            ffi::HT_PHASE_TUNE => Phase::Tune,
            other => Phase::Other(other),
        };
        // SAFETY: as the caller says.
        let module = unsafe { text::borrowed(now.module) };
        Progress {
            phase,
            blocks_done: count(now.blocks_done),
            blocks: count(now.blocks),
            matrices_done: count(now.matrices_done),
            matrices: count(now.matrices),
            seconds: now.seconds,
            seconds_left: Some(now.seconds_left).filter(|left| *left >= 0.0),
            module: Some(module).filter(|_| !now.module.is_null()),
            relative_error: now.relative_error,
            tuning: Some(TuningStep {
                first: count(now.tuned_first),
                last: count(now.tuned_last),
                step: count(now.step),
                steps: count(now.steps),
                loss: now.loss,
            })
            .filter(|tuning| tuning.steps > 0),
        }
    }
}
