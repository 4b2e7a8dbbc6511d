//! Robots from files: they move as mechanics says, and what a file asks for is done or named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::path::Path;

use worldstep_env::physics::World;
use worldstep_env::robot::{Control, Drive, Robot, RobotModel, RobotTask, SensorKind};
use worldstep_env::{AutoresetMode, Buffer, Camera, TruthSource as _, VectorEnv as _, make_truth, registry};

fn camera() -> Camera {
    Camera::new([0.0, -5.0, 1.0], [0.0, 0.0, 0.5], 0.6)
}

fn world_with(text: &str, fps: u32, substeps: u32) -> (World, Robot) {
    let model = RobotModel::from_text(text, Path::new(".")).unwrap();
    let mut world = World::new(fps, substeps, camera());
    let robot = world.add_robot(&model).unwrap();
    (world, robot)
}

/// A point-like mass of 2 kg at the end of a massless metre.
const PENDULUM: &str = r#"<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <body name="arm" pos="0 0 2">
      <joint name="hinge" type="hinge" axis="0 1 0"/>
      <inertial pos="0 0 -1" mass="2" diaginertia="1e-5 1e-5 1e-5"/>
      <geom type="capsule" fromto="0 0 0 0 0 -1" size="0.02" contype="0" conaffinity="0" mass="0"/>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" gear="3" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>"#;

#[test]
fn a_pendulum_swings_with_the_period_of_theory() {
    let (mut world, robot) = world_with(PENDULUM, 500, 1);
    robot.set_joints(&mut world, &[(0, [0.1, 0.0])]);
    let (mut crossings, mut last) = (Vec::new(), 0.1);
    for step in 0..5_000 {
        robot.control_step(&mut world);
        let [angle, _] = robot.joint_state(&world, 0);
        if last > 0.0 && angle <= 0.0 {
            crossings.push(step as f32 / 500.0);
        }
        last = angle;
    }
    let period = (crossings[crossings.len() - 1] - crossings[0]) / (crossings.len() - 1) as f32;
    // Small swings, to the second order in the amplitude.
    let theory = std::f32::consts::TAU / 9.81_f32.sqrt() * (1.0 + 0.01 / 16.0);
    println!("period {period}, theory {theory}");
    assert!((period / theory - 1.0).abs() < 2e-3, "{period} against {theory}");
}

#[test]
fn a_motor_turns_its_joint_with_torque_over_inertia() {
    let (mut world, mut robot) = world_with(PENDULUM, 500, 1);
    world.set_gravity([0.0; 3]);
    robot.command(&mut world, &[7.0]);
    for _ in 0..50 {
        robot.control_step(&mut world);
    }
    let [_, speed] = robot.joint_state(&world, 0);
    // Clamped to 1, times gear 3, over 2 kg m², for 0.1 s.
    assert!((speed - 0.15).abs() < 1e-3, "{speed}");
}

#[test]
fn a_joint_without_damping_loses_nothing() {
    let (mut world, robot) = world_with(PENDULUM, 200, 1);
    robot.set_joints(&mut world, &[(0, [1.0, 0.0])]);
    let mut highest = 0.0_f32;
    for step in 0..4_000 {
        robot.control_step(&mut world);
        if step > 3_500 {
            highest = highest.max(robot.joint_state(&world, 0)[0]);
        }
    }
    assert!((highest - 1.0).abs() < 0.02, "after 20 s it swings to {highest} rad instead of 1");
}

#[test]
fn a_motor_keeps_to_its_force_range() {
    let text = PENDULUM.replace("ctrlrange=\"-1 1\"", "ctrlrange=\"-10 10\" forcerange=\"-2 2\"");
    let (mut world, mut robot) = world_with(&text, 500, 1);
    world.set_gravity([0.0; 3]);
    robot.command(&mut world, &[7.0]);
    (0..50).for_each(|_| robot.control_step(&mut world));
    let [_, speed] = robot.joint_state(&world, 0);
    // 2 N·m of the 21 that the gear would give, on 2 kg m², for 0.1 s.
    assert!((speed - 0.1).abs() < 1e-3, "{speed}");
}

/// Two equal bars that float, with a motor between them.
const FLOATING: &str = r#"<mujoco>
  <worldbody>
    <body name="left" pos="0 0 1">
      <freejoint/>
      <geom type="box" size="0.3 0.05 0.05" pos="-0.3 0 0" mass="1" contype="0" conaffinity="0"/>
      <body name="right">
        <joint name="elbow" axis="0 1 0"/>
        <geom type="box" size="0.3 0.05 0.05" pos="0.3 0 0" mass="1" contype="0" conaffinity="0"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="elbow"/></actuator>
</mujoco>"#;

#[test]
fn a_motor_between_floating_links_leaves_momentum_as_it_is() {
    let (mut world, mut robot) = world_with(FLOATING, 200, 2);
    world.set_gravity([0.0; 3]);
    for step in 0..200 {
        let torque = if step < 100 { 0.2 } else { -0.1 };
        robot.command(&mut world, &[torque]);
        robot.control_step(&mut world);
    }
    let bodies: Vec<_> = robot.bodies().collect();
    let total: Vec<f32> =
        (0..3).map(|axis| bodies.iter().map(|body| world.body(*body).linvel()[axis]).sum::<f32>()).collect();
    let [angle, speed] = robot.joint_state(&world, 0);
    println!("angle {angle} speed {speed} momentum {total:?}");
    assert!(total.iter().all(|sum| sum.abs() < 2e-3), "{total:?}");
    // About y and the common centre: each bar's own spin, and its centre's way round.
    let spin = 1.0 / 12.0 * (0.6_f32.powi(2) + 0.1_f32.powi(2));
    let centers: Vec<_> = bodies.iter().map(|body| world.body(*body).center_of_mass()).collect();
    let middle = (centers[0] + centers[1]) * 0.5;
    let angular: f32 = bodies
        .iter()
        .zip(&centers)
        .map(|(body, center)| {
            let (body, arm) = (world.body(*body), *center - middle);
            spin * body.angvel().y + arm.cross(body.linvel()).y
        })
        .sum();
    assert!(angular.abs() < 2e-3, "angular momentum {angular} from nowhere");
    assert!(speed.abs() > 0.05 && angle.abs() > 0.3, "the motor moved nothing: {angle} {speed}");
}

#[test]
fn links_have_the_velocities_that_their_joints_were_given() {
    let (mut world, robot) = world_with(PENDULUM, 500, 1);
    robot.set_joints(&mut world, &[(0, [0.5, 2.0])]);
    let body = world.body(robot.link("arm").unwrap());
    assert!((body.angvel().y - 2.0).abs() < 1e-4, "{:?}", body.angvel());
    assert!((body.linvel().length() - 2.0).abs() < 1e-3, "{:?}", body.linvel());
}

const ARM: &str = r#"<robot name="two_links">
  <link name="world"/>
  <link name="upper"><inertial><origin xyz="0 0 0.5"/><mass value="1"/>
    <inertia ixx="0.08" iyy="0.08" izz="0.001" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><origin xyz="0 0 0.5"/><geometry><cylinder radius="0.04" length="0.8"/></geometry></collision></link>
  <link name="finger"><inertial><mass value="0.1"/>
    <inertia ixx="0.001" iyy="0.001" izz="0.001" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <link name="thumb"><inertial><mass value="0.1"/>
    <inertia ixx="0.001" iyy="0.001" izz="0.001" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="shoulder" type="revolute"><parent link="world"/><child link="upper"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" effort="30" velocity="2"/><dynamics damping="0.5" friction="0.1"/></joint>
  <joint name="slide" type="prismatic"><parent link="upper"/><child link="finger"/><origin xyz="0 0 1"/>
    <axis xyz="1 0 0"/><limit lower="0" upper="0.2" effort="10" velocity="1"/></joint>
  <joint name="follow" type="prismatic"><parent link="upper"/><child link="thumb"/><origin xyz="0 0 1"/>
    <axis xyz="-1 0 0"/><limit lower="0" upper="0.2" effort="10" velocity="1"/><mimic joint="slide"/></joint>
  <transmission name="drive"/>
</robot>"#;

#[test]
fn urdf_has_its_limits_damping_and_mimic_joints() {
    let model = RobotModel::from_text(ARM, Path::new(".")).unwrap();
    let shoulder = &model.joints()[0];
    assert_eq!((shoulder.limits, shoulder.effort_max, shoulder.velocity_max), (Some([-1.0, 1.0]), 30.0, 2.0));
    assert_eq!((shoulder.damping, shoulder.friction), (0.5, 0.1));
    assert_eq!(model.actuators().len(), 2, "a joint that follows has no actuator");
    assert!(
        model.warnings().iter().any(|line| line.contains("<transmission> (once)")),
        "{:?}",
        model.warnings()
    );

    let model = model.with_control(Control::Position { stiffness: 400.0, damping: 40.0 });
    let mut world = World::new(100, 4, camera());
    let mut robot = world.add_robot(&model).unwrap();
    robot.command(&mut world, &[3.0, 0.1]);
    for _ in 0..300 {
        robot.control_step(&mut world);
    }
    let at: Vec<f32> = (0..3).map(|joint| robot.joint_state(&world, joint)[0]).collect();
    println!("{at:?}");
    assert!((at[0] - 1.0).abs() < 0.05, "the target is clamped to the limit: {at:?}");
    assert!((at[1] - 0.1).abs() < 0.01 && (at[2] - at[1]).abs() < 2e-3, "{at:?}");
}

#[test]
fn a_joint_is_not_driven_past_its_speed_nor_beyond_its_effort() {
    let text = ARM.replace("lower=\"-1\" upper=\"1\"", "lower=\"-100\" upper=\"100\"");
    let model = RobotModel::from_text(&text, Path::new(".")).unwrap();
    let mut world = World::new(100, 4, camera());
    world.set_gravity([0.0; 3]);
    let mut robot = world.add_robot(&model).unwrap();
    robot.command(&mut world, &[1e6, 0.0]);
    let mut fastest = 0.0_f32;
    for step in 0..200 {
        robot.control_step(&mut world);
        let [_, speed] = robot.joint_state(&world, 0);
        if step == 0 {
            // 30 N·m on about 0.33 kg·m² (and the hand's 0.2) for 0.01 s.
            assert!(speed < 1.0 && speed > 0.2, "{speed}");
        }
        fastest = fastest.max(speed);
    }
    assert!(fastest > 1.8 && fastest < 2.3, "{fastest}");
}

#[test]
fn geoms_touch_by_the_rule_of_either() {
    // The foot's own conaffinity is 0: only the floor's (of task objects, groups 1 and 1) meets its contype.
    let text = r#"<mujoco><worldbody>
      <geom type="plane" size="5 5 0.1" contype="0" conaffinity="1"/>
      <body name="ball" pos="0 0 1"><freejoint/><geom type="sphere" size="0.1" contype="1" conaffinity="0"/></body>
      <body name="ghost" pos="1 0 1"><freejoint/><geom type="sphere" size="0.1" contype="2" conaffinity="0"/></body>
    </worldbody></mujoco>"#;
    let (mut world, robot) = world_with(text, 100, 4);
    (0..200).for_each(|_| robot.control_step(&mut world));
    let height = |name| world.body(robot.link(name).unwrap()).translation().z;
    assert!((height("ball") - 0.1).abs() < 0.01, "{}", height("ball"));
    assert!(height("ghost") < -5.0, "{}", height("ghost"));
}

#[test]
fn the_first_keyframe_is_where_it_starts() {
    let text = PENDULUM.replace("</mujoco>", r#"<keyframe><key qpos="0.7" qvel="1.5"/></keyframe></mujoco>"#);
    let (world, robot) = world_with(&text, 100, 4);
    let [angle, speed] = robot.joint_state(&world, 0);
    assert!((angle - 0.7).abs() < 1e-5 && (speed - 1.5).abs() < 1e-5, "{angle} {speed}");
}

#[test]
fn what_a_file_asks_for_in_vain_is_named() {
    let text = PENDULUM
        .replace("<worldbody>", r#"<option integrator="RK4" timestep="0.01"/><worldbody>"#)
        .replace("<geom ", r#"<geom condim="1" "#)
        .replace("</actuator>", r#"<muscle joint="hinge"/></actuator>"#);
    let model = RobotModel::from_text(&text, Path::new(".")).unwrap();
    for part in ["integrator", "condim", "<muscle>", "timestep"] {
        let count = model.warnings().iter().filter(|line| line.contains(part)).count();
        assert_eq!(count, 1, "{part}: {:?}", model.warnings());
    }
}

#[test]
fn nonsense_is_refused_with_what_is_wrong() {
    for (text, part) in [
        ("", "root"),
        ("<mujoco>", ""),
        ("<sdf/>", "<mujoco>"),
        ("<robot name=\"x\"/>", "no <link>"),
        (
            "<robot name=\"x\"><link name=\"a\"/><joint name=\"j\" type=\"fixed\"><parent link=\"a\"/><child link=\"b\"/></joint></robot>",
            "\"b\"",
        ),
        ("<mujoco><worldbody><body><joint type=\"screw\"/></body></worldbody></mujoco>", "hinge, slide"),
    ] {
        let error = RobotModel::from_text(text, Path::new(".")).unwrap_err().to_string();
        println!("{error}");
        assert!(error.starts_with("cannot load robot: ") && error.contains(part), "{text:?}: {error}");
    }
    let error = RobotModel::from_file(Path::new("no/such.urdf")).unwrap_err().to_string();
    assert!(error.contains("no/such.urdf"), "{error}");
}

#[test]
fn a_saved_robot_goes_on_to_the_bit() {
    let (mut world, mut robot) = world_with(FLOATING, 100, 4);
    robot.command(&mut world, &[0.3]);
    (0..20).for_each(|_| robot.control_step(&mut world));
    let saved = world.save().unwrap();
    let mut other = World::new(100, 4, camera());
    other.load(&saved).unwrap();
    for _ in 0..50 {
        robot.control_step(&mut world);
        robot.control_step(&mut other);
        assert_eq!(robot.joint_state(&world, 0), robot.joint_state(&other, 0));
    }
    assert!(matches!(robot.actuators()[0].drive, Drive::Force { gear } if gear == 1.0));
}

#[test]
fn links_look_as_they_are_solid() {
    // A bar along x, and a ball beside it.
    let text = r#"<mujoco><worldbody><body name="bar" pos="0 0 1"><freejoint/>
      <geom type="capsule" fromto="-0.5 0 0 0.5 0 0" size="0.05"/><geom type="sphere" size="0.1" pos="0 0.4 0"/>
    </body></worldbody></mujoco>"#;
    let (world, _) = world_with(text, 100, 1);
    let mesh = &world.scene().meshes[0];
    let reach = |axis: usize| {
        mesh.vertices
            .iter()
            .fold([f32::MAX, f32::MIN], |[low, high], corner| [low.min(corner[axis]), high.max(corner[axis])])
    };
    for (axis, expected) in [[-0.55, 0.55], [-0.05, 0.5], [-0.1, 0.1]].into_iter().enumerate() {
        let seen = reach(axis);
        assert!(
            (seen[0] - expected[0]).abs() < 0.01 && (seen[1] - expected[1]).abs() < 0.01,
            "{axis}: {seen:?}"
        );
    }
}

#[test]
fn a_file_with_a_floor_of_its_own_is_a_robot_that_stands_on_it_and_is_seen() {
    let text = r#"<mujoco><worldbody><geom type="plane" size="0 0 1"/>
        <body name="torso" pos="0 0 0.2"><freejoint/><geom type="box" size="0.2 0.1 0.1" mass="2"/>
        <body name="leg" pos="0 0 -0.1"><joint name="hip" axis="0 1 0" range="-60 60" limited="true"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.03" mass="0.3"/></body></body></worldbody></mujoco>"#;
    let model = RobotModel::from_text(text, Path::new(".")).unwrap();
    let entry = registry::register(RobotTask::default().entry("robot/hopper", model).unwrap()).unwrap();
    let mut env = make_truth(entry.id, 1, AutoresetMode::NextStep).unwrap();
    env.reset_all(Some(0)).unwrap();
    let state = env.batch().observations.as_f32().unwrap();
    assert_eq!(state.len(), 13 + 2, "a free base and a hinge");
    // Its leg reached 0.33 m into the floor.
    assert!((state[2] - 0.531).abs() < 2e-3, "{state:?}");
    let camera = env.scene(0).camera;
    let away = camera.position.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(away < 5.0, "{camera:?}");
    let floors = env.scene(0).instances.iter().filter(|instance| instance.name == "ground").count();
    assert_eq!(floors, 0, "it has one of its own");
    (0..50).for_each(|_| env.step_all(&Buffer::F32(vec![0.0])).unwrap());
    assert!(env.batch().observations.as_f32().unwrap()[2] > 0.05, "it does not fall through");
    let sensors = vec![SensorKind::Imu.into(), SensorKind::Contacts.into()];
    let sensed = RobotTask { sensors, ..RobotTask::default() };
    let model = RobotModel::from_text(text, Path::new(".")).unwrap();
    let sensed = registry::register(sensed.entry("robot/sensed", model).unwrap()).unwrap();
    worldstep_env::check::check_env(&mut |lanes, mode| Ok(Box::new(make_truth(sensed.id, lanes, mode)?)))
        .unwrap();
    let mut env = make_truth(sensed.id, 1, AutoresetMode::NextStep).unwrap();
    env.reset_all(Some(0)).unwrap();
    (0..200).for_each(|_| env.step_all(&Buffer::F32(vec![0.0])).unwrap());
    let told = env.batch().observations.as_f32().unwrap()[15..].to_vec();
    let links = told.len() - 6;
    let felt = told[3..6].iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((felt - 9.81).abs() < 0.2, "it lies: {told:?}");
    let load: f32 = told[6..].iter().sum();
    assert!(links >= 2 && (load - 2.3 * 9.81).abs() < 2.0 * 2.3 * 9.81 * 0.55, "{told:?}");
    let again = registry::register(*entry).err().unwrap();
    assert!(again.to_string().contains("robot/hopper already"), "{again}");
}

#[test]
fn loads_on_feet_are_told_in_weights_of_the_robot() {
    for (id, feet) in [("HumanoidStand-v0", 2), ("QuadrupedFlat-v0", 4)] {
        let mut env = make_truth(id, 1, AutoresetMode::NextStep).unwrap();
        env.reset_all(Some(1)).unwrap();
        let mut loads = 0.0;
        for step in 0..150 {
            let mut action = Buffer::F32(Vec::new());
            env.expert_action(0, &mut action);
            env.step_all(&action).unwrap();
            let state = env.batch().observations.as_f32().unwrap();
            if step >= 50 {
                loads += state[state.len() - feet..].iter().sum::<f32>() / 100.0;
            }
        }
        // On the mean, the ground carries the robot and nothing more.
        assert!((loads - 1.0).abs() < 0.05, "{id}: {loads}");
    }
}

/// A dropped robot comes to rest at one height, however finely the solver divides a step.
#[test]
fn fewer_solver_iterations_are_another_precision_and_the_same_physics() {
    let ant = include_str!("../src/tasks/robots/ant.xml");
    let height = |solver_iterations: u32, id: &str| {
        let model = RobotModel::from_text(ant, Path::new(".")).unwrap();
        let task = RobotTask { solver_iterations, substeps: 4, ..RobotTask::default() };
        let entry = registry::register(task.entry(id, model)?)?;
        let mut env = make_truth(entry.id, 1, AutoresetMode::NextStep)?;
        env.reset_all(Some(0))?;
        let rest = env.spec().action_space.neutral(1);
        (0..150).try_for_each(|_| env.step_all(&rest))?;
        Ok::<_, worldstep_env::EnvError>(env.batch().observations.as_f32().unwrap()[2])
    };
    let (one, four) = (height(1, "robot/ant-1").unwrap(), height(4, "robot/ant-4").unwrap());
    assert!(one != four && (one - four).abs() < 0.02, "{one} {four}");
    let refused = height(0, "robot/ant-0").unwrap_err().to_string();
    assert!(refused.contains("solver_iterations is 0, expected 1 to 100"), "{refused}");
}
