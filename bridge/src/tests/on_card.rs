//! Observations and actions on a card, which the stand-in takes the place of.

use worldstep_model::on_card::SlotHandles;

use super::counting::{ACTION_MAX, CountingFactory, EPISODE_STEPS, TASK, WIDE};
use super::*;
use crate::on_card::{StandIn, StandInView};
use crate::shared_memory::host_id;

const ENVS: usize = 2;

fn bench(limits: Limits) -> Bench {
    let mut token = 100;
    let tokens = Box::new(move || {
        token += 1;
        Ok(token)
    });
    let service = Service::new(Box::new(CountingFactory), limits, EPOCH, tokens);
    Bench { service, step_calls: Arc::default(), dream_panics: Arc::default(), now: Duration::ZERO }
}

fn request(mode: Autoreset) -> MakeRequest {
    MakeRequest {
        id: TASK.to_owned(),
        obs: Observation::Rgb,
        autoreset_mode: mode,
        shared_memory_host: host_id(),
        card: Some(StandIn::NAME.to_owned()),
        ..make_request(Engine::Dream, ENVS)
    }
}

/// A session and what it was told.
fn open(bench: &mut Bench, request: MakeRequest) -> (Client, MakeReply) {
    let route = vec![9, bench.service.sessions() as u8];
    let mut client = Client { route, header: Header::request(Op::Make) };
    bench.send(&mut client, &Request::Make(request));
    let (_, header, reply) = bench.replies(MS).remove(0);
    let Reply::Make(made) = reply else { panic!("{reply:?}") };
    client.header = Header { seq: 0, shared: true, ..header };
    (client, made)
}

/// A session with its slots.
fn open_on_card(bench: &mut Bench, mode: Autoreset) -> (Client, StandInView, SlotHandles) {
    let (client, made) = open(bench, request(mode));
    let handles = made.card.unwrap();
    assert_eq!((&made.shared_memory, &made.card_refused), (&None, &None), "one place is enough");
    (client, StandInView::open(&handles).unwrap(), handles)
}

/// The first four numbers of each row: steps of the episode, steps in all, the last action, the seed.
fn seen(view: &StandInView, reply: &Reply, rows: usize) -> Vec<[f32; 4]> {
    let Reply::Rows(told) = reply else { panic!("{reply:?}") };
    assert!(told.shared && told.rewards.len() == rows, "{told:?}");
    let bytes = view.slot(&told.observations, rows * 4 * WIDE).unwrap();
    let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    numbers.chunks_exact(WIDE).map(|row| [row[0], row[1], row[2], row[3]]).collect()
}

fn step_on_card(mask: Option<Vec<bool>>) -> Request {
    Request::Step { actions: Vec::new(), mask }
}

#[test]
fn actions_go_and_observations_come_by_the_card() {
    let mut bench = bench(Limits::default());
    let (mut client, view, _) = open_on_card(&mut bench, Autoreset::NextStep);
    let reply = bench.ask(&mut client, &reset(ENVS, 5));
    assert_eq!(seen(&view, &reply, ENVS), [[0.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 6.0]]);
    for t in 1..EPISODE_STEPS {
        let t = t as f32;
        view.put_actions(client.header.seq + 1, &bytes_from_f32(&[t, -t]));
        let reply = bench.ask(&mut client, &step_on_card(None));
        assert_eq!(seen(&view, &reply, ENVS), [[t, t, t, 5.0], [t, t, -t, 6.0]]);
    }
    // In a message, they count as well.
    let reply = bench.ask(&mut client, &step(&[7.0, 8.0]));
    assert_eq!(seen(&view, &reply, ENVS)[1][2], 8.0);
}

#[test]
fn two_steps_under_way_have_a_slot_each() {
    let mut bench = bench(Limits::default());
    let (mut client, view, _) = open_on_card(&mut bench, Autoreset::NextStep);
    bench.ask(&mut client, &reset(ENVS, 5));
    let masks = [vec![true, false], vec![false, true]];
    for (mask, action) in masks.iter().zip([3.0, 4.0]) {
        view.put_actions(client.header.seq + 1, &bytes_from_f32(&[action; ENVS]));
        client.header.after = action > 3.0;
        bench.send(&mut client, &step_on_card(Some(mask.clone())));
    }
    let replies = bench.replies(Limits::default().wait_max);
    assert_eq!(seen(&view, &replies[0].2, 1), [[1.0, 1.0, 3.0, 5.0]]);
    let mut second = replies.into_iter().skip(1).chain(bench.replies(Limits::default().wait_max));
    assert_eq!(seen(&view, &second.next().unwrap().2, 1), [[1.0, 1.0, 4.0, 6.0]]);
}

#[test]
fn a_slot_stays_until_the_third_reply_after_its_own() {
    let mut bench = bench(Limits::default());
    let (mut client, view, handles) = open_on_card(&mut bench, Autoreset::NextStep);
    assert_eq!(handles.slots as usize, Limits::default().in_flight_max + 1);
    let first = bench.ask(&mut client, &reset(ENVS, 5));
    let before = seen(&view, &first, ENVS);
    for _ in 0..2 {
        bench.ask(&mut client, &step(&[1.0; ENVS]));
        // What has no rows takes no slot.
        bench.ask(&mut client, &Request::Save);
        assert_eq!(seen(&view, &first, ENVS), before);
    }
    bench.ask(&mut client, &step(&[1.0; ENVS]));
    assert_ne!(seen(&view, &first, ENVS), before);
}

#[test]
fn actions_on_the_card_are_checked_like_others_and_cost_nobody_else_a_step() {
    let mut bench = bench(Limits::default());
    let (mut client, view, _) = open_on_card(&mut bench, Autoreset::NextStep);
    let (mut other, other_view, _) = open_on_card(&mut bench, Autoreset::NextStep);
    bench.ask(&mut client, &reset(ENVS, 5));
    bench.ask(&mut other, &reset(ENVS, 5));
    view.put_actions(client.header.seq + 1, &bytes_from_f32(&[0.0, ACTION_MAX + 1.0]));
    other_view.put_actions(other.header.seq + 1, &bytes_from_f32(&[1.0, 1.0]));
    bench.send(&mut client, &step_on_card(None));
    bench.send(&mut other, &step_on_card(None));
    let replies = bench.replies(Duration::ZERO);
    let of =
        |client: &Client| &replies.iter().find(|reply| reply.1.session == client.header.session).unwrap().2;
    assert_eq!(code(of(&client)), Some(ErrorCode::BadAction));
    assert_eq!(seen(&other_view, of(&other), ENVS)[0][0], 1.0);
    view.put_actions(client.header.seq + 1, &bytes_from_f32(&[0.0, 0.0]));
    let reply = bench.ask(&mut client, &step_on_card(None));
    assert_eq!(seen(&view, &reply, ENVS)[0][0], 1.0, "nothing was stepped before");
    // What lies in rows of environments that are not stepped is not looked at.
    view.put_actions(client.header.seq + 1, &bytes_from_f32(&[2.0, ACTION_MAX + 1.0]));
    let reply = bench.ask(&mut client, &step_on_card(Some(vec![true, false])));
    assert_eq!(seen(&view, &reply, 1)[0][0], 2.0);
}

#[test]
fn a_session_without_a_card_has_no_actions_there() {
    let mut bench = bench(Limits::default());
    let (mut client, made) = open(&mut bench, MakeRequest { card: None, ..request(Autoreset::NextStep) });
    assert_eq!((made.card, made.card_refused), (None, None));
    bench.ask(&mut client, &reset(ENVS, 5));
    assert_eq!(code(&bench.ask(&mut client, &step_on_card(None))), Some(ErrorCode::BadAction));
}

#[test]
fn who_gets_no_card_is_told_why_and_has_shared_memory() {
    let elsewhere =
        MakeRequest { shared_memory_host: Some("elsewhere".to_owned()), ..request(Autoreset::NextStep) };
    let unknown = MakeRequest { card: Some("cuda:00".to_owned()), ..request(Autoreset::NextStep) };
    let large = Limits { shared_bytes_max: 3 * ENVS * 4 * WIDE - 1, ..Limits::default() };
    for (request, limits, shares, why) in [
        (elsewhere, Limits::default(), false, "share no machine"),
        (unknown, Limits::default(), true, "no engine on that card"),
        (request(Autoreset::NextStep), large, false, "shared_bytes_max"),
    ] {
        let mut bench = bench(limits);
        let (mut client, made) = open(&mut bench, request);
        let told = made.card_refused.unwrap();
        assert!(told.contains(why), "{told}");
        assert_eq!((made.card, made.shared_memory.is_some()), (None, shares), "{why}");
        let Reply::Rows(rows) = bench.ask(&mut client, &reset(ENVS, 5)) else { panic!("{why}") };
        assert_eq!(rows.shared, shares, "{why}");
    }
}

#[test]
fn what_was_refused_shares_an_engine_with_who_never_asked() {
    let mut bench = bench(Limits::default());
    let refused = MakeRequest { card: Some("cuda:00".to_owned()), ..request(Autoreset::NextStep) };
    open(&mut bench, refused);
    open(&mut bench, MakeRequest { card: None, ..request(Autoreset::NextStep) });
    assert_eq!(bench.service.snapshot().figures()["pools"], 1.0);
    open_on_card(&mut bench, Autoreset::NextStep);
    assert_eq!(bench.service.snapshot().figures()["pools"], 2.0);
}

#[test]
fn last_observations_come_by_the_socket() {
    let mut bench = bench(Limits::default());
    let (mut client, view, _) = open_on_card(&mut bench, Autoreset::SameStep);
    bench.ask(&mut client, &reset(ENVS, 5));
    for t in 1..=EPISODE_STEPS {
        let reply = bench.ask(&mut client, &step(&[1.0; ENVS]));
        let Reply::Rows(rows) = &reply else { panic!("{reply:?}") };
        assert_eq!(rows.finals.is_some(), t == EPISODE_STEPS);
        if let Some(finals) = &rows.finals {
            assert_eq!(finals.observations.len(), ENVS * 4 * WIDE);
            assert_eq!(finals.observations[..4], (EPISODE_STEPS as f32).to_le_bytes());
            assert_eq!(seen(&view, &reply, ENVS)[0][0], 0.0, "the next episode's first ones are on the card");
        }
    }
}

#[test]
fn slots_stay_where_they_are_when_the_engine_grows() {
    let mut bench = bench(Limits::default());
    let (mut client, view, _) = open_on_card(&mut bench, Autoreset::NextStep);
    bench.ask(&mut client, &reset(ENVS, 5));
    bench.ask(&mut client, &step(&[1.0; ENVS]));
    let (mut newcomer, newcomers, _) = open_on_card(&mut bench, Autoreset::NextStep);
    bench.ask(&mut newcomer, &reset(ENVS, 50));
    // One of them has rows from before the move.
    let one = Request::Reset { seeds: vec![None; ENVS], mask: vec![false, true], options: BTreeMap::new() };
    let reply = bench.ask(&mut client, &one);
    assert_eq!(seen(&view, &reply, ENVS)[0], [1.0, 1.0, 1.0, 5.0]);
    assert_eq!(seen(&view, &reply, ENVS)[1][0], 0.0);
    let reply = bench.ask(&mut newcomer, &step(&[2.0; ENVS]));
    assert_eq!(seen(&newcomers, &reply, ENVS)[1], [1.0, 1.0, 2.0, 51.0]);
}

#[test]
fn handles_are_stale_when_the_session_is_closed_and_never_anothers() {
    let mut bench = bench(Limits::default());
    let (mut client, _view, handles) = open_on_card(&mut bench, Autoreset::NextStep);
    let (_other, other_made) = open(&mut bench, request(Autoreset::NextStep));
    let others = SlotHandles { key: handles.key, ..other_made.card.unwrap() };
    assert!(StandInView::open(&others).is_err(), "another session's");
    let beyond = SlotHandles { action_slots: u32::MAX, ..handles.clone() };
    assert!(StandInView::open(&beyond).is_err(), "more than there is");
    bench.ask(&mut client, &Request::Close);
    assert!(StandInView::open(&handles).is_err(), "closed");
}
