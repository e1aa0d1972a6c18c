//! Whole models: from a directory and from memory, stopped, failing, and panicking.

mod common;

use common::{model, Folder};
use halftone::{Checkpoint, Context, DType, Job, MatrixRef, Phase, Source, Status, Tensor};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::ops::ControlFlow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const RECIPE: &str = r#"{"method": "gptq", "options": {"bits": 3, "group_size": 8}, "format": "native"}"#;

fn job<'a>(context: &Context) -> Job<'a> {
    let ids: Vec<i32> = (0..6 * 12).map(|i| i * 29 % 64).collect();
    let mut job = Job::new(context, RECIPE).unwrap();
    job.tokens(MatrixRef::new(&ids, 6, 12).unwrap()).unwrap();
    job
}

fn into<'a>(context: &Context, output: &Path) -> Job<'a> {
    let mut job = job(context);
    job.model(model()).unwrap().output(output).unwrap();
    job
}

type Tensors = BTreeMap<String, (DType, Vec<i64>, Vec<u8>)>;

fn tensors_of(checkpoint: &Checkpoint) -> Tensors {
    let owned =
        |tensor: Tensor<'_>| (tensor.name.to_string(), (tensor.dtype, tensor.shape.to_vec(), tensor.data.to_vec()));
    checkpoint.tensors().map(|tensor| owned(tensor.unwrap())).collect()
}

fn config() -> String {
    std::fs::read_to_string(model().join("config.json")).unwrap()
}

/// The model, its data held by the program.
fn held(tensors: &Tensors) -> Source<'_> {
    let mut source = Source::new(config());
    for (name, (dtype, shape, data)) in tensors {
        source.add(&Tensor { name, dtype: *dtype, shape, data }).unwrap();
    }
    source
}

/// The model, its data read as the job asks for it.
fn read<'a>(tensors: &'a Tensors, calls: &'a AtomicUsize) -> Source<'a> {
    let mut source = Source::new(config());
    for (name, (dtype, shape, _)) in tensors {
        source.add_unread(name, *dtype, shape).unwrap();
    }
    source.read_by(move |name, offset, into| {
        calls.fetch_add(1, Ordering::Relaxed);
        into.copy_from_slice(&tensors[name].2[offset as usize..][..into.len()]);
        Ok(())
    });
    source
}

#[test]
fn from_directory_to_directory() {
    let (context, folder) = (Context::with_threads(2).unwrap(), Folder::new("directory"));
    let output = folder.join("out");
    let mut solved = Vec::new();
    {
        let mut job = into(&context, &output);
        assert!(job.plan().unwrap().starts_with('{'));
        assert_eq!(job.report().unwrap_err().status(), Status::NotFound);
        let progress = |now: &halftone::Progress<'_>| {
            if now.phase == Phase::Solve {
                solved.push((now.module.unwrap_or("").to_string(), now.relative_error, now.matrices_done));
            }
            ControlFlow::Continue(())
        };
        job.progress(progress).unwrap();
        job.run().unwrap();
        assert!(job.report().unwrap().contains("\"gptq\""));
        assert!(job.recipe().unwrap().contains("\"gptq\""));
        assert_eq!(job.run().unwrap_err().status(), Status::Conflict); // the output is there
    }
    assert_eq!(solved.len(), 14);
    assert!(solved.iter().all(|(module, error, _)| module.starts_with("model.layers.") && *error > 0.0));
    assert_eq!(solved.last().unwrap().2, 14);
    let checkpoint = Checkpoint::open(&context, &output).unwrap();
    let matrix = checkpoint.matrix("model.layers.1.mlp.down_proj").unwrap();
    assert_eq!(matrix.number("bits").unwrap(), 3.0);
    let norm = checkpoint.tensor("model.norm.weight").unwrap();
    assert_eq!(norm.data.len() as i64, norm.shape[0] * 4);
    assert_eq!(checkpoint.matrix("model.norm").unwrap_err().status(), Status::NotFound);
}

#[test]
fn from_memory_into_memory() {
    let (context, folder) = (Context::with_threads(2).unwrap(), Folder::new("memory"));
    let output = folder.join("out");
    into(&context, &output).run().unwrap();
    let wanted = tensors_of(&Checkpoint::open(&context, &output).unwrap());
    let dense = tensors_of(&Checkpoint::open(&context, model()).unwrap());
    let calls = AtomicUsize::new(0);
    for source in [held(&dense), read(&dense, &calls)] {
        let mut received = Tensors::new();
        let mut job = job(&context);
        job.source(source).unwrap();
        let sink = |tensor: &Tensor<'_>| {
            received.insert(tensor.name.to_string(), (tensor.dtype, tensor.shape.to_vec(), tensor.data.to_vec()));
            Ok(())
        };
        job.sink(sink).unwrap();
        job.run().unwrap();
        let config = std::fs::read_to_string(output.join("config.json")).unwrap();
        assert_eq!(job.config().unwrap(), config);
        let unchanged = job.unchanged().unwrap();
        drop(job);
        for name in unchanged {
            assert!(received.insert(name.clone(), dense[&name].clone()).is_none(), "{} was sent", name);
        }
        assert_eq!(received, wanted);
    }
    assert!(calls.load(Ordering::Relaxed) > 0);
}

#[test]
fn what_closures_fail_with_is_the_source() {
    let context = Context::new().unwrap();
    let dense = tensors_of(&Checkpoint::open(&context, model()).unwrap());
    let mut source = Source::new(config());
    for (name, (dtype, shape, _)) in &dense {
        source.add_unread(name, *dtype, shape).unwrap();
    }
    source.read_by(|name, _, _| Err(std::io::Error::new(std::io::ErrorKind::Other, format!("no {}", name)).into()));
    let mut failing = job(&context);
    failing.source(source).unwrap().sink(|_| Ok(())).unwrap();
    let error = failing.run().unwrap_err();
    assert_eq!(error.status(), Status::Io);
    assert!(error.source().unwrap().to_string().starts_with("no "));

    let mut failing = job(&context);
    failing.source(held(&dense)).unwrap().sink(|_| Err("no room".into())).unwrap();
    let error = failing.run().unwrap_err();
    assert_eq!((error.status(), error.source().unwrap().to_string().as_str()), (Status::Cancelled, "no room"));
    failing.sink(|_| Ok(())).unwrap();
    failing.run().unwrap();
}

#[test]
fn stopped_by_its_progress_and_resumed() {
    let (context, folder) = (Context::with_threads(2).unwrap(), Folder::new("resume"));
    let (whole, parts) = (folder.join("whole"), folder.join("parts"));
    into(&context, &whole).run().unwrap();
    let mut stopped = into(&context, &parts);
    stopped.resume(true).unwrap();
    let mut left = 12;
    let stop = move |_: &halftone::Progress<'_>| {
        left -= 1;
        if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    stopped.progress(stop).unwrap();
    assert_eq!(stopped.run().unwrap_err().status(), Status::Cancelled);
    assert!(!parts.exists());
    stopped.run().unwrap();
    let tensors = |output: &Path| tensors_of(&Checkpoint::open(&context, output).unwrap());
    assert_eq!(tensors(&parts), tensors(&whole));
}

#[test]
fn cancelled_from_another_thread() {
    let (context, folder) = (Context::with_threads(2).unwrap(), Folder::new("cancel"));
    let (begun, asked) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut cancelled = into(&context, &folder.join("out"));
    let wait = |_: &halftone::Progress<'_>| {
        begun.store(true, Ordering::SeqCst);
        while !asked.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        ControlFlow::Continue(())
    };
    cancelled.progress(wait).unwrap();
    let canceller = cancelled.canceller();
    canceller.cancel().unwrap(); // without a run: nothing
    std::thread::scope(|scope| {
        let canceller = canceller.clone();
        let (begun, asked) = (&begun, &asked);
        scope.spawn(move || {
            while !begun.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            canceller.cancel().unwrap();
            asked.store(true, Ordering::SeqCst);
        });
        assert_eq!(cancelled.run().unwrap_err().status(), Status::Cancelled);
    });
    drop(cancelled);
    canceller.cancel().unwrap(); // of a job that is gone: nothing
}

#[test]
fn panics_go_on_from_the_call() {
    let (context, folder) = (Context::with_threads(2).unwrap(), Folder::new("panic"));
    let text = |job: &mut Job<'_>| {
        let payload = catch_unwind(AssertUnwindSafe(|| job.run())).unwrap_err();
        payload.downcast_ref::<&str>().map(|text| text.to_string())
    };
    let mut panicking = into(&context, &folder.join("out"));
    panicking.progress(|_| panic!("of the progress")).unwrap();
    assert_eq!(text(&mut panicking).as_deref(), Some("of the progress"));
    panicking.progress(|_| ControlFlow::Continue(())).unwrap();
    panicking.run().unwrap();

    let dense = tensors_of(&Checkpoint::open(&context, model()).unwrap());
    let mut panicking = job(&context);
    panicking.source(held(&dense)).unwrap().sink(|_| panic!("of the sink")).unwrap();
    assert_eq!(text(&mut panicking).as_deref(), Some("of the sink"));
    let mut source = Source::new(config());
    for (name, (dtype, shape, _)) in &dense {
        source.add_unread(name, *dtype, shape).unwrap();
    }
    source.read_by(|_, _, _| panic!("of the reader"));
    panicking.source(source).unwrap();
    assert_eq!(text(&mut panicking).as_deref(), Some("of the reader"));
}

#[test]
fn recipes_and_settings_that_are_none() {
    let context = Context::new().unwrap();
    assert_eq!(Job::new(&context, "[").unwrap_err().status(), Status::InvalidData);
    let mut incomplete = Job::new(&context, RECIPE).unwrap();
    assert!(incomplete.set("no such setting", 1).is_err());
    assert_eq!(incomplete.run().unwrap_err().status(), Status::InvalidArgument);
    incomplete.source(Source::new("{}")).unwrap().sink(|_| Ok(())).unwrap();
    assert!(!incomplete.run().unwrap_err().message().is_empty()); // no model at all
}
