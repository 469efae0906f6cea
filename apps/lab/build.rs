//! Sets `QARE_COMMIT`, the commit that the library is built from.

use std::path::Path;
use std::process::Command;

/// Sources that affect the results of a run, relative to the root of the repository.
const SOURCES: [&str; 13] = [
    "Cargo.lock",
    "Cargo.toml",
    "apps/cli/Cargo.toml",
    "apps/cli/build.rs",
    "apps/cli/src",
    "apps/lab/Cargo.toml",
    "apps/lab/src",
    "data/Cargo.toml",
    "data/src",
    "models/Cargo.toml",
    "models/src",
    "qare/Cargo.toml",
    "qare/src",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=QARE_COMMIT={}", commit().unwrap_or_else(|| "unknown".into()));
}

/// Returns the commit, with the suffix `-dirty` if the sources differ from it; `None` without git or outside the project's repository.
fn commit() -> Option<String> {
    // Sources that are unpacked inside another repository belong to none of its commits.
    if git(&["rev-parse", "--show-prefix"])? != "apps/lab/" {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for file in ["HEAD", "logs/HEAD", "packed-refs", "reftable"].into_iter().chain(branch.as_deref()) {
        watch(&git(&["rev-parse", "--git-path", file])?);
    }
    let sources = SOURCES.map(|source| format!("../../{source}"));
    sources.iter().for_each(|source| watch(source));
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(sources.iter().map(String::as_str));
    Some(if git(&status)?.is_empty() { commit } else { format!("{commit}-dirty") })
}

/// Rebuilds when an existing path changes. Cargo treats a missing path as changed, so missing paths are left out.
fn watch(path: &str) {
    if Path::new(path).exists() {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// Returns the trimmed output of a git command, or `None` if git is missing or fails.
fn git(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // A hook of another repository may have set these.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
