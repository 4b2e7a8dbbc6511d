//! libFuzzer's way in to [`worldstep_env_fuzz::build`].
#![no_main]

use worldstep_env_fuzz::File;

libfuzzer_sys::fuzz_target!(
    init: worldstep_env_fuzz::forgive_caught_panics(),
    |file: File| worldstep_env_fuzz::build(&file)
);
