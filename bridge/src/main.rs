//! The `worldstep` command.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;

fn main() -> ExitCode {
    quiet_vulkan_loader();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: the whole chain of causes, outermost first.
            eprintln!("worldstep: {error:#}");
            cli::exit_code(&error)
        }
    }
}

/// Mesa's device-selection layer looks for a display and complains on stderr where there is none; nothing here needs it.
fn quiet_vulkan_loader() {
    // SAFETY: no other thread exists yet that could read the environment.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var("NODEVICE_SELECT", "1");
    }
}
