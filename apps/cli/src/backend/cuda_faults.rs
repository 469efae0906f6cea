//! What can be missing or too old in an installation of CUDA, and the message that says what to do about it.

use std::path::{Path, PathBuf};

use qare_lab::PrintablePath;

/// Versions are major and minor.
pub type Version = (i32, i32);

/// The installation that was found.
#[derive(Clone, Debug)]
pub struct Toolkit {
    /// Version of NVRTC, CUDA's run-time compiler.
    pub nvrtc: Version,
    /// Newest CUDA that the driver runs code of.
    pub driver: Version,
    /// Folder of the headers.
    pub headers: PathBuf,
    /// Compute capability of the GPU, such as 90.
    pub architecture: i32,
    /// Compute capabilities that NVRTC compiles for. Empty if it does not tell.
    pub known: Vec<i32>,
}

/// Why kernels cannot be compiled, or not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The GPU is too new or too old for NVRTC.
    Architecture,
    /// NVRTC does not find a part of itself, a library of this name.
    Builtins(String),
    /// A header is missing.
    Header(String),
    /// The driver does not load NVRTC's code, for this reason.
    Driver(String),
    /// NVRTC reports something else.
    Other(String),
}

/// The headers that CubeCL's kernels include, each with the part of CUDA that holds it.
const HEADERS: [(&str, Part); 8] = [
    ("cuda_runtime.h", Part::Runtime),
    ("cuda_fp16.h", Part::Runtime),
    ("cuda_bf16.h", Part::Runtime),
    ("mma.h", Part::Runtime),
    ("cooperative_groups/memcpy_async.h", Part::Runtime),
    ("crt/mma.h", Part::Crt),
    ("cuda/barrier", Part::Cccl),
    ("cuda/pipeline", Part::Cccl),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Runtime,
    Crt,
    Cccl,
}

impl Part {
    /// The part that holds a header.
    fn of(header: &str) -> Self {
        match header.split('/').next() {
            Some("crt") => Self::Crt,
            Some("cuda" | "nv" | "cub" | "thrust" | "cccl") => Self::Cccl,
            _ => Self::Runtime,
        }
    }

    /// The package of pip for a version of CUDA, and where the toolkit has it.
    fn package(self, (major, minor): Version) -> String {
        let (name, folder) = match (self, major) {
            (Self::Runtime, _) => ("nvidia-cuda-runtime", "include"),
            // CUDA 12 had these with its compiler.
            (Self::Crt, ..=12) => ("nvidia-cuda-nvcc", "include/crt"),
            (Self::Crt, _) => ("nvidia-cuda-crt", "include/crt"),
            (Self::Cccl, ..=12) => ("nvidia-cuda-cccl", "include/cuda"),
            (Self::Cccl, _) => ("nvidia-cuda-cccl", "include/cccl"),
        };
        let suffix = if major <= 12 { format!("-cu{major}") } else { String::new() };
        format!("{folder} of the CUDA toolkit {major}.{minor}, or pip's {name}{suffix}")
    }
}

/// The first of CubeCL's headers that a folder lacks.
pub fn missing_header(headers: &Path) -> Option<Fault> {
    let there = |name: &str, part| {
        // Since CUDA 13, CCCL has a folder of its own.
        headers.join(name).is_file() || part == Part::Cccl && headers.join("cccl").join(name).is_file()
    };
    let missing = HEADERS.iter().find(|(name, part)| !there(name, *part));
    missing.map(|(name, _)| Fault::Header((*name).into()))
}

/// Reads NVRTC's log of a compilation that failed.
pub fn fault_in(log: &str) -> Fault {
    let log = log.trim_end_matches('\0').trim();
    let after = |start: &str| log.split_once(start).map(|(_, rest)| rest.split_whitespace().next().unwrap_or(""));
    if let Some(library) = after("failed to open ") {
        return Fault::Builtins(library.trim_end_matches('.').into());
    }
    if let Some((_, rest)) = log.split_once("cannot open source file \"") {
        return Fault::Header(rest.split('"').next().unwrap_or_default().into());
    }
    if log.contains("--gpu-architecture") {
        return Fault::Architecture;
    }
    Fault::Other(log.lines().take(5).map(str::trim).collect::<Vec<_>>().join(" "))
}

impl Toolkit {
    /// What is wrong, where, and what to do.
    pub fn message(&self, fault: &Fault) -> String {
        let Self { nvrtc: (major, minor), driver, headers, architecture, known } = self;
        let headers = headers.printable();
        match fault {
            Fault::Architecture => {
                let (first, last) = (known.iter().min().unwrap_or(&0), known.iter().max().unwrap_or(&0));
                let advice = if architecture > last {
                    "install a newer CUDA toolkit, or pip's nvidia-cuda-nvrtc".to_string()
                } else if architecture < first {
                    "install an older one, such as the CUDA toolkit 12.8 or pip's nvidia-cuda-nvrtc-cu12".to_string()
                } else {
                    "install another one".to_string()
                };
                format!(
                    "NVRTC {major}.{minor} compiles for compute capabilities {} to {}, and this GPU has {}: {advice}, and add \
                     its folder to LD_LIBRARY_PATH",
                    capability(*first),
                    capability(*last),
                    capability(*architecture)
                )
            }
            Fault::Builtins(library) => format!(
                "NVRTC {major}.{minor} does not find {library}, a part of itself: it lies beside libnvrtc.so in the CUDA \
                 toolkit and in pip's nvidia-cuda-nvrtc; add that folder to LD_LIBRARY_PATH"
            ),
            Fault::Header(name) => format!(
                "the cuda backend needs CUDA's headers, and {headers} has no {name}: install {}, or set CUDA_PATH to a folder \
                 whose include has it",
                Part::of(name).package((*major, *minor))
            ),
            Fault::Driver(reason) => format!(
                "NVIDIA's driver runs code of CUDA {}.{} at most and does not load that of NVRTC {major}.{minor} ({reason}): \
                 update the driver, or put an NVRTC of at most {0}.{1} in LD_LIBRARY_PATH and CUDA's headers of that version in \
                 CUDA_PATH",
                driver.0, driver.1
            ),
            Fault::Other(text) => format!(
                "NVRTC {major}.{minor} does not compile a kernel with the headers of {headers}: {text}; headers and NVRTC have \
                 to be of one version: set CUDA_PATH and LD_LIBRARY_PATH to one CUDA toolkit"
            ),
        }
    }
}

fn capability(architecture: i32) -> String {
    format!("{}.{}", architecture / 10, architecture % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolkit(nvrtc: Version) -> Toolkit {
        Toolkit {
            nvrtc,
            driver: (12, 4),
            headers: "/opt/cuda/include".into(),
            architecture: 90,
            known: vec![75, 80, 90, 121],
        }
    }

    /// Logs of NVRTC 12.4, 12.8 and 13.0.
    #[test]
    fn logs_are_understood() {
        let builtins = "nvrtc: error: failed to open libnvrtc-builtins.so.13.0.\n  Make sure that libnvrtc-builtins.so.13.0 is installed correctly.\0";
        assert_eq!(fault_in(builtins), Fault::Builtins("libnvrtc-builtins.so.13.0".into()));
        let header = "/opt/cuda/include/mma.h(55): catastrophic error: cannot open source file \"crt/mma.h\"\n  #include \"crt/mma.h\"\n                      ^\n\n1 catastrophic error detected in the compilation of \"default_program\".\nCompilation terminated.\n\0";
        assert_eq!(fault_in(header), Fault::Header("crt/mma.h".into()));
        assert_eq!(fault_in("nvrtc: error: invalid value for --gpu-architecture (-arch)\n\0"), Fault::Architecture);
        let other = "default_program(2): error: identifier \"x\" is undefined\n\n1 error detected.\n";
        assert!(matches!(fault_in(other), Fault::Other(text) if text.contains("identifier \"x\"")));
    }

    #[test]
    fn messages_say_what_to_install() {
        let of = |nvrtc, fault: Fault| toolkit(nvrtc).message(&fault);
        let crt = || Fault::Header("crt/mma.h".into());
        for (message, words) in [
            (of((13, 0), crt()), ["/opt/cuda/include", "crt/mma.h", "nvidia-cuda-crt,", "CUDA_PATH"]),
            (of((12, 8), crt()), ["/opt/cuda/include", "crt/mma.h", "nvidia-cuda-nvcc-cu12,", "CUDA_PATH"]),
            (
                of((13, 0), Fault::Header("cuda/barrier".into())),
                ["cuda/barrier", "include/cccl", "nvidia-cuda-cccl,", "13.0"],
            ),
            (
                of((12, 8), Fault::Header("cuda/barrier".into())),
                ["cuda/barrier", "include/cuda", "nvidia-cuda-cccl-cu12,", "12.8"],
            ),
            (of((12, 8), Fault::Header("mma.h".into())), ["mma.h", "nvidia-cuda-runtime-cu12,", "12.8", "CUDA_PATH"]),
            (
                of((13, 0), Fault::Builtins("libnvrtc-builtins.so.13.0".into())),
                ["libnvrtc-builtins.so.13.0", "beside", "nvidia-cuda-nvrtc", "LD_LIBRARY_PATH"],
            ),
            (
                of((13, 0), Fault::Driver("CUDA_ERROR_UNSUPPORTED_PTX_VERSION".into())),
                ["CUDA 12.4", "NVRTC 13.0", "UNSUPPORTED_PTX", "update the driver"],
            ),
            (of((13, 0), Fault::Other("odd".into())), ["NVRTC 13.0", "odd", "CUDA_PATH", "LD_LIBRARY_PATH"]),
        ] {
            for word in words {
                assert!(message.contains(word), "{message}: {word}");
            }
        }
    }

    #[test]
    fn a_gpu_may_be_too_new_or_too_old() {
        let of = |architecture| Toolkit { architecture, ..toolkit((13, 0)) }.message(&Fault::Architecture);
        let old = of(70);
        assert!(old.contains("has 7.0") && old.contains("7.5 to 12.1") && old.contains("older"), "{old}");
        let new = of(130);
        assert!(new.contains("has 13.0") && new.contains("newer"), "{new}");
    }

    #[test]
    fn each_header_is_looked_for_in_both_layouts() {
        for cccl in ["", "cccl"] {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str, part| match part {
                Part::Cccl => folder.path().join(cccl).join(name),
                _ => folder.path().join(name),
            };
            for (name, part) in HEADERS {
                assert_eq!(missing_header(folder.path()), Some(Fault::Header(name.into())));
                std::fs::create_dir_all(path(name, part).parent().unwrap()).unwrap();
                std::fs::write(path(name, part), "").unwrap();
            }
            assert_eq!(missing_header(folder.path()), None);
            for (name, part) in HEADERS {
                assert!(Part::of(name) == part, "{name}");
            }
        }
    }
}
