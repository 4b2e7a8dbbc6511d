use std::fs::File;
use std::io::{self, Read as _};

/// 128 bits that nobody can guess.
pub fn random() -> io::Result<u128> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}
