// SPDX-License-Identifier: GPL-2.0

//! Compiles the policy files as the kernel does, and looks for calls of panic functions in the
//! object.

use std::path::Path;
use std::process::Command;

/// Returns the bytes of the object that `source` compiles to, with the kernel's checks on.
fn object(source: &str, name: &str) -> Vec<u8> {
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args([
            "--edition=2021",
            "--crate-type=lib",
            "--emit=obj",
            "-Awarnings",
        ])
        .args(["-Copt-level=2", "-Cpanic=abort", "-Coverflow-checks=y"])
        .arg("-o")
        .arg(&output)
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("no_panic")
                .join(source),
        )
        .status()
        .expect("rustc runs");
    assert!(status.success());
    std::fs::read(output).expect("object")
}

/// Symbol names of all panic functions of `core` have this, in either mangling.
fn can_panic(object: &[u8]) -> bool {
    object.windows(5).any(|w| w == b"panic")
}

/// Rule: nothing in the policy files can panic, on any input.
#[test]
fn policy_cannot_panic() {
    let object = object("policy.rs", "policy.o");
    // What is not called is not compiled: the list of calls is complete as far as these are there.
    for module in [
        "clock",
        "dirty",
        "hold",
        "ladder",
        "limits",
        "merge",
        "writeback",
    ] {
        let name = format!("calls_{module}");
        let found = object.windows(name.len()).any(|w| w == name.as_bytes());
        assert!(found, "{name} was not compiled");
    }
    assert!(!can_panic(&object));
}

/// The test above can fail: one unchecked addition, one index.
#[test]
fn a_panic_is_found() {
    assert!(can_panic(&object("addition.rs", "addition.o")));
    assert!(can_panic(&object("index.rs", "index.o")));
}
