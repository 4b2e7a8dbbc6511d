//! Frames that stay on a card are those that would be in host memory. Host memory stands in for the card, so that this runs
//! anywhere.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use dream::{STEPS_LEFT, env, model};
use worldstep_env::{AutoresetMode, Buffer, DType, VectorEnv};
use worldstep_model::config::FrameSize;
use worldstep_model::neural_env::{DreamObservation, NeuralVectorEnv};
use worldstep_model::on_card::dlpack::{CPU, Contents, DLDevice, ManagedTensor};
use worldstep_model::on_card::{
    Card, CardError, CardRows, CardVectorEnv as _, Part, SlotHandles, SlotSizes, Slots,
};

const FRAME_BYTES: usize = FrameSize::Px64.bytes();
const LANES: usize = 4;
const SIZES: SlotSizes =
    SlotSizes { slots: 2, slot_len: LANES * FRAME_BYTES, action_slots: 1, action_len: 8 };

/// A card that counts what is copied to it, from where.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<usize>>);

struct Rows(Vec<u8>, Counting);

struct Slot(Arc<Vec<u8>>);

fn bytes_of(part: Part<'_>) -> &[u8] {
    let Part::Host(bytes) = part else { panic!("{part:?} on no card") };
    bytes
}

impl Card for Counting {
    fn name(&self) -> String {
        "counting".to_owned()
    }

    fn rows(&self, rows: usize, row_len: usize) -> Result<Box<dyn CardRows>, CardError> {
        assert_eq!(row_len, FRAME_BYTES);
        Ok(Box::new(Rows(vec![0; rows * row_len], self.clone())))
    }

    fn slots(&self, sizes: SlotSizes, _key: u128) -> Result<Box<dyn Slots>, CardError> {
        Ok(Box::new(Slot(Arc::new(vec![0; sizes.slot_len]))))
    }
}

impl CardRows for Rows {
    fn put(&mut self, first: usize, part: Part<'_>) -> Result<(), CardError> {
        *self.1.0.lock().unwrap() += part.len() / FRAME_BYTES;
        self.0[first * FRAME_BYTES..][..part.len()].copy_from_slice(bytes_of(part));
        Ok(())
    }

    fn part(&self, rows: Range<usize>) -> Part<'_> {
        Part::Host(&self.0[rows.start * FRAME_BYTES..rows.end * FRAME_BYTES])
    }

    fn read(&self, row: usize, out: &mut [u8]) -> Result<(), CardError> {
        out.copy_from_slice(bytes_of(self.part(row..row + 1)));
        Ok(())
    }
}

impl Slots for Slot {
    fn handles(&self) -> SlotHandles {
        SlotHandles::default()
    }

    fn publish(&mut self, parts: &[Part<'_>]) -> Result<u32, CardError> {
        self.0 = Arc::new(parts.iter().flat_map(|part| bytes_of(*part)).copied().collect());
        Ok(0)
    }

    fn actions(&mut self, _seq: u64, _out: &mut [u8]) -> Result<(), CardError> {
        Err(CardError::NotOnCard)
    }

    fn tensor(&self, _: u32, shape: &[usize], dtype: DType, _: u64) -> Result<ManagedTensor, CardError> {
        let shape = shape.iter().map(|length| *length as i64).collect();
        let device = DLDevice { device_type: CPU, device_id: 0 };
        let contents = Contents { address: self.0.as_ptr() as u64, device, shape, dtype, flags: 0 };
        Ok(ManagedTensor::new(contents, Arc::clone(&self.0) as _))
    }
}

/// The same dream twice: in host memory, and on a card.
fn pair(mode: AutoresetMode) -> (NeuralVectorEnv, NeuralVectorEnv, Counting) {
    let model = model();
    let [host, mut kept] = [(); 2].map(|()| env(&model, LANES, |options| options.autoreset_mode = mode));
    let card = Counting::default();
    kept.keep_on_card(Box::new(card.clone())).unwrap();
    (host, kept, card)
}

/// What a slot shows of `lanes`, through the tensor that a policy would get.
fn shown(env: &NeuralVectorEnv, lanes: &[usize]) -> Vec<u8> {
    let mut slots = env.slots(SIZES, 1).unwrap();
    let slot = env.show(lanes, slots.as_mut()).unwrap();
    let tensor = slots.tensor(slot, &[lanes.len(), 64, 64, 3], DType::Uint8, 0).unwrap();
    drop(slots);
    assert_eq!(tensor.shape(), [lanes.len() as i64, 64, 64, 3]);
    // SAFETY: so many bytes, which the tensor keeps.
    #[allow(unsafe_code)]
    let bytes =
        unsafe { std::slice::from_raw_parts(tensor.address() as *const u8, lanes.len() * FRAME_BYTES) };
    bytes.to_vec()
}

fn frames(env: &NeuralVectorEnv, lanes: &[usize]) -> Vec<u8> {
    let all = env.batch().observations.as_u8().unwrap();
    lanes.iter().flat_map(|lane| &all[lane * FRAME_BYTES..(lane + 1) * FRAME_BYTES]).copied().collect()
}

fn actions(t: i64) -> Buffer {
    Buffer::I64((0..LANES as i64).map(|lane| (t + lane) % 3).collect())
}

#[test]
fn frames_on_the_card_are_those_of_host_memory() {
    let (mut host, mut kept, _) = pair(AutoresetMode::NextStep);
    let all: Vec<usize> = (0..LANES).collect();
    host.reset_all(Some(3)).unwrap();
    kept.reset_all(Some(3)).unwrap();
    assert_eq!(shown(&kept, &all), frames(&host, &all), "true frames");
    // Episodes end and begin on the way, some lanes are left out at times.
    for t in 0..2 * i64::from(STEPS_LEFT) {
        let mask: Vec<bool> = (0..LANES as i64).map(|lane| t % 4 != lane || t % 5 == 0).collect();
        host.step(&actions(t), &mask).unwrap();
        kept.step(&actions(t), &mask).unwrap();
        assert_eq!(shown(&kept, &all), frames(&host, &all), "step {t}");
        assert_eq!(shown(&kept, &[3, 1]), frames(&host, &[3, 1]), "in another order, step {t}");
        assert_eq!(kept.batch().rewards, host.batch().rewards, "step {t}");
    }
}

#[test]
fn only_what_is_fetched_comes_to_host_memory() {
    let (mut host, mut kept, card) = pair(AutoresetMode::NextStep);
    host.reset_all(Some(3)).unwrap();
    kept.reset_all(Some(3)).unwrap();
    let before = *card.0.lock().unwrap();
    host.step_all(&actions(0)).unwrap();
    kept.step_all(&actions(0)).unwrap();
    assert_eq!(*card.0.lock().unwrap() - before, LANES, "each frame is copied once");
    let after_reset = frames(&kept, &[0]);
    assert_ne!(frames(&kept, &[2]), frames(&host, &[2]));
    kept.fetch(&[false, false, true, false]).unwrap();
    assert_eq!(frames(&kept, &[2]), frames(&host, &[2]));
    assert_eq!(frames(&kept, &[0]), after_reset);
}

#[test]
fn states_hold_what_the_card_shows() {
    let (mut host, mut kept, _) = pair(AutoresetMode::NextStep);
    for env in [&mut host, &mut kept] {
        env.reset_all(Some(3)).unwrap();
        env.step_all(&actions(0)).unwrap();
    }
    let saved = kept.save_lane(1).unwrap();
    assert_eq!(saved, host.save_lane(1).unwrap());
    kept.load_lane(3, &saved).unwrap();
    assert_eq!(shown(&kept, &[3]), shown(&kept, &[1]));
}

#[test]
fn a_card_that_is_not_there_is_told_in_a_line() {
    let model = model();
    let mut dream = env(&model, 2, |_| ());
    assert_eq!(dream.slots(SIZES, 1).err(), Some(CardError::NotOnCard));
    let why = dream.keep_on_its_card("cuda:00").unwrap_err();
    assert!(why.contains("\"processor\", which decodes into host memory"), "{why}");
    let mut divided = env(&model, 2, |options| options.devices = 2);
    let why = divided.keep_on_its_card("cuda:00").unwrap_err();
    assert!(why.contains("divided over 2 engines"), "{why}");
    let mut codes = env(&model, 2, |options| options.observation = DreamObservation::Codes);
    let why = codes.keep_on_card(Box::new(Counting::default())).unwrap_err();
    assert!(why.contains("obs \"codes\"") && why.contains("\"rgb\" can stay"), "{why}");
}
