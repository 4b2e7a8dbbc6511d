//! How much memory is left, as Linux tells it.

use std::path::Path;

/// One version of control groups: where it is, and how its files are called.
struct GroupFiles {
    root: &'static str,
    controller: &'static str,
    limit: &'static str,
    used: &'static str,
    /// Lines of `memory.stat` with what is cached of files, which makes room when asked.
    cached: [&'static str; 2],
}

const VERSIONS: [GroupFiles; 2] = [
    GroupFiles {
        root: "/sys/fs/cgroup",
        controller: "",
        limit: "memory.max",
        used: "memory.current",
        cached: ["active_file", "inactive_file"],
    },
    GroupFiles {
        root: "/sys/fs/cgroup/memory",
        controller: "memory",
        limit: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        cached: ["total_active_file", "total_inactive_file"],
    },
];

/// Bytes that this process could still have: what the machine has left, or its control group, or one around that, if that
/// is less. `None` where the system does not tell.
pub fn free_bytes() -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| machine_free(&text));
    let cgroup = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let groups = VERSIONS.iter().flat_map(|version| {
        let own = own_group(&cgroup, version.controller);
        // Up to the root, which a container's own group is to it.
        let groups: Vec<_> = Path::new(&own)
            .ancestors()
            .map(|group| version.free(&Path::new(version.root).join(group)))
            .collect();
        groups
    });
    machine.into_iter().chain(groups.flatten()).min()
}

impl GroupFiles {
    fn free(&self, group: &Path) -> Option<u64> {
        let number = |file: &str| read(&group.join(file))?.trim().parse::<u64>().ok();
        let (limit, used) = (number(self.limit)?, number(self.used)?);
        let stat = read(&group.join("memory.stat")).unwrap_or_default();
        let cached: u64 = self.cached.iter().filter_map(|name| stat_of(&stat, name)).sum();
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    }
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `MemAvailable` of a `/proc/meminfo`.
fn machine_free(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// This process's group in a `/proc/self/cgroup`, of `controller` (version 1) or of none (version 2), as a relative path.
fn own_group(cgroup: &str, controller: &str) -> String {
    let group = cgroup.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    });
    group.unwrap_or_default().trim_matches('/').to_owned()
}

/// A number of a `memory.stat`.
fn stat_of(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_as_it_writes() {
        let text = "MemTotal:       24684056 kB\nMemFree: 1 kB\nMemAvailable:   23762000 kB\n";
        assert_eq!(machine_free(text), Some(23_762_000 * 1024));
        assert_eq!(machine_free("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn a_process_finds_its_group() {
        assert_eq!(own_group("0::/user.slice/a.scope\n", ""), "user.slice/a.scope");
        let both = "12:cpu,memory:/docker/7\n0::/\n";
        assert_eq!([own_group(both, ""), own_group(both, "memory")], ["", "docker/7"]);
        assert_eq!(own_group("nonsense", "memory"), "");
    }

    #[test]
    fn a_group_has_what_it_may_use_and_what_only_caches_files() {
        let group = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| std::fs::write(group.path().join(file), text).unwrap();
        let files = &VERSIONS[0];
        assert_eq!(files.free(group.path()), None);
        put("memory.max", "max\n");
        put("memory.current", "900\n");
        assert_eq!(files.free(group.path()), None, "no limit");
        put("memory.max", "1000\n");
        assert_eq!(files.free(group.path()), Some(100));
        put("memory.stat", "anon 5\nactive_file 200\ninactive_file 300\nactive_file_other 9\n");
        assert_eq!(files.free(group.path()), Some(600));
    }
}
