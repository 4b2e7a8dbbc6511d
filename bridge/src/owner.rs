use std::io::{self, ErrorKind, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Sets `stop` when standard input ends: when the process that holds its other end closes it or dies, however it
/// dies. A private server lives exactly as long as its client this way.
///
/// # Errors
/// If no thread can be started to watch it.
pub fn stop_when_stdin_closes(stop: &Arc<AtomicBool>) -> io::Result<()> {
    let stop = Arc::clone(stop);
    let watch = move || {
        let mut ignored = [0; 256];
        loop {
            match io::stdin().read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        stop.store(true, Ordering::Release);
    };
    thread::Builder::new().name("stdin".to_owned()).spawn(watch).map(drop)
}
