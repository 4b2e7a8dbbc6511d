use std::fs;
use std::io;

use memmap2::MmapRaw;
use worldstep_model::on_card::SlotHandles;

/// A client's side of the [stand-in](super::StandIn)'s slots.
pub struct StandInView {
    map: MmapRaw,
    handles: SlotHandles,
}

impl StandInView {
    /// Opens what a server has offered.
    ///
    /// # Errors
    /// If it cannot be opened or mapped, or is not what was meant.
    pub fn open(handles: &SlotHandles) -> io::Result<Self> {
        let wrong = |what: &str| {
            io::Error::new(io::ErrorKind::InvalidData, format!("not the server's slots: {what}"))
        };
        let path = std::str::from_utf8(&handles.memory).map_err(|_| wrong("no path"))?;
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let map = MmapRaw::map_raw(&file)?;
        let ends = [
            (handles.offset, handles.slots, handles.slot_len),
            (handles.actions_offset, handles.action_slots, handles.action_slot_len),
        ];
        let end = |(offset, slots, len): (u64, u32, u64)| len.checked_mul(slots.into())?.checked_add(offset);
        if ends.into_iter().any(|slots| end(slots).is_none_or(|end| end > map.len() as u64)) {
            return Err(wrong("it is shorter"));
        }
        let view = Self { map, handles: handles.clone() };
        if view.read(0, 16) != handles.key {
            return Err(wrong("another session's"));
        }
        Ok(view)
    }

    /// The first `len` bytes of the slot whose number a reply has in place of observations.
    pub fn slot(&self, number: &[u8], len: usize) -> Option<Vec<u8>> {
        let slot = u32::from_le_bytes(number.try_into().ok()?);
        let SlotHandles { offset, slots, slot_len, .. } = self.handles;
        (slot < slots && len as u64 <= slot_len)
            .then(|| self.read((offset + u64::from(slot) * slot_len) as usize, len))
    }

    /// Puts the actions of the step with number `seq` where the server looks for them.
    ///
    /// # Panics
    /// If they are more than a slot holds.
    pub fn put_actions(&self, seq: u64, actions: &[u8]) {
        let SlotHandles { actions_offset, action_slots, action_slot_len, .. } = self.handles;
        assert!(actions.len() as u64 <= action_slot_len, "{} bytes", actions.len());
        let at = (actions_offset + seq % u64::from(action_slots) * action_slot_len) as usize;
        // SAFETY: within the mapping, as was checked when it was opened.
        #[allow(unsafe_code)]
        unsafe {
            std::ptr::copy_nonoverlapping(actions.as_ptr(), self.map.as_mut_ptr().add(at), actions.len());
        }
    }

    fn read(&self, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        // SAFETY: within the mapping, as was checked when it was opened, or here.
        #[allow(unsafe_code)]
        unsafe {
            assert!(at + len <= self.map.len());
            std::ptr::copy_nonoverlapping(self.map.as_ptr().add(at), bytes.as_mut_ptr(), len);
        }
        bytes
    }
}
