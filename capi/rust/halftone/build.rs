//! Puts the directory that halftone-sys found into the rpath of the tests and examples of this package.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(directory) = std::env::var("DEP_HALFTONE_C_LIB_DIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", directory);
    }
}
