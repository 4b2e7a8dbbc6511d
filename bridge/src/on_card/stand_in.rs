use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use memmap2::MmapRaw;
use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create,
};
use worldstep_env::DType;
use worldstep_model::on_card::dlpack::{CPU, Contents, DLDevice, ManagedTensor};
use worldstep_model::on_card::{Card, CardError, CardRows, Part, SlotHandles, SlotSizes, Slots};

/// Bytes in front of the first slot; slots begin with a page.
const OFFSET: usize = 4096;

/// A card that is this machine's memory. Its handles are paths in `/proc` of the server's process, which the kernel lets
/// only the same user's processes open; what is written is there at once, so that there are no events.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandIn;

impl StandIn {
    /// Its name.
    pub const NAME: &str = "stand-in";
}

impl Card for StandIn {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn rows(&self, rows: usize, row_len: usize) -> Result<Box<dyn CardRows>, CardError> {
        Ok(Box::new(HostRows { bytes: vec![0; rows * row_len], row_len }))
    }

    fn slots(&self, sizes: SlotSizes, key: u128) -> Result<Box<dyn Slots>, CardError> {
        let failed = |error: io::Error| CardError::Driver {
            card: Self::NAME.to_owned(),
            call: "memfd_create",
            message: error.to_string(),
        };
        Ok(Box::new(HostSlots::new(sizes, key).map_err(failed)?))
    }
}

struct HostRows {
    bytes: Vec<u8>,
    row_len: usize,
}

impl CardRows for HostRows {
    fn put(&mut self, first: usize, part: Part<'_>) -> Result<(), CardError> {
        let start = first * self.row_len;
        self.bytes[start..start + part.len()].copy_from_slice(on_host(part)?);
        Ok(())
    }

    fn part(&self, rows: Range<usize>) -> Part<'_> {
        Part::Host(&self.bytes[rows.start * self.row_len..rows.end * self.row_len])
    }

    fn read(&self, row: usize, out: &mut [u8]) -> Result<(), CardError> {
        out.copy_from_slice(&self.bytes[row * self.row_len..(row + 1) * self.row_len]);
        Ok(())
    }
}

struct HostSlots {
    file: fs::File,
    map: Arc<MmapRaw>,
    sizes: SlotSizes,
    key: u128,
    /// Slots written so far.
    taken: usize,
}

impl HostSlots {
    fn new(sizes: SlotSizes, key: u128) -> io::Result<Self> {
        let (slot_len, action_len) =
            (sizes.slot_len.next_multiple_of(OFFSET), sizes.action_len.next_multiple_of(OFFSET));
        let sizes = SlotSizes { slot_len, action_len, ..sizes };
        let len = OFFSET + sizes.slots * slot_len + sizes.action_slots * action_len;
        let fd = memfd_create("worldstep-card", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&fd, len as u64)?;
        fallocate(&fd, FallocateFlags::empty(), 0, len as u64)?;
        // Its client writes actions to it; nobody can make it shorter than the mapping.
        fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let file = fs::File::from(fd);
        let map = Arc::new(MmapRaw::map_raw(&file)?);
        let slots = Self { file, map, sizes, key, taken: 0 };
        slots.write(0, &key.to_le_bytes());
        Ok(slots)
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.map.len());
        // SAFETY: within the mapping, which no reference points into: the client may read it at the same time.
        #[allow(unsafe_code)]
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(at), bytes.len());
        }
    }

    fn actions_at(&self) -> usize {
        OFFSET + self.sizes.slots * self.sizes.slot_len
    }
}

impl Slots for HostSlots {
    fn handles(&self) -> SlotHandles {
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd());
        SlotHandles {
            card: StandIn::NAME.to_owned(),
            memory: path.into_bytes(),
            key: self.key.to_le_bytes(),
            offset: OFFSET as u64,
            slots: self.sizes.slots as u32,
            slot_len: self.sizes.slot_len as u64,
            events: Vec::new(),
            actions_offset: self.actions_at() as u64,
            action_slots: self.sizes.action_slots as u32,
            action_slot_len: self.sizes.action_len as u64,
            action_events: Vec::new(),
        }
    }

    fn publish(&mut self, parts: &[Part<'_>]) -> Result<u32, CardError> {
        let slot = self.taken % self.sizes.slots;
        check_size(parts.iter().map(Part::len).sum(), slot as u32, (self.sizes.slots, self.sizes.slot_len))?;
        self.taken += 1;
        let mut at = OFFSET + slot * self.sizes.slot_len;
        for part in parts {
            self.write(at, on_host(*part)?);
            at += part.len();
        }
        Ok(slot as u32)
    }

    fn actions(&mut self, seq: u64, out: &mut [u8]) -> Result<(), CardError> {
        let slot = (seq % self.sizes.action_slots as u64) as u32;
        check_size(out.len(), slot, (self.sizes.action_slots, self.sizes.action_len))?;
        let at = self.actions_at() + slot as usize * self.sizes.action_len;
        // SAFETY: within the mapping, as was checked; what a client writes meanwhile spoils its own actions.
        #[allow(unsafe_code)]
        unsafe {
            std::ptr::copy_nonoverlapping(self.map.as_mut_ptr().add(at), out.as_mut_ptr(), out.len());
        }
        Ok(())
    }

    fn tensor(
        &self,
        slot: u32,
        shape: &[usize],
        dtype: DType,
        _stream: u64,
    ) -> Result<ManagedTensor, CardError> {
        let bytes = shape.iter().product::<usize>() * dtype.size();
        check_size(bytes, slot, (self.sizes.slots, self.sizes.slot_len))?;
        let address = self.map.as_mut_ptr() as usize + OFFSET + slot as usize * self.sizes.slot_len;
        let device = DLDevice { device_type: CPU, device_id: 0 };
        let shape = shape.iter().map(|length| *length as i64).collect();
        let contents = Contents { address: address as u64, device, shape, dtype, flags: 0 };
        Ok(ManagedTensor::new(contents, Arc::clone(&self.map) as _))
    }
}

fn check_size(bytes: usize, slot: u32, (slots, bytes_max): (usize, usize)) -> Result<(), CardError> {
    if bytes <= bytes_max && (slot as usize) < slots {
        return Ok(());
    }
    Err(CardError::Size { bytes, bytes_max, slot, slots })
}

/// There is no other memory than the host's.
fn on_host(part: Part<'_>) -> Result<&[u8], CardError> {
    match part {
        Part::Host(bytes) => Ok(bytes),
        Part::Card { .. } => Err(CardError::NotOnCard),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SIZES: SlotSizes = SlotSizes { slots: 3, slot_len: 8, action_slots: 2, action_len: 4 };

    fn path(slots: &dyn Slots) -> String {
        String::from_utf8(slots.handles().memory).unwrap()
    }

    #[test]
    fn slots_are_written_in_turn_and_a_tensor_shows_them() {
        let mut slots = StandIn.slots(SIZES, 42).unwrap();
        for turn in 0..5_u8 {
            let slot = slots.publish(&[Part::Host(&[turn; 2]), Part::Host(&[9])]).unwrap();
            assert_eq!(slot, u32::from(turn) % 3);
            let tensor = slots.tensor(slot, &[3], DType::Uint8, 0).unwrap();
            // SAFETY: three bytes of the mapping, which the tensor keeps.
            #[allow(unsafe_code)]
            let seen = unsafe { std::slice::from_raw_parts(tensor.address() as *const u8, 3) };
            assert_eq!(seen, [turn, turn, 9]);
        }
    }

    #[test]
    fn a_tensor_outlives_the_slots() {
        let mut slots = StandIn.slots(SIZES, 42).unwrap();
        let slot = slots.publish(&[Part::Host(&[7; 8])]).unwrap();
        let tensor = slots.tensor(slot, &[2, 4], DType::Uint8, 0).unwrap();
        let file = path(slots.as_ref());
        drop(slots);
        assert!(fs::File::open(file).is_err(), "nobody finds it any more");
        // SAFETY: eight bytes of the mapping, which the tensor keeps.
        #[allow(unsafe_code)]
        let seen = unsafe { std::slice::from_raw_parts(tensor.address() as *const u8, 8) };
        assert_eq!(seen, [7; 8]);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_takes_no_turn() {
        let mut slots = StandIn.slots(SIZES, 42).unwrap();
        let large = vec![0; slots.handles().slot_len as usize + 1];
        assert!(matches!(slots.publish(&[Part::Host(&large)]), Err(CardError::Size { slot: 0, .. })));
        assert!(matches!(slots.publish(&[Part::Card { address: 1, len: 1 }]), Err(CardError::NotOnCard)));
        let mut large = vec![0; slots.handles().action_slot_len as usize + 1];
        assert!(slots.actions(2, &mut large).is_err() && slots.tensor(3, &[1], DType::Uint8, 0).is_err());
    }
}
