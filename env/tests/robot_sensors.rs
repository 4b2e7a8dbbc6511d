//! Sensors of robots from files: what they tell, how late and how exactly, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use worldstep_env::check::check_env;
use worldstep_env::robot::{RobotModel, RobotSensor, RobotTask, SensorKind};
use worldstep_env::{AutoresetMode, Buffer, EnvError, TruthVectorEnv, VectorEnv as _, make_truth, registry};

/// A box on a slider along x, with a mast on it, between two walls of its own.
const CART: &str = r#"<mujoco><worldbody>
  <geom name="floor" type="plane" size="5 5 0.1"/>
  <geom name="wall" type="box" pos="2.1 0 1" size="0.1 5 1"/>
  <body name="cart" pos="0 0 0.5">
    <joint name="slide" type="slide" axis="1 0 0" damping="1"/>
    <geom type="box" size="0.2 0.2 0.1" mass="1"/>
    <body name="mast" pos="0 0 0.2">
      <joint name="nod" axis="0 1 0" damping="1" range="-30 30" limited="true"/>
      <geom type="box" size="0.02 0.02 0.1" mass="0.1"/>
    </body>
  </body></worldbody>
  <actuator><motor joint="slide" ctrlrange="-2 2" ctrllimited="true"/></actuator></mujoco>"#;
/// Positions and speeds of both joints.
const STATE: usize = 4;

fn with(sensors: Vec<RobotSensor>) -> Result<&'static registry::TaskEntry, EnvError> {
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    let model = RobotModel::from_text(CART, Path::new(".")).unwrap();
    let id = format!("robot/cart-{}", NAMES.fetch_add(1, Ordering::Relaxed));
    registry::register(RobotTask { sensors, ..RobotTask::default() }.entry(&id, model)?)
}

fn env(sensors: Vec<RobotSensor>) -> TruthVectorEnv {
    let mut env = make_truth(with(sensors).unwrap().id, 1, AutoresetMode::NextStep).unwrap();
    env.reset_all(Some(1)).unwrap();
    env
}

/// What the sensors tell at the start and after each of some steps of full force.
fn told(env: &mut TruthVectorEnv, steps: usize) -> Vec<Vec<f32>> {
    let see = |env: &TruthVectorEnv| env.batch().observations.as_f32().unwrap()[STATE..].to_vec();
    let mut seen = vec![see(env)];
    for _ in 0..steps {
        env.step_all(&Buffer::F32(vec![2.0])).unwrap();
        seen.push(see(env));
    }
    seen
}

fn range() -> RobotSensor {
    RobotSensor { rays: 3, view: 2.0, range_max: 3.0, ..SensorKind::Range.into() }
}

#[test]
fn each_keeps_every_promise() {
    let imu =
        RobotSensor { link: Some("mast".to_owned()), noise: 0.01, latency: 2, ..SensorKind::Imu.into() };
    let contacts = RobotSensor { noise: 0.5, ..SensorKind::Contacts.into() };
    let entry = with(vec![imu, RobotSensor { latency: 1, ..range() }, contacts]).unwrap();
    check_env(&mut |lanes, mode| Ok(Box::new(make_truth(entry.id, lanes, mode)?))).unwrap();
}

#[test]
fn a_range_scan_sees_the_wall_come_and_not_the_robot() {
    let mut env = env(vec![RobotSensor { origin: Some([0.0, 0.0, 0.0]), ..range() }]);
    let seen = told(&mut env, 25);
    let place = env.batch().observations.as_f32().unwrap()[0];
    assert!(place > 0.1, "it has moved: {place}");
    assert!((seen[0][1] - 2.0).abs() < 1e-3, "straight ahead at first: {:?}", seen[0]);
    assert!((seen[25][1] - (2.0 - place)).abs() < 1e-3, "{:?} at {place}", seen[25]);
    assert_eq!([seen[0][0], seen[0][2]], [3.0; 2], "2 m / cos 1 is out of range");
}

#[test]
fn late_readings_are_those_of_before_and_noise_has_its_deviation() {
    let exact = told(&mut env(vec![range()]), 40);
    let late = told(&mut env(vec![RobotSensor { latency: 3, ..range() }]), 40);
    assert_eq!(late[..4], vec![exact[0].clone(); 4][..], "the first is told until the second is due");
    assert_eq!(late[3..], exact[..38]);
    let noisy = told(&mut env(vec![RobotSensor { noise: 0.05, ..range() }]), 40);
    let off: Vec<f32> = noisy.iter().zip(&exact).map(|(noisy, exact)| noisy[1] - exact[1]).collect();
    let std = (off.iter().map(|x| x * x).sum::<f32>() / off.len() as f32).sqrt();
    assert!((0.03..0.07).contains(&std), "{std}");
    assert!(noisy.iter().all(|reading| reading[0] <= 3.0), "within their space");
    // Other seeds, other noise; the same, the same.
    let mut again = env(vec![RobotSensor { noise: 0.05, ..range() }]);
    assert_eq!(told(&mut again, 40), noisy);
    again.reset_all(Some(2)).unwrap();
    assert_ne!(told(&mut again, 40), noisy);
}

#[test]
fn a_saved_state_has_the_readings_that_are_under_way() {
    let mut env = env(vec![RobotSensor { latency: 3, noise: 0.01, ..range() }]);
    told(&mut env, 5);
    let state = env.save_lane(0).unwrap();
    let expected = told(&mut env, 10);
    env.load_lane(0, &state).unwrap();
    assert_eq!(told(&mut env, 10), expected);
    // Of the same numbers, but from another sensor: this one keeps what it is.
    for other in [
        RobotSensor { latency: 3, noise: 0.02, ..range() },
        RobotSensor { latency: 3, noise: 0.01, view: 1.0, ..range() },
        RobotSensor { latency: 3, noise: 0.01, link: Some("mast".to_owned()), ..range() },
    ] {
        let entry = with(vec![other]).unwrap();
        let mut stranger = make_truth(entry.id, 1, AutoresetMode::NextStep).unwrap();
        stranger.reset_all(Some(1)).unwrap();
        assert!(matches!(stranger.load_lane(0, &state), Err(EnvError::State { .. })));
    }
}

#[test]
fn contacts_of_one_link_are_one_number_and_an_imu_feels_gravity_where_it_sits() {
    let sensors = vec![
        RobotSensor { link: Some("cart".to_owned()), ..SensorKind::Contacts.into() },
        RobotSensor { link: Some("mast".to_owned()), ..SensorKind::Imu.into() },
    ];
    let mut env = env(sensors);
    assert_eq!(env.batch().observations.len(), STATE + 1 + 6);
    (0..100).for_each(|_| env.step_all(&Buffer::F32(vec![0.0])).unwrap());
    let seen = env.batch().observations.as_f32().unwrap();
    let felt = seen[STATE + 4..STATE + 7].iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((felt - 9.81).abs() < 0.1, "{seen:?}");
}

#[test]
fn sensors_are_written_as_a_kind_or_a_table() {
    let read = |text: &str| toml::from_str::<RobotTask>(text).map(|task| task.sensors);
    let written = r#"sensors = ["imu", { kind = "range", rays = 8, noise = 0.1, link = "head" }]"#;
    let head = Some("head".to_owned());
    let range = RobotSensor { rays: 8, noise: 0.1, link: head, ..SensorKind::Range.into() };
    assert_eq!(read(written).unwrap(), [SensorKind::Imu.into(), range]);
    for (text, says) in [
        (r#"sensors = ["sonar"]"#, "expected one of `imu`, `contacts`, `range`"),
        (r#"sensors = [{ kind = "imu", rate = 3 }]"#, "unknown field `rate`"),
        (r#"sensors = [{ noise = 3.0 }]"#, "missing field `kind`"),
        ("sensors = [3]", "or a table with that as its kind"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let refused = |sensor: RobotSensor| with(vec![sensor]).err().unwrap().to_string();
    let on = |link: &str| Some(link.to_owned());
    let head = RobotSensor { link: on("head"), ..SensorKind::Imu.into() };
    assert!(refused(head).contains("no link \"head\" for a sensor, expected one of"));
    for (sensor, says) in [
        (RobotSensor { noise: f32::NAN, ..range() }, "noise of a sensor is NaN, expected 0 to 1000"),
        (RobotSensor { latency: 65, ..range() }, "latency of a sensor is 65, expected 0 to 64 steps"),
        (RobotSensor { rays: 0, ..range() }, "rays of a sensor are 0, expected 1 to 1024"),
        (RobotSensor { view: 7.0, ..range() }, "view of a sensor is 7"),
        (RobotSensor { range_max: 0.0, ..range() }, "range_max of a sensor is 0"),
    ] {
        let error = refused(sensor);
        assert!(error.contains(says), "{error}");
    }
}
