use clap::Parser;

use super::*;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    flags: ServeConfig,
}

fn config(flags: &[&str], file: Option<&str>) -> Result<ServeConfig> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serve.toml");
    let path = file.map(|text| {
        fs::write(&path, text).unwrap();
        path.as_path()
    });
    let flags = Flags::try_parse_from([&["serve"], flags].concat()).map_err(anyhow::Error::from)?.flags;
    flags.effective(path)
}

#[test]
fn without_flags_the_limits_are_those_of_the_library() {
    let limits = config(&[], None).unwrap().limits();
    assert!(limits.memory_bytes_max.is_some_and(|bytes| bytes > 0), "a share of what is free here");
    assert_eq!(Limits { memory_bytes_max: None, ..limits }, Limits::default());
    assert!(limits.lease >= Duration::from_secs(300), "a client may learn for minutes between two steps");
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = "max_batch = 64\nmax_wait_us = 500\nlease_s = 60\nmax_envs = 100\n";
    let flags = ["--max-wait-us", "0", "--max-message-mb", "2", "--max-memory-mb", "7"];
    let limits = config(&flags, Some(file)).unwrap().limits();
    assert_eq!(limits.memory_bytes_max, Some(7_000_000));
    assert_eq!((limits.batch_max, limits.envs_total_max, limits.frame_bytes_max), (64, 100, 2_000_000));
    assert_eq!((limits.wait_max, limits.lease), (Duration::ZERO, Duration::from_secs(60)));
    assert_eq!(limits.sessions_max, Limits::default().sessions_max);
}

#[test]
fn each_limit_of_the_library_is_a_flag() {
    let flags = [
        ("--max-envs-per-engine", "11"),
        ("--max-shared-mb", "5"),
        ("--idle-ms", "70"),
        ("--handshake-ms", "900"),
        ("--max-batch", "13"),
        ("--max-wait-us", "17"),
        ("--max-sessions", "19"),
        ("--max-envs-per-session", "23"),
        ("--max-envs", "29"),
        ("--max-memory-mb", "31"),
        ("--max-message-mb", "37"),
        ("--lease-s", "41"),
        ("--drain-s", "43"),
    ];
    let flags: Vec<&str> = flags.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let expected = Limits {
        sessions_max: 19,
        envs_per_session_max: 23,
        envs_total_max: 29,
        envs_per_pool_max: 11,
        in_flight_max: Limits::default().in_flight_max,
        frame_bytes_max: 37_000_000,
        lease: Duration::from_secs(41),
        wait_max: Duration::from_micros(17),
        batch_max: 13,
        idle_after: Duration::from_millis(70),
        memory_bytes_max: Some(31_000_000),
        shared_bytes_max: 5_000_000,
        drain: Duration::from_secs(43),
        handshake: Duration::from_millis(900),
    };
    assert_eq!(config(&flags, None).unwrap().limits(), expected);
}

#[test]
fn what_is_printed_can_be_read_and_is_the_same() {
    let flags = ["--max-sessions", "7", "--metrics", "127.0.0.1:9447", "--log", "warn", "--memory-mb", "900"];
    let printed = config(&flags, None).unwrap();
    let text = toml::to_string(&printed).unwrap();
    assert_eq!(config(&[], Some(&text)).unwrap(), printed, "{text}");
    assert!(text.contains("max_sessions = 7\n") && text.contains("max_wait_us = 2000\n"), "{text}");
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_what_would_be_right() {
    let cases: [(&[&str], &str, &[&str]); 9] = [
        (&[], "max_batch = 64\nmax_session = 3\n", &["serve.toml", "line 2", "max_session", "max_sessions"]),
        (&[], "\n\nmax_envs = 0\n", &["serve.toml", "line 3", "nonzero"]),
        (&[], "max_wait_us = \"fast\"\n", &["line 1", "fast", "u64"]),
        (&[], "log = \"loud\"\n", &["line 1", "loud", "debug"]),
        (&[], "lease_s = 0\n", &["lease_s", "1 to 315360000"]),
        (&["--max-wait-us", "99000000"], "", &["max_wait_us", "0 to 10000000"]),
        (&["--handshake-ms", "0"], "", &["handshake_ms", "1 to 60000"]),
        (&[], "idle_ms = 3600001\n", &["idle_ms", "0 to 3600000"]),
        (&["--metrics-unprotected"], "", &["metrics_unprotected", "--metrics 0.0.0.0:9447"]),
    ];
    for (flags, file, parts) in cases {
        let error = format!("{:#}", config(flags, Some(file)).unwrap_err());
        parts.iter().for_each(|part| assert!(error.contains(part), "{part:?} is not in {error:?}"));
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(config(&["--max-sessions", "0"], None).is_err());
}
