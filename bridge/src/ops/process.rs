use std::fs;

const KIB: f64 = 1024.0;
/// Ticks of a second in `/proc/self/stat`, the same on every Linux.
const TICKS: f64 = 100.0;

/// What the system says about this process. What it does not say (where there is no `/proc`) is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// Memory in RAM, bytes.
    pub resident_bytes: Option<f64>,
    /// Open file descriptors: sockets, files, shared memory.
    pub open_fds: Option<f64>,
    /// File descriptors that the system allows it.
    pub fds_max: Option<f64>,
    /// Threads.
    pub threads: Option<f64>,
    /// Time on processors since it started, user's and system's, seconds.
    pub cpu_s: Option<f64>,
    /// When it started, seconds since 1970.
    pub started_unix_s: Option<f64>,
}

impl ProcessFigures {
    /// Asks the system.
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (status, limits) = (text("/proc/self/status"), text("/proc/self/limits"));
        let (stat, system) = (text("/proc/self/stat"), text("/proc/stat"));
        let ticks = |index| stat_field(&stat, index).map(|ticks| ticks / TICKS);
        Self {
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib * KIB),
            // One of them is the folder that is being read.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1) as f64),
            fds_max: field(&limits, "Max open files"),
            threads: field(&status, "Threads:"),
            cpu_s: ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
            started_unix_s: ticks(22).zip(field(&system, "btime")).map(|(since, boot)| boot + since),
        }
    }
}

impl ProcessFigures {
    /// What clients get of it: memory, descriptors and threads, by name.
    pub fn figures(&self) -> impl Iterator<Item = (String, f64)> {
        let named = [
            ("process_rss_bytes", self.resident_bytes),
            ("process_open_fds", self.open_fds),
            ("process_fds_max", self.fds_max),
            ("process_threads", self.threads),
        ];
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
    }
}

/// First number after `name` at the start of a line; `unlimited` is none.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Field `index` of `/proc/self/stat`, counted from 1 as in proc(5). The second, the process's name, may hold blanks.
fn stat_field(stat: &str, index: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(index.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_process_has_memory_descriptors_and_an_age() {
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let figures = ProcessFigures::read();
        drop(files);
        assert!(figures.resident_bytes.unwrap() > 1e5, "{figures:?}");
        assert!((50.0..figures.fds_max.unwrap()).contains(&figures.open_fds.unwrap()), "{figures:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - figures.started_unix_s.unwrap();
        assert!((-2.0..3600.0).contains(&age), "{age} s old");
    }

    #[test]
    fn a_name_with_blanks_and_brackets_shifts_no_field() {
        let stat = "7 (a) (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50";
        assert_eq!((stat_field(stat, 14), stat_field(stat, 15)), (Some(250.0), Some(50.0)));
    }
}
