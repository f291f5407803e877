//! Chooses the object with the kernel's side: the one of the repository, or with `build-bpf` one made here.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=bpf");
    for compiler in ["CLANG", "LLVM_STRIP"] {
        println!("cargo::rerun-if-env-changed={compiler}");
    }
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or(format!("{name} is not set"));
    let sources = variable("CARGO_MANIFEST_DIR")?.join("bpf");
    let object = match env::var_os("CARGO_FEATURE_BUILD_BPF") {
        Some(_) => compile(&sources, variable("OUT_DIR")?.join("sockaccel.bpf.o"))?,
        None => sources.join("sockaccel.bpf.o"),
    };
    println!("cargo::rustc-env=SOCKACCEL_OBJECT={}", object.display());
    Ok(())
}

fn compile(sources: &Path, object: PathBuf) -> Result<PathBuf, String> {
    let script = sources.join("build.sh");
    match Command::new(&script).arg(&object).status() {
        Ok(status) if status.success() => Ok(object),
        Ok(status) => Err(format!("{} ended with {status}", script.display())),
        Err(error) => Err(format!("cannot run {}: {error}", script.display())),
    }
}
