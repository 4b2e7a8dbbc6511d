//! A dream's saved state comes back whole, or is refused: damaged bytes and impossible values never panic.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;

use burn::tensor::Device;
use dream::{env, model};
use worldstep_env::{Buffer, EnvError, VectorEnv};
use worldstep_model::model::Model;
use worldstep_model::neural_env::NeuralVectorEnv;

/// Bytes of version and hash before the MessagePack.
const HEAD: usize = 12;

fn state(env: &mut NeuralVectorEnv) -> Vec<u8> {
    env.reset_all(Some(4)).unwrap();
    (0..2).for_each(|_| env.step_all(&Buffer::I64(vec![2])).unwrap());
    env.save_lane(0).unwrap()
}

fn assert_refused(env: &mut NeuralVectorEnv, bytes: &[u8], what: &str) {
    let result = env.load_lane(0, bytes);
    assert!(matches!(result, Err(EnvError::State { .. })), "{what}: {result:?}");
}

/// The bytes with the hash (FNV-1a) that belongs to them.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes[HEAD..].iter().fold(0xcbf2_9ce4_8422_2325, step);
    bytes[HEAD - 8..HEAD].copy_from_slice(&hash.to_le_bytes());
    bytes
}

#[test]
fn a_flipped_byte_is_refused_wherever_it_is() {
    let model = model();
    let mut env = env(&model, 1, |_| ());
    let good = state(&mut env);
    // Every byte of what says sizes and counters, and every so many of the long rest.
    let far = (200..good.len()).step_by(61).chain(good.len() - 20..good.len());
    for at in (0..200).chain(far) {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= mask;
            assert_refused(&mut env, &bytes, &format!("byte {at} ^ {mask:#x}"));
        }
    }
    assert_eq!(env.save_lane(0).unwrap(), good, "what was refused changed nothing");
    env.load_lane(0, &good).unwrap();
}

#[test]
fn too_few_or_too_many_bytes_are_refused() {
    let model = model();
    let mut env = env(&model, 1, |_| ());
    let good = state(&mut env);
    for len in (0..64).chain((64..good.len()).step_by(997)) {
        assert_refused(&mut env, &good[..len], &format!("{len} bytes"));
    }
    assert_refused(&mut env, &[&good[..], b"x"].concat(), "one byte more");
    assert_refused(&mut env, b"no state at all", "text");
}

/// With the right hash only the values themselves can give a forgery away; what is taken must be steppable.
#[test]
fn forged_values_are_refused_or_harmless() {
    let model = model();
    let mut env = env(&model, 1, |_| ());
    let good = state(&mut env);
    assert_eq!(sealed(good.clone()), good);
    let (mut refused, mut taken) = (0, 0);
    let far = (HEAD + 64..good.len()).step_by(good.len() / 200);
    for at in (HEAD..HEAD + 64).chain(far) {
        for mask in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= mask;
            match env.load_lane(0, &sealed(bytes)) {
                Err(EnvError::State { .. }) => refused += 1,
                Ok(()) => {
                    taken += 1;
                    env.step_all(&Buffer::I64(vec![1])).unwrap();
                }
                Err(other) => panic!("byte {at} ^ {mask:#x}: {other}"),
            }
        }
    }
    assert!(refused > 100 && taken > 10, "{refused} refused, {taken} taken");
}

#[test]
fn a_lane_that_is_not_there_is_the_callers_mistake() {
    let model = model();
    let mut env = env(&model, 2, |_| ());
    assert!(matches!(env.save_lane(2), Err(EnvError::Argument { .. })));
    assert!(matches!(env.load_lane(2, b"nonsense"), Err(EnvError::Argument { .. })));
    assert!(matches!(env.save_lane(1), Err(EnvError::NeedsReset { lane: 1 })));
}

#[test]
fn other_weights_are_refused_and_equal_ones_are_not() {
    let model = model();
    let mut from = env(&model, 1, |_| ());
    let bytes = state(&mut from);
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let loaded = Model::load(folder.path(), &Device::flex()).unwrap();
    env(&loaded, 1, |_| ()).load_lane(0, &bytes).unwrap();
    // The same record of a training does not make them the same weights.
    let other = Model::random(model.card.clone(), &Device::flex());
    let error = env(&other, 1, |_| ()).load_lane(0, &bytes).unwrap_err();
    assert!(matches!(error, EnvError::State { .. }) && error.to_string().contains("weights"), "{error}");
}
