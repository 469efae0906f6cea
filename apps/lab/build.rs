//! Tells the library which commit it is built from.

use std::path::Path;
use std::process::Command;

/// What a run is computed with, seen from the top of the repository.
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

/// The commit, ending in `-dirty` where sources differ from it. None without git, or outside of the project's own repository.
fn commit() -> Option<String> {
    // Unpacked inside of another repository, the sources are of none of its commits.
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

/// Cargo takes a file that is missing for one that has changed.
fn watch(path: &str) {
    if Path::new(path).exists() {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// What git says, if there is git and it has no complaint.
fn git(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // A hook of another repository may have set these.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
