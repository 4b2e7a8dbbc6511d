//! An engine that panics ends its own sessions and no other.

use super::*;

fn message(reply: &Reply) -> &str {
    if let Reply::Error(refusal) = reply { &refusal.message } else { "" }
}

#[test]
fn a_panic_in_a_step_is_told_to_its_sessions_and_the_others_go_on() {
    let mut bench = Bench::new(Limits::default());
    let mut dreamers = [bench.open(Engine::Dream, 2), bench.open(Engine::Dream, 2)];
    let mut truth = bench.open(Engine::Truth, 2);
    for client in dreamers.iter_mut().chain([&mut truth]) {
        bench.ask(client, &reset(2, 0));
    }
    bench.let_dreams_panic(Panics::AfterSteps(1));
    for round in 0..2 {
        dreamers.iter_mut().for_each(|client| bench.send(client, &step(&[0.0, 0.0])));
        let replies = bench.replies(Duration::ZERO);
        assert_eq!(replies.len(), 2);
        for (_, _, reply) in replies {
            let failed = round == 1;
            assert_eq!(code(&reply), failed.then_some(ErrorCode::Engine), "{reply:?}");
            assert_eq!(message(&reply).contains("the driver has gone"), failed, "{reply:?}");
        }
    }
    assert!(matches!(bench.ask(&mut truth, &step(&[0.0, 0.0])), Reply::Rows(_)));
    assert_eq!(bench.figure(&mut truth, "pools"), 1.0);
    assert_eq!(bench.figure(&mut truth, "engines_failed"), 1.0);
    assert_eq!(code(&bench.ask(&mut dreamers[0], &reset(2, 0))), Some(ErrorCode::SessionLost));
    assert_eq!(bench.ask(&mut dreamers[0], &Request::Close), Reply::Close);
    // A session made again is well.
    bench.let_dreams_panic(Panics::Never);
    let mut again = bench.open(Engine::Dream, 2);
    assert!(matches!(bench.ask(&mut again, &reset(2, 0)), Reply::Rows(_)));
    assert!(matches!(bench.ask(&mut again, &step(&[0.0, 0.0])), Reply::Rows(_)));
}

#[test]
fn a_panic_in_one_sessions_reset_answers_the_steps_that_wait() {
    let mut bench = Bench::new(Limits::default());
    let (mut waiting, mut resetting) = (bench.open(Engine::Dream, 2), bench.open(Engine::Dream, 2));
    bench.ask(&mut waiting, &reset(2, 0));
    bench.send(&mut waiting, &step(&[0.0, 0.0]));
    bench.send(&mut waiting, &Request::Close);
    bench.let_dreams_panic(Panics::InReset);
    bench.send(&mut resetting, &reset(2, 0));
    let replies = bench.replies(Duration::ZERO);
    let of = |client: &Client, seq: u64| {
        let reply = replies
            .iter()
            .find(|(_, header, _)| (header.session, header.seq) == (client.header.session, seq));
        reply.map(|(_, _, reply)| reply.clone()).unwrap()
    };
    assert_eq!(replies.len(), 3);
    assert_eq!(code(&of(&resetting, 1)), Some(ErrorCode::Engine));
    assert_eq!(code(&of(&waiting, 2)), Some(ErrorCode::Engine));
    assert_eq!(of(&waiting, 3), Reply::Close);
}

#[test]
fn an_engine_that_cannot_be_made_or_moved_leaves_its_tenants_alone() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Dream, 2);
    bench.ask(&mut client, &reset(2, 0));
    for panics in [Panics::WhenMade, Panics::InLoad] {
        bench.let_dreams_panic(panics);
        let mut newcomer = Client { route: vec![7], header: Header::request(Op::Make) };
        let reply = bench.ask(&mut newcomer, &Request::Make(make_request(Engine::Dream, 2)));
        assert_eq!(code(&reply), Some(ErrorCode::Engine), "{reply:?}");
        assert!(matches!(bench.ask(&mut client, &step(&[0.0, 0.0])), Reply::Rows(_)));
    }
}
