//! Quantises a model: quantize_model MODEL OUTPUT [RECIPE], of directories and the text of a recipe. Goes on with an
//! earlier run of the same output that was stopped.

use halftone::{Context, Job, LogLevel, Phase};
use std::ops::ControlFlow;

const ROUNDING: &str = r#"{"method": "rtn", "options": {"bits": 4, "group_size": 32}, "format": "native"}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, output, recipe) = match &arguments[..] {
        [model, output] => (model, output, ROUNDING),
        [model, output, recipe] => (model, output, recipe.as_str()),
        _ => return Err("usage: quantize_model MODEL OUTPUT [RECIPE]".into()),
    };
    let context = Context::new()?;
    context.set_log(|level, text| {
        if level <= LogLevel::Warning {
            eprintln!("{}", text);
        }
    })?;
    let mut job = Job::new(&context, recipe)?;
    job.model(model)?.output(output)?.resume(true)?;
    job.progress(|now| {
        if now.phase == Phase::Solve {
            let module = now.module.unwrap_or("");
            println!("{}/{} {} {:.5}", now.matrices_done, now.matrices, module, now.relative_error);
        }
        ControlFlow::Continue(())
    })?;
    job.run()?;
    println!("{} bytes of report", job.report()?.len());
    Ok(())
}
