//! Leases, repeats and limits.

use super::*;

#[test]
fn a_repeated_request_gets_the_same_reply_and_steps_nothing() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 2);
    bench.ask(&mut client, &reset(2, 0));
    let first = bench.ask(&mut client, &step(&[0.1, 0.2]));
    bench.resend(&client, &step(&[0.1, 0.2]));
    assert_eq!(bench.replies(MS)[0].2, first);
    assert_eq!(bench.step_calls(), 1);
}

/// Two are under way and the first is lost: the second waits, and both are served in their order when they come again.
#[test]
fn a_request_is_not_served_before_the_one_that_it_follows() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 1);
    let mut local = make_truth(TASK, 1, AutoresetMode::NextStep).unwrap();
    local.reset_all(Some(0)).unwrap();
    bench.ask(&mut client, &reset(1, 0));
    let mut first = client.clone();
    first.header.seq += 1;
    let mut second = Client { header: Header { after: true, ..first.header }, ..client.clone() };
    let Reply::Error(refusal) = bench.ask(&mut second, &step(&[0.7])) else { panic!("served too early") };
    assert!(refusal.code == ErrorCode::Busy && refusal.retry_after_ms > 0, "{refusal:?}");
    bench.resend(&first, &step(&[-0.7]));
    bench.resend(&second, &step(&[0.7]));
    for action in [-0.7, 0.7] {
        local.step_all(&Buffer::F32(vec![action])).unwrap();
        let (_, _, reply) = bench.replies(Duration::ZERO).remove(0);
        assert_eq!(reply, Reply::Rows(rows(&local)));
        if action < 0.0 {
            // The second one's answer came in the same turn.
            bench.resend(&second, &step(&[0.7]));
        }
    }
}

#[test]
fn who_leaves_may_do_so_with_requests_under_way() {
    let mut bench = Bench::new(Limits::default());
    let mut clients = [bench.open(Engine::Dream, 1), bench.open(Engine::Dream, 1)];
    clients.iter_mut().for_each(|client| drop(bench.ask(client, &reset(1, 0))));
    bench.send(&mut clients[0], &step(&[0.0]));
    bench.send(&mut clients[0], &step(&[0.0]));
    (0..50).for_each(|_| bench.send(&mut clients[0], &Request::Close));
    let replies = bench.replies(20 * MS);
    let busy = replies.iter().filter(|reply| code(&reply.2) == Some(ErrorCode::Busy)).count();
    assert_eq!((busy, replies.len()), (49, 52), "one is enough");
    assert_eq!(replies[51].2, Reply::Close);
    assert_eq!(bench.figure(&mut clients[1], "sessions"), 1.0);
}

/// A header is enough to ask for a reply again; a large one comes as fast as a slow network carries it, and no faster.
#[test]
fn large_replies_are_not_repeated_without_end() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 1000);
    bench.ask(&mut client, &reset(1000, 0));
    let Reply::Save(states) = bench.ask(&mut client, &Request::Save) else { panic!("no states") };
    let bytes: usize = states.iter().map(Vec::len).sum();
    assert!(bytes > 2 << 20, "{bytes}");
    (0..50).for_each(|_| bench.resend(&client, &Request::Save));
    assert_eq!(bench.replies(Duration::ZERO).len(), 1, "one of fifty");
    bench.replies(Duration::from_micros(bytes as u64 / 20) + 10 * MS);
    bench.resend(&client, &Request::Save);
    assert_eq!(bench.replies(Duration::ZERO)[0].2, Reply::Save(states));
}

#[test]
fn an_old_number_is_refused() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 2);
    let old = client.clone();
    for seed in 0..4 {
        bench.ask(&mut client, &reset(2, seed));
    }
    let mut old = Client { header: Header { seq: 0, ..old.header }, ..old };
    assert_eq!(code(&bench.ask(&mut old, &reset(2, 0))), Some(ErrorCode::BadMessage));
}

#[test]
fn a_session_lives_as_long_as_messages_come() {
    let mut bench = Bench::new(Limits { lease: 100 * MS, ..Limits::default() });
    let mut client = bench.open(Engine::Truth, 2);
    for _ in 0..3 {
        bench.replies(80 * MS);
        assert!(matches!(bench.ask(&mut client, &reset(2, 0)), Reply::Rows(_)));
    }
    bench.replies(120 * MS);
    assert_eq!(code(&bench.ask(&mut client, &reset(2, 0))), Some(ErrorCode::SessionLost));
}

#[test]
fn a_session_of_an_earlier_run_is_lost() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 2);
    client.header.epoch += 1;
    assert_eq!(code(&bench.ask(&mut client, &reset(2, 0))), Some(ErrorCode::SessionLost));
}

#[test]
fn a_closed_session_is_lost_and_its_engine_gone() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 2);
    assert_eq!(bench.ask(&mut client, &Request::Close), Reply::Close);
    assert_eq!(code(&bench.ask(&mut client, &reset(2, 0))), Some(ErrorCode::SessionLost));
    let Reply::Metrics(figures) = bench.ask(&mut client, &Request::Metrics) else { panic!("no metrics") };
    assert_eq!((figures["sessions"], figures["pools"]), (0.0, 0.0));
}

#[test]
fn all_sessions_together_have_so_many_environments() {
    let mut bench = Bench::new(Limits { envs_total_max: 10, ..Limits::default() });
    let mut first = bench.open(Engine::Truth, 6);
    let mut second = bench.open(Engine::Dream, 3);
    let refusal = bench.try_open(make_request(Engine::Truth, 2)).err().unwrap();
    assert_eq!(refusal.code, ErrorCode::Limit);
    assert!(refusal.message.contains("envs_total_max") && refusal.message.contains("at most 1"), "{refusal}");
    bench.open(Engine::Truth, 1);
    assert_eq!((bench.figure(&mut second, "envs"), bench.figure(&mut second, "envs_max")), (10.0, 10.0));
    bench.ask(&mut first, &Request::Close);
    bench.open(Engine::Dream, 6);
}

#[test]
fn figures_tell_who_holds_what_by_kind_of_pool() {
    let mut bench = Bench::new(Limits::default());
    let mut clients: Vec<_> = (0..3).map(|_| bench.open(Engine::Dream, 2)).collect();
    bench.open(Engine::Truth, 5);
    clients.iter_mut().for_each(|client| drop(bench.ask(client, &reset(2, 0))));
    bench.send(&mut clients[0], &step(&[0.1, 0.2]));
    assert_eq!(bench.replies(Limits::default().wait_max).len(), 1);
    let held = |bench: &mut Bench, client: &mut Client, engine: &str| {
        let name = |what| format!("pool/{TASK}/{engine}/state/{what}");
        ["pools", "sessions", "envs", "lanes", "env_steps"].map(|what| bench.figure(client, &name(what)))
    };
    // The dream's engine has grown by doubling: 2, 4, 8 lanes.
    assert_eq!(held(&mut bench, &mut clients[0], "dream"), [1.0, 3.0, 6.0, 8.0, 2.0]);
    assert_eq!(held(&mut bench, &mut clients[0], "truth"), [1.0, 1.0, 5.0, 5.0, 0.0]);
    let mut last = clients.remove(0);
    clients.iter_mut().for_each(|client| drop(bench.ask(client, &Request::Close)));
    bench.ask(&mut last, &Request::Close);
    // What an engine did is told when it has gone, too.
    assert_eq!(held(&mut bench, &mut last, "dream"), [0.0, 0.0, 0.0, 0.0, 2.0]);
}

#[test]
fn the_sessions_that_have_been_silent_longest_are_told_one_by_one() {
    let mut bench = Bench::new(Limits::default());
    let mut clients: Vec<_> = (1..=40)
        .map(|envs| {
            bench.replies(1000 * MS);
            bench.open(Engine::Dream, envs)
        })
        .collect();
    bench.replies(1000 * MS);
    // The first has something to say again, and asks.
    let Reply::Metrics(figures) = bench.ask(&mut clients[0], &Request::Metrics) else { panic!("no metrics") };
    let of = |what: &str| -> Vec<f64> {
        let told = |(name, value): (&String, &f64)| {
            (name.starts_with("session/") && name.ends_with(&format!("/{TASK}/dream/state/{what}")))
                .then_some(*value)
        };
        let mut values: Vec<_> = figures.iter().filter_map(told).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    assert_eq!(of("envs"), (2..=33).map(f64::from).collect::<Vec<_>>());
    assert_eq!((of("idle_s").len(), of("idle_s")[31].floor()), (32, 39.0));
}

#[test]
fn the_third_request_in_flight_is_told_to_come_back() {
    let mut bench = Bench::new(Limits::default());
    // Two sessions share an engine, so a step of one waits for the other.
    let mut client = bench.open(Engine::Dream, 2);
    let mut other = bench.open(Engine::Dream, 2);
    bench.ask(&mut client, &reset(2, 0));
    bench.ask(&mut other, &reset(2, 0));
    for _ in 0..3 {
        bench.send(&mut client, &step(&[0.0, 0.0]));
    }
    let replies = bench.replies(Duration::ZERO);
    let Reply::Error(refusal) = &replies[0].2 else { panic!("{replies:?}") };
    assert_eq!(refusal.code, ErrorCode::Busy);
    assert!(refusal.retry_after_ms > 0);
    assert_eq!(replies[0].1.seq, client.header.seq);
    // The clock runs on: both admitted steps are answered in their order, and the refused one goes through again.
    let seqs =
        |replies: &[(Vec<u8>, Header, Reply)]| replies.iter().map(|reply| reply.1.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&bench.replies(2 * MS)), [client.header.seq - 2, client.header.seq - 1]);
    bench.resend(&client, &step(&[0.0, 0.0]));
    assert_eq!(seqs(&bench.replies(2 * MS)), [client.header.seq]);
}
