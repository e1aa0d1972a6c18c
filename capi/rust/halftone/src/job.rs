//! Whole models.

use crate::callback::{guarded, CallbackError, Stable};
use crate::context::Context;
use crate::error::{check, Error, Result};
use crate::handle::Handle;
use crate::matrix::MatrixRef;
use crate::progress::Progress;
use crate::source::{Reader, Source};
use crate::tensor::{Sink, Tensor};
use crate::text;
use halftone_sys as ffi;
use std::fmt;
use std::ops::ControlFlow;
use std::os::raw::c_void;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard};

type Receive<'a> = Box<dyn FnMut(&Tensor<'_>) -> std::result::Result<(), CallbackError> + Send + 'a>;
type Report<'a> = Box<dyn FnMut(&Progress<'_>) -> ControlFlow<()> + Send + 'a>;

/// A whole model: from directory to directory, or from and into the program's memory. `'a`: of what it borrows.
///
/// ```no_run
/// # fn main() -> halftone::Result<()> {
/// use halftone::{Context, Job};
/// use std::ops::ControlFlow;
///
/// let context = Context::new()?;
/// let mut job = Job::new(&context, r#"{"method": "gptq", "options": {"bits": 4}, "format": "gptq_v2"}"#)?;
/// job.model("Llama-3.2-1B")?.output("Llama-3.2-1B-4bit")?;
/// job.progress(|now| {
///     eprintln!("{} of {} matrices", now.matrices_done, now.matrices);
///     ControlFlow::Continue(())
/// })?;
/// job.run()?;
/// println!("{}", job.report()?);
/// # Ok(())
/// # }
/// ```
pub struct Job<'a> {
    // In this order: the handle is destroyed before the closures that it may call.
    handle: Handle<ffi::ht_job>,
    alive: Arc<Mutex<Alive>>,
    reader: Option<Stable<Reader<'a>>>,
    sink: Option<Stable<Sink<Receive<'a>>>>,
    progress: Option<Stable<Report<'a>>>,
}

/// The handle of a job, NULL once it is destroyed.
struct Alive(*mut ffi::ht_job);

// SAFETY: used for ht_job_cancel only, which may be called from any thread.
unsafe impl Send for Alive {}

fn lock(alive: &Mutex<Alive>) -> MutexGuard<'_, Alive> {
    alive.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl<'a> Job<'a> {
    /// A job from a recipe: JSON as the manual of the command describes it. Relative paths in it are relative to the
    /// working directory.
    pub fn new(context: &Context, recipe: &str) -> Result<Self> {
        let recipe = text::c_string(recipe)?;
        // SAFETY: a live context and a string.
        let handle = Handle::create(context.shared(), context.get(), |out| unsafe {
            ffi::ht_job_create(context.get(), recipe.as_ptr(), out)
        })?;
        let alive = Arc::new(Mutex::new(Alive(handle.get())));
        Ok(Job { handle, alive, reader: None, sink: None, progress: None })
    }

    /// Takes the model from a checkpoint directory.
    pub fn model(&mut self, directory: impl AsRef<Path>) -> Result<&mut Self> {
        self.set_path("model", directory.as_ref())
    }

    /// Writes to a directory, which appears when it is complete.
    pub fn output(&mut self, directory: impl AsRef<Path>) -> Result<&mut Self> {
        self.set_path("output", directory.as_ref())
    }

    /// Goes on with an unfinished run of the same output.
    pub fn resume(&mut self, resume: bool) -> Result<&mut Self> {
        self.set("resume", resume)
    }

    /// Any setting by name: model, output, resume, shard_bytes.
    pub fn set(&mut self, name: &str, value: impl ToString) -> Result<&mut Self> {
        let (name, value) = (text::c_string(name)?, text::c_string(&value.to_string())?);
        // SAFETY: a live handle and strings.
        self.handle.call(|raw| unsafe { ffi::ht_job_set(raw, name.as_ptr(), value.as_ptr()) })?;
        Ok(self)
    }

    fn set_path(&mut self, name: &str, path: &Path) -> Result<&mut Self> {
        match path.to_str() {
            Some(text) => self.set(name, text),
            None => Err(Error::invalid(format!("{} is not UTF-8", path.display()))),
        }
    }

    /// Takes the model from the program instead of a directory.
    pub fn source(&mut self, source: Source<'a>) -> Result<&mut Self> {
        let handle = &self.handle;
        // SAFETY: what the source points to is copied, or stays as long as the job; so does the reader.
        let reader = source.give(|source| handle.call(|raw| unsafe { ffi::ht_job_set_source(raw, source) }))?;
        self.reader = reader;
        Ok(self)
    }

    /// Sends the tensors of every quantised matrix to `receive` instead of a directory, matrix by matrix. Tensors that
    /// stay as they are are not sent; [`Job::unchanged`] names them. Needs [`Job::source`].
    pub fn sink(
        &mut self,
        receive: impl FnMut(&Tensor<'_>) -> std::result::Result<(), CallbackError> + Send + 'a,
    ) -> Result<&mut Self> {
        let sink = Stable::new(Sink::new(Box::new(receive) as Receive<'a>));
        // SAFETY: the sink stays as long as the job, and is used during calls on it only.
        self.handle.call(|raw| unsafe {
            let (receive, user) = Sink::callback(sink.get());
            ffi::ht_job_set_sink(raw, receive, user)
        })?;
        self.sink = Some(sink);
        Ok(self)
    }

    /// Calibration tokens `[windows, length]`, copied. Without them the recipe's calibration file is read.
    pub fn tokens(&mut self, ids: MatrixRef<'_, i32>) -> Result<&mut Self> {
        let ids = ids.raw();
        // SAFETY: the matrix lies in a borrowed slice, whose length was checked.
        self.handle.call(|raw| unsafe { ffi::ht_job_set_tokens(raw, &ids) })?;
        Ok(self)
    }

    /// Tells `report` how far the job is, several times a second and after each matrix. `Break` stops it after the
    /// matrix at hand, with [`Status::Cancelled`](crate::Status::Cancelled); what is finished stays for a resume.
    pub fn progress(&mut self, report: impl FnMut(&Progress<'_>) -> ControlFlow<()> + Send + 'a) -> Result<&mut Self> {
        let progress = Stable::new(Box::new(report) as Report<'a>);
        // SAFETY: the closure stays as long as the job, and is used during calls on it only.
        self.handle
            .call(|raw| unsafe { ffi::ht_job_set_progress(raw, Some(report_progress), progress.get().cast()) })?;
        self.progress = Some(progress);
        Ok(self)
    }

    /// Stops this job from other threads.
    pub fn canceller(&self) -> Canceller {
        Canceller { alive: Arc::clone(&self.alive) }
    }

    /// Does the work, and returns when it is done. May be called again.
    pub fn run(&mut self) -> Result<()> {
        // SAFETY: a live handle, whose closures stay.
        let outcome = self.handle.call(|raw| unsafe { ffi::ht_job_run(raw) });
        let cause = self.take_cause();
        outcome.map_err(|error| error.caused_by(cause))
    }

    /// The recipe in canonical form.
    pub fn recipe(&mut self) -> Result<String> {
        self.text("recipe")
    }

    /// What a run would do and cost, and its peak of memory, as JSON; nothing is written.
    pub fn plan(&mut self) -> Result<String> {
        self.text("plan")
    }

    /// After a run: what was done, as JSON.
    pub fn report(&mut self) -> Result<String> {
        self.text("report")
    }

    /// After a run into a sink: the text of the new config.json.
    pub fn config(&mut self) -> Result<String> {
        self.text("config")
    }

    /// After a run into a sink: tensors that were not sent, since they stay as they are.
    pub fn unchanged(&mut self) -> Result<Vec<String>> {
        Ok(self.text("unchanged")?.lines().map(str::to_string).collect())
    }

    fn text(&mut self, what: &str) -> Result<String> {
        let outcome = self.handle.text(what, |raw, what, buffer, capacity, length| {
            // SAFETY: a live handle, a string, and a buffer of that capacity.
            unsafe { ffi::ht_job_text(raw, what, buffer, capacity, length) }
        });
        let cause = self.take_cause();
        outcome.map_err(|error| error.caused_by(cause))
    }

    /// What a closure failed with during the call that has just returned.
    fn take_cause(&mut self) -> Option<CallbackError> {
        // SAFETY: no call is under way.
        let read = self.reader.as_ref().and_then(|reader| unsafe { (*reader.get()).error.take() });
        let sent = self.sink.as_ref().and_then(|sink| unsafe { (*sink.get()).error.take() });
        read.or(sent)
    }
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.handle).finish()
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        lock(&self.alive).0 = ptr::null_mut();
    }
}

/// Stops a [`Job`] from any thread.
#[derive(Clone)]
pub struct Canceller {
    alive: Arc<Mutex<Alive>>,
}

impl Canceller {
    /// Stops a run as soon as its progress is reported next. Does nothing without a run.
    pub fn cancel(&self) -> Result<()> {
        let alive = lock(&self.alive);
        if alive.0.is_null() {
            return Ok(());
        }
        // SAFETY: a live handle: it is destroyed after the pointer was cleared under this lock.
        check(unsafe { ffi::ht_job_cancel(alive.0) }, alive.0)
    }
}

/// # Safety
/// `user` is a Report that nothing else uses during the call; `now` is what the library fills in.
unsafe extern "C" fn report_progress(user: *mut c_void, now: *const ffi::ht_progress) -> i32 {
    guarded(1, || {
        // SAFETY: as the caller says; `now` is valid during the call.
        let (report, now) = unsafe { (&mut *(user as *mut Report<'_>), Progress::from_raw(&*now)) };
        match report(&now) {
            ControlFlow::Continue(()) => 0,
            ControlFlow::Break(()) => 1,
        }
    })
}
