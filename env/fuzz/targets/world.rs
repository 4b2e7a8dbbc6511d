//! libFuzzer's way in to [`worldstep_env_fuzz::live`].
#![no_main]

use worldstep_env_fuzz::Life;

libfuzzer_sys::fuzz_target!(
    init: worldstep_env_fuzz::forgive_caught_panics(),
    |life: Life| worldstep_env_fuzz::live(&life)
);
