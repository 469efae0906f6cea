//! Log, summary and time of a whole process. Each test starts itself again, with the driver's settings in the environment.
#![cfg(target_os = "linux")]

use std::ffi::c_void;
use std::path::Path;
use std::process::{Command, Output};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use dry_cuda::copies::{cuMemcpyDtoH_v2, cuMemcpyHtoD_v2};
use dry_cuda::device::cuInit;
use dry_cuda::launches::cuLaunchKernel;
use dry_cuda::memory::cuMemAlloc_v2;
use dry_cuda::modules::{cuModuleGetFunction, cuModuleLoadData};
use dry_cuda::nvrtc::{forwarded::nvrtcVersion, nvrtcCompileProgram, nvrtcCreateProgram};
use dry_cuda::status::{INVALID_VALUE, SUCCESS};
use dry_cuda::streams::{cuEventCreate, cuEventRecord, cuEventSynchronize};
use dry_cuda::summary::Summary;

/// A folder that is removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dry-cuda-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Set in the environment of a child.
const CHILD: &str = "DRY_CUDA_TEST_CHILD";

/// Runs an ignored test of this file in a process of its own.
fn run(child: &str, settings: &[(&str, &Path)]) -> Output {
    let mut call = Command::new(std::env::current_exe().unwrap());
    call.args(["--exact", child, "--ignored", "--nocapture"])
        .env(CHILD, "")
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

/// Uploads 1.0, launches a kernel twice, waits, and returns what a read gives.
fn program() -> f32 {
    let ptx = c".version 9.0\n.visible .entry twice(.param .u64 p) { ret; }";
    let (mut address, mut module, mut function, mut event) = (0, null_mut(), null_mut(), null_mut());
    let (one, mut found) = (1.0f32, f32::NAN);
    // SAFETY: all pointers are valid for the bytes that are given.
    unsafe {
        assert_eq!(cuInit(0), SUCCESS);
        assert_eq!(cuMemAlloc_v2(&mut address, 4), SUCCESS);
        assert_eq!(cuMemcpyHtoD_v2(address, (&raw const one).cast(), 4), SUCCESS);
        assert_eq!(cuModuleLoadData(&mut module, ptx.as_ptr().cast()), SUCCESS);
        assert_eq!(cuModuleGetFunction(&mut function, module, c"twice".as_ptr()), SUCCESS);
        for _ in 0..2 {
            let none = null_mut::<*mut c_void>();
            assert_eq!(cuLaunchKernel(function, 3, 1, 1, 32, 1, 1, 0, null_mut(), none, none), SUCCESS);
        }
        assert_eq!(cuEventCreate(&mut event, 0), SUCCESS);
        assert_eq!(cuEventRecord(event, null_mut()), SUCCESS);
        assert_eq!(cuEventSynchronize(event), SUCCESS);
        assert_eq!(cuMemcpyDtoH_v2((&raw mut found).cast(), address, 4), SUCCESS);
    }
    found
}

#[test]
#[ignore = "is the child of another test"]
fn child_that_exits() {
    assert!(std::env::var_os(CHILD).is_some(), "would end the process of the other tests");
    println!("read {}", program());
    // Runs no destructors of statics, and ends while the test runs.
    std::process::exit(0);
}

#[test]
#[ignore = "is the child of another test"]
fn child_that_measures() {
    let started = Instant::now();
    program();
    println!("milliseconds: {}", started.elapsed().as_millis());
}

#[test]
#[ignore = "is the child of another test"]
fn child_with_wrong_settings() {
    assert_eq!(cuInit(0), INVALID_VALUE);
}

#[test]
#[ignore = "is the child of another test"]
fn child_that_compiles_without_nvrtc() {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the pointers are valid; without NVRTC no program is looked at.
    unsafe {
        assert_ne!(nvrtcVersion(&mut major, &mut minor), 0);
        assert_ne!(nvrtcCompileProgram(null_mut(), 0, std::ptr::null()), 0);
    }
}

#[test]
#[ignore = "is the child of another test"]
fn child_that_compiles() {
    let sources = [c"__global__ void good(int *a) {}", c"__global__ void bad(int *a) { error }"];
    let results = sources.map(|source| {
        let (mut major, mut minor, mut program) = (0, 0, null_mut());
        let none = std::ptr::null();
        // SAFETY: the pointers are valid, and a source ends with a zero byte.
        unsafe {
            assert_eq!(nvrtcVersion(&mut major, &mut minor), 0);
            assert_eq!((major, minor), (13, 7));
            assert_eq!(nvrtcCreateProgram(&mut program, source.as_ptr(), none, 0, none.cast(), none.cast()), 0);
            nvrtcCompileProgram(program, 0, none.cast())
        }
    });
    assert_eq!(results, [0, 6]);
    // Registers the summary.
    assert_eq!(cuInit(0), SUCCESS);
}

#[test]
fn a_process_that_exits_leaves_log_and_summary() {
    let folder = Folder::new("exit");
    let (log, summary) = (folder.0.join("log"), folder.0.join("summary.json"));
    let settings = [("DRY_CUDA_LOG", log.as_path()), ("DRY_CUDA_SUMMARY", &summary)];
    let output = run("child_that_exits", &settings);
    assert!(output.status.success());
    // By default a read gives zeros.
    assert!(String::from_utf8_lossy(&output.stdout).contains("read 0\n"));

    let summary = Summary::parse(&std::fs::read_to_string(summary).unwrap()).unwrap();
    let counts = ["launches", "uploads", "reads", "event_synchronisations", "modules"].map(|kind| summary.count(kind));
    assert_eq!(counts, [2, 1, 1, 1, 1]);
    assert_eq!(summary.section("kernels").collect::<Vec<_>>(), [("twice", 2)]);
    let log = std::fs::read_to_string(log).unwrap();
    let events: Vec<&str> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    let launch = "launch twice grid 3,1,1 block 32,1,1 shared 0";
    assert_eq!(events[..2], ["allocate 4", "upload 4"]);
    assert!(events[2].starts_with("module "));
    assert_eq!(events[3..], [launch, launch, "synchronise event", "read 4"]);
}

#[test]
fn reads_give_the_memory_if_asked_to() {
    let output = run("child_that_exits", &[("DRY_CUDA_READS", Path::new("memory"))]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("read 1\n"));
}

#[test]
fn kernels_take_the_time_of_the_settings() {
    let output = run("child_that_measures", &[("DRY_CUDA_KERNEL_MICROSECONDS", Path::new("60000"))]);
    let text = String::from_utf8_lossy(&output.stdout);
    // On one core the test harness begins the line.
    let (_, rest) = text.split_once("milliseconds: ").expect("the child prints its time");
    let milliseconds = rest.split_whitespace().next().unwrap().parse().unwrap();
    // Two kernels in one stream run one after the other, and the wait is for both.
    assert!(Duration::from_millis(milliseconds) >= Duration::from_millis(120));
}

#[test]
fn wrong_settings_are_named() {
    let output = run("child_with_wrong_settings", &[("DRY_CUDA_READS", Path::new("ones"))]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("dry-cuda: cuInit is refused: DRY_CUDA_READS=ones: expected zeros, numbers or memory"),
        "{text}"
    );
}

#[test]
fn a_missing_nvrtc_is_named() {
    let child = "child_that_compiles_without_nvrtc";
    let message = |settings: &[(&str, &Path)]| {
        let output = run(child, settings);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(message(&[]).contains("DRY_CUDA_NVRTC is not set"));
    assert!(message(&[("DRY_CUDA_NVRTC", Path::new("/nowhere/libnvrtc.so.13"))]).contains("/nowhere/libnvrtc.so.13"));
}

#[test]
fn a_kernel_that_does_not_compile_is_named() {
    let folder = Folder::new("compile");
    let summary = folder.0.join("summary.json");
    // Cargo builds examples beside the folder of the tests.
    let library = std::env::current_exe().unwrap().parent().unwrap().join("../examples/libstand_in_nvrtc.so");
    let output = run("child_that_compiles", &[("DRY_CUDA_NVRTC", &library), ("DRY_CUDA_SUMMARY", &summary)]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let message = "bad: line 1: error: there is an error";
    assert!(text.contains(&format!("dry-cuda: the kernel bad does not compile: {}", &message[5..])), "{text}");
    let summary = Summary::parse(&std::fs::read_to_string(summary).unwrap()).unwrap();
    assert_eq!((summary.count("compilations"), summary.count("failed_compilations")), (2, 1));
    assert_eq!(summary.section("failures").collect::<Vec<_>>(), [(message, 1)]);
}
