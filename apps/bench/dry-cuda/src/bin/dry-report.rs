//! Prints the counts of training steps, and checks them: `dry-report FOLDER STEPS KERNELS LIMITS TRAINING…`, for
//! `apps/bench/dry-run.sh`. KERNELS is how many kernels to list; LIMITS is a file, or empty for no check.

use std::path::Path;
use std::process::ExitCode;

use dry_cuda::report::{Limits, Runs, details, table};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match report(&arguments) {
        Ok(exceeded) if exceeded.is_empty() => ExitCode::SUCCESS,
        Ok(exceeded) => {
            exceeded.iter().for_each(|message| eprintln!("error: {message}"));
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the report and returns what is above its limit.
fn report(arguments: &[String]) -> Result<Vec<String>, String> {
    let [folder, steps, kernels, limits, trainings @ ..] = arguments else {
        return Err("expected FOLDER STEPS KERNELS LIMITS TRAINING…".into());
    };
    let number = |text: &String| text.parse::<u64>().map_err(|_| format!("`{text}`: expected a number"));
    let (steps, kernels) = (number(steps)?, number(kernels)?);
    if steps == 0 || trainings.is_empty() {
        return Err("expected at least one step and one training".into());
    }
    let read = |name: &String| Runs::read(Path::new(folder), name, steps);
    let trainings = trainings.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    print!("{}", table(&trainings));
    if kernels > 0 {
        trainings.iter().for_each(|runs| print!("\n{}", details(runs, kernels as usize)));
    }
    if limits.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(limits).map_err(|error| format!("cannot read {limits}: {error}"))?;
    let checked = Limits::parse(&text).map_err(|error| format!("{limits}: {error}"))?;
    Ok(trainings.iter().flat_map(|runs| checked.exceeded(runs)).collect())
}
