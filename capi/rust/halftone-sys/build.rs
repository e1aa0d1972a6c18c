//! Finds libhalftone_c: in `HALFTONE_LIB_DIR` if that is set, else where pkg-config says.
//!
//! The directory is handed on as `DEP_HALFTONE_C_LIB_DIR`, for packages that want it in the rpath of their programs.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=HALFTONE_LIB_DIR");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    if let Ok(directory) = env::var("HALFTONE_LIB_DIR") {
        search(&directory);
        println!("cargo:rustc-link-lib=dylib=halftone_c");
        return;
    }
    for flag in pkg_config().split_whitespace() {
        if let Some(directory) = flag.strip_prefix("-L") {
            search(directory);
        } else if let Some(library) = flag.strip_prefix("-l") {
            println!("cargo:rustc-link-lib=dylib={}", library);
        }
    }
}

/// Links against a directory, also when the tests of this package run.
fn search(directory: &str) {
    println!("cargo:rustc-link-search=native={}", directory);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", directory);
    println!("cargo:lib_dir={}", directory);
}

/// Linker flags of the installed library.
fn pkg_config() -> String {
    let output = Command::new(env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into()))
        .args(["--libs", "halftone-c"])
        .output()
        .expect("pkg-config, which finds libhalftone_c, does not run: install it, or set HALFTONE_LIB_DIR");
    assert!(
        output.status.success(),
        "pkg-config knows no halftone-c: install the library, or set HALFTONE_LIB_DIR\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("pkg-config answers in UTF-8")
}
