//! Without a graphics driver there is one clear line, and no panic.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use worldstep_synth::{RenderConfig, RenderError, Renderer};

#[test]
fn no_driver_says_what_to_install() {
    // The loader reads these variables once, so it takes a process of its own.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "without_a_driver", "--nocapture"])
        .env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("apt-get install mesa-vulkan-drivers"), "{said}");
}

#[test]
#[ignore = "run by no_driver_says_what_to_install"]
fn without_a_driver() {
    let error = Renderer::new(RenderConfig { tiles: 1, width: 8, height: 8 }).err().unwrap();
    assert!(matches!(error, RenderError::NoDriver { .. }), "{error}");
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    eprintln!("{line}");
}
