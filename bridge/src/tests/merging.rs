//! Several clients in one engine: fewer calls, the same results.

use super::*;

fn local(num_envs: usize, seed: u64) -> TruthVectorEnv {
    let mut env = make_truth(TASK, num_envs, AutoresetMode::NextStep).unwrap();
    env.reset_all(Some(seed)).unwrap();
    env
}

fn actions(count: usize, t: usize) -> Vec<f32> {
    (0..count).map(|i| ((t * 7 + i * 3) % 11) as f32 / 5.5 - 1.0).collect()
}

#[test]
fn steps_of_two_clients_are_one_call_and_equal_private_ones() {
    let mut bench = Bench::new(Limits::default());
    let mut clients = [bench.open(Engine::Dream, 3), bench.open(Engine::Dream, 2)];
    let mut locals = [local(3, 10), local(2, 50)];
    bench.ask(&mut clients[0], &reset(3, 10));
    bench.ask(&mut clients[1], &reset(2, 50));
    for t in 0..300 {
        for (client, local) in clients.iter_mut().zip(&mut locals) {
            let actions = actions(local.num_envs(), t);
            bench.send(client, &step(&actions));
            local.step_all(&Buffer::F32(actions)).unwrap();
        }
        let replies = bench.replies(Duration::ZERO);
        assert_eq!(bench.step_calls(), t + 1, "one call for both");
        for (client, local) in clients.iter().zip(&locals) {
            let reply = replies.iter().find(|reply| reply.1.session == client.header.session);
            assert_eq!(reply.unwrap().2, Reply::Rows(rows(local)), "step {t}");
        }
    }
}

#[test]
fn a_newcomer_does_not_disturb_a_rollout_under_way() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Dream, 3);
    let mut local = local(3, 10);
    bench.ask(&mut client, &reset(3, 10));
    for t in 0..60 {
        if t == 20 {
            // More lanes than there are: the engine grows under the first client's feet.
            let mut newcomer = bench.open(Engine::Dream, 40);
            bench.ask(&mut newcomer, &reset(40, 0));
        }
        let actions = actions(3, t);
        local.step_all(&Buffer::F32(actions.clone())).unwrap();
        assert_eq!(bench.ask(&mut client, &step(&actions)), Reply::Rows(rows(&local)), "step {t}");
    }
}

#[test]
fn environments_that_are_not_stepped_keep_their_rows_when_the_engine_grows() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Dream, 3);
    let mut local = local(3, 10);
    bench.ask(&mut client, &reset(3, 10));
    bench.ask(&mut client, &step(&actions(3, 0)));
    local.step_all(&Buffer::F32(actions(3, 0))).unwrap();
    let masks = [[true, false, false], [false, true, false], [false, false, true], [true, true, true]];
    for (t, mask) in masks.into_iter().enumerate() {
        // Grows before the first and the third step.
        let newcomers: Vec<_> = (0..4 * ((t + 1) % 2)).map(|_| bench.open(Engine::Dream, 3)).collect();
        let masked = Request::Step { actions: bytes_from_f32(&actions(3, t)), mask: Some(mask.to_vec()) };
        local.step(&Buffer::F32(actions(3, t)), &mask).unwrap();
        let stepped = rows(&local).select(&mask);
        assert_eq!(bench.ask(&mut client, &masked), Reply::Rows(stepped), "step {t}");
        // A reset shows them all.
        let none = Request::Reset { seeds: vec![None; 3], mask: vec![false; 3], options: BTreeMap::new() };
        assert_eq!(bench.ask(&mut client, &none), Reply::Rows(rows(&local)), "after step {t}");
        assert_eq!(newcomers.is_empty(), t % 2 == 1);
    }
    assert!(bench.figure(&mut client, "pools_grown") >= 2.0);
}

/// Environments of a shared engine are used again; who gets them finds nothing of who had them.
#[test]
fn a_newcomer_finds_nothing_of_who_was_there_before() {
    let mut bench = Bench::new(Limits::default());
    let mut first = bench.open(Engine::Dream, 2);
    let mut stays = bench.open(Engine::Dream, 2);
    for client in [&mut first, &mut stays] {
        bench.ask(client, &reset(2, 9));
        bench.ask(client, &step(&[0.5, 0.5]));
    }
    bench.ask(&mut first, &Request::Close);
    let mut newcomer = bench.open(Engine::Dream, 2);
    assert_eq!(code(&bench.ask(&mut newcomer, &Request::Save)), Some(ErrorCode::NeedsReset));
    bench.send(&mut newcomer, &step(&[0.0, 0.0]));
    bench.send(&mut stays, &step(&[0.0, 0.0]));
    let replies = bench.replies(Duration::ZERO);
    let of =
        |client: &Client| &replies.iter().find(|reply| reply.1.session == client.header.session).unwrap().2;
    assert_eq!(code(of(&newcomer)), Some(ErrorCode::NeedsReset));
    assert!(matches!(of(&stays), Reply::Rows(_)));
    let half =
        Request::Reset { seeds: vec![Some(9), None], mask: vec![true, false], options: BTreeMap::new() };
    let Reply::Rows(rows) = bench.ask(&mut newcomer, &half) else { panic!("not reset") };
    let (own, other) = rows.observations.split_at(rows.observations.len() / 2);
    assert!(own.iter().any(|byte| *byte != 0) && other.iter().all(|byte| *byte == 0), "{rows:?}");
}

#[test]
fn a_load_that_is_refused_leaves_the_rows_as_they_were() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Dream, 2);
    bench.ask(&mut client, &reset(2, 9));
    let stepped = bench.ask(&mut client, &step(&[0.5, 0.5]));
    let Reply::Save(mut states) = bench.ask(&mut client, &Request::Save) else { panic!("not saved") };
    states[1].pop();
    assert_eq!(code(&bench.ask(&mut client, &Request::Load { states })), Some(ErrorCode::BadState));
    let nothing = Request::Reset { seeds: vec![None; 2], mask: vec![false; 2], options: BTreeMap::new() };
    assert_eq!(bench.ask(&mut client, &nothing), stepped);
}

#[test]
fn a_shared_engine_grows_by_doubling() {
    let mut bench = Bench::new(Limits::default());
    let mut clients: Vec<_> = (0..33).map(|_| bench.open(Engine::Dream, 1)).collect();
    assert_eq!(bench.figure(&mut clients[0], "pools"), 1.0);
    // 1, 2, 4, 8, 16, 32, 64 lanes.
    assert_eq!(bench.figure(&mut clients[0], "pools_grown"), 6.0);
}

#[test]
fn a_full_engine_gets_a_neighbour() {
    let mut bench = Bench::new(Limits { envs_per_pool_max: 6, ..Limits::default() });
    let mut clients: Vec<_> = (0..3).map(|_| bench.open(Engine::Dream, 3)).collect();
    assert_eq!(bench.figure(&mut clients[0], "pools"), 2.0);
    for client in &mut clients {
        assert!(matches!(bench.ask(client, &reset(3, 0)), Reply::Rows(_)));
    }
}

/// Growing doubles an engine, but nobody is turned away for room that was only to be spare.
#[test]
fn an_engine_that_cannot_be_doubled_grows_as_far_as_it_must() {
    let mut bench =
        Bench::of(TruthFactory { dream_max: Some(5), ..TruthFactory::default() }, Limits::default());
    let mut clients: Vec<_> = [3, 1, 1].map(|count| bench.open(Engine::Dream, count)).into();
    assert_eq!(bench.figure(&mut clients[0], "pools"), 1.0);
    let refusal = bench.try_open(make_request(Engine::Dream, 1)).err().unwrap();
    assert_eq!((refusal.code, refusal.message.as_str()), (ErrorCode::Limit, "5 fit"));
    for (client, count) in clients.iter_mut().zip([3, 1, 1]) {
        assert!(matches!(bench.ask(client, &reset(count, 0)), Reply::Rows(_)));
    }
}

/// Of all sessions together, whatever their engines; while an engine moves into a larger one there are both.
#[test]
fn memory_of_the_whole_server_is_bounded_and_given_back() {
    let limits = Limits { memory_bytes_max: Some(60), ..Limits::default() };
    let mut bench = Bench::of(TruthFactory { env_bytes: 10, ..TruthFactory::default() }, limits);
    let mut first = bench.open(Engine::Dream, 2);
    assert_eq!(bench.figure(&mut first, "memory_bytes"), 20.0);
    // It moves into an engine of four, which is there beside the one of two for a while.
    let mut second = bench.open(Engine::Dream, 1);
    assert_eq!(bench.figure(&mut first, "memory_bytes"), 40.0);
    for request in [make_request(Engine::Dream, 3), make_request(Engine::Truth, 3)] {
        let refusal = bench.try_open(request).err().unwrap();
        assert_eq!(refusal.code, ErrorCode::Limit);
        assert!(refusal.message.contains("memory_bytes_max"), "{refusal}");
    }
    assert_eq!(bench.figure(&mut first, "memory_bytes"), 40.0);
    // Who was there is none of the worse for it.
    for (client, count) in [(&mut first, 2), (&mut second, 1)] {
        assert!(matches!(bench.ask(client, &reset(count, 0)), Reply::Rows(_)));
    }
    for client in [&mut first, &mut second] {
        assert!(matches!(bench.ask(client, &Request::Close), Reply::Close));
    }
    let mut third = bench.open(Engine::Truth, 6);
    assert_eq!(bench.figure(&mut third, "memory_bytes"), 60.0);
}

/// Only steps that were taken count: the second client's environments are lanes 3 to 5, of which one is stepped again.
#[test]
fn what_audits_find_is_published() {
    let mut bench =
        Bench::of(TruthFactory { dream_audited: true, ..TruthFactory::default() }, Limits::default());
    let mut clients: Vec<_> = [3, 3].map(|count| bench.open(Engine::Dream, count)).into();
    clients.iter_mut().for_each(|client| drop(bench.ask(client, &reset(3, 0))));
    assert_eq!(bench.figure(&mut clients[0], "audit/psnr_db_count"), 0.0);
    clients.iter_mut().for_each(|client| drop(bench.ask(client, &step(&[0.0; 3]))));
    let again = Request::Step { actions: bytes_from_f32(&[0.0; 3]), mask: Some(vec![false, true, false]) };
    bench.ask(&mut clients[1], &again);
    assert_eq!(bench.figure(&mut clients[0], "audit/psnr_db_count"), 4.0);
    assert_eq!(bench.figure(&mut clients[0], "audit/psnr_db"), (30.0 + 32.0 + 34.0 + 34.0) / 4.0);
}

#[test]
fn no_temperature_is_one_of_zero() {
    let mut bench = Bench::new(Limits::default());
    let at = |temperature| MakeRequest { temperature, ..make_request(Engine::Dream, 2) };
    let mut clients: Vec<_> = [None, Some(0.0), Some(0.5)].map(|t| bench.try_open(at(t)).unwrap()).into();
    assert_eq!(bench.figure(&mut clients[0], "pools"), 2.0);
}

#[test]
fn a_client_that_cannot_be_stepped_fails_alone() {
    let mut bench = Bench::new(Limits::default());
    let mut ready = bench.open(Engine::Dream, 2);
    let mut unready = bench.open(Engine::Dream, 2);
    bench.ask(&mut ready, &reset(2, 0));
    bench.send(&mut ready, &step(&[0.0, 0.0]));
    bench.send(&mut unready, &step(&[0.0, 0.0]));
    for (_, header, reply) in bench.replies(Duration::ZERO) {
        if header.session == ready.header.session {
            assert!(matches!(reply, Reply::Rows(_)), "{reply:?}");
        } else {
            assert_eq!(code(&reply), Some(ErrorCode::NeedsReset));
            assert!(matches!(reply, Reply::Error(refusal) if refusal.message.starts_with("environment 0 ")));
        }
    }
}

#[test]
fn unseeded_resets_do_not_depend_on_lanes() {
    let mut bench = Bench::new(Limits::default());
    let mut clients = [bench.open(Engine::Dream, 2), bench.open(Engine::Dream, 2)];
    let unseeded = Request::Reset { seeds: vec![None; 2], mask: vec![true; 2], options: BTreeMap::new() };
    let first = bench.ask(&mut clients[0], &unseeded);
    assert_eq!(bench.ask(&mut clients[1], &unseeded), first);
    assert_ne!(bench.ask(&mut clients[1], &unseeded), first, "the random stream goes on");
}

#[test]
fn a_loaded_state_continues_as_before_and_a_bad_one_changes_nothing() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 2);
    bench.ask(&mut client, &reset(2, 3));
    let Reply::Save(states) = bench.ask(&mut client, &Request::Save) else { panic!("no states") };
    let first = bench.ask(&mut client, &step(&[0.4, -0.4]));
    let spoilt = Request::Load { states: vec![states[0].clone(), vec![1, 2, 3]] };
    assert_eq!(code(&bench.ask(&mut client, &spoilt)), Some(ErrorCode::BadState));
    let second = bench.ask(&mut client, &step(&[0.4, -0.4]));
    assert_ne!(first, second);
    bench.ask(&mut client, &Request::Load { states });
    assert_eq!(bench.ask(&mut client, &step(&[0.4, -0.4])), first);
    assert_eq!(bench.ask(&mut client, &step(&[0.4, -0.4])), second);
}

#[test]
fn masked_steps_leave_the_other_environments_alone() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 2);
    let mut local = local(2, 3);
    bench.ask(&mut client, &reset(2, 3));
    let masked = Request::Step { actions: bytes_from_f32(&[0.4, -0.4]), mask: Some(vec![false, true]) };
    local.step(&Buffer::F32(vec![0.4, -0.4]), &[false, true]).unwrap();
    let stepped = rows(&local).select(&[false, true]);
    assert_eq!(stepped.rewards.len(), 1);
    assert_eq!(bench.ask(&mut client, &masked), Reply::Rows(stepped));
}
