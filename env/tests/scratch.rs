#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use worldstep_env::registry::find;
use worldstep_env::{Buffer, TruthEnv};

#[test]
fn trace() {
    for id in ["PegInHole-v0"] {
        let mut shown = 0;
        for seed in 0..12 {
            let mut env = TruthEnv::new(find(id).unwrap(), 0);
            env.reset(Some(seed));
            let mut log = vec![];
            let mut ok = false;
            for t in 0..200 {
                let mut a = Buffer::F32(vec![]);
                env.task().expert(&mut a);
                let mut s = vec![];
                env.task().state(&mut s);
                if t % 3 == 0 {
                    log.push(format!(
                        "{t} tool {:.3?} yaw {:.2} f {:.3} | {:.3?} a {:.2?}",
                        &s[..3],
                        s[3].atan2(s[4]),
                        s[5],
                        &s[6..],
                        a.as_f32().unwrap()
                    ));
                }
                let r = env.step(&a).unwrap();
                if r.outcome.terminated {
                    ok = r.outcome.success;
                    break;
                }
            }
            if !ok && shown < 1 {
                shown += 1;
                println!("{id} seed {seed}\n{}", log.join("\n"));
            }
        }
    }
    for id in ["Hopper-v0", "Walker-v0", "HalfCheetah-v0", "Ant-v0"] {
        for seed in 0..3 {
            let mut env = TruthEnv::new(find(id).unwrap(), 0);
            env.reset(Some(seed));
            let mut sum = 0.0;
            let mut n = 0;
            let mut jump = 0.0;
            let mut last: Vec<f32> = vec![0.0; 12];
            loop {
                let mut a = Buffer::F32(vec![]);
                env.task().expert(&mut a);
                let v = a.as_f32().unwrap().to_vec();
                jump += v.iter().zip(&last).map(|(a, b)| (a - b).abs()).sum::<f32>() / v.len() as f32;
                last = v;
                let r = env.step(&a).unwrap();
                sum += r.outcome.terms[0] / 50.0;
                n += 1;
                if r.outcome.terminated || r.truncated {
                    break;
                }
            }
            println!("GAIT {id} {n} steps {sum:.2} m, mean |da| {:.2}", jump / n as f32);
        }
    }
}
