//! Observations for clients on the same machine: memory that the server writes and its client maps.
//!
//! A session's memory is a file that never had a name (`memfd`), sealed so that nobody can resize it and only the server
//! writes it. The client opens it through `/proc` of the server's process, which the kernel allows to the same user's
//! processes only, and knows by the random key in front that it is the right one. It is gone when both sides are,
//! however they end.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;

use memmap2::MmapMut;
use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create,
};

use crate::wire::SharedSlots;

/// Bytes in front of the first slot, so that slots begin with a page.
const OFFSET: usize = 4096;

/// Names this machine, boot and process namespace: who has the same name can open the other's files in `/proc`.
pub fn host_id() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// The memory of one session.
pub struct SharedMemory {
    file: fs::File,
    map: MmapMut,
    slots: usize,
    slot_len: usize,
    /// Slots given out so far.
    taken: usize,
}

impl SharedMemory {
    /// `slots` slots of `slot_len` bytes, behind the client's means to know it by.
    ///
    /// # Errors
    /// If the system gives no memory, or has no sealed files (Linux before 5.1).
    pub fn new(slots: usize, slot_len: usize, key: u128) -> io::Result<Self> {
        // Slots begin with a page, each.
        let slot_len = slot_len.next_multiple_of(OFFSET);
        let len = OFFSET + slots * slot_len;
        let fd = memfd_create("worldstep", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&fd, len as u64)?;
        // Now, so that what does not fit is refused here, not met as a fault when it is written.
        fallocate(&fd, FallocateFlags::empty(), 0, len as u64)?;
        let file = fs::File::from(fd);
        // SAFETY: nobody can shrink the file once it is sealed below, and nobody else knows of it before.
        #[allow(unsafe_code)]
        let mut map = unsafe { MmapMut::map_mut(&file)? };
        fcntl_add_seals(
            &file,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL,
        )?;
        map[..16].copy_from_slice(&key.to_le_bytes());
        Ok(Self { file, map, slots, slot_len, taken: 0 })
    }

    /// How the client finds it.
    pub fn describe(&self) -> SharedSlots {
        let mut key = [0; 16];
        key.copy_from_slice(&self.map[..16]);
        SharedSlots {
            path: format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()),
            key,
            offset: OFFSET as u64,
            slots: self.slots as u32,
            slot_len: self.slot_len as u64,
        }
    }

    /// The slot whose turn it is, and its number.
    pub fn next_slot(&mut self) -> (u32, &mut [u8]) {
        let slot = self.taken % self.slots;
        self.taken += 1;
        let start = OFFSET + slot * self.slot_len;
        (slot as u32, &mut self.map[start..start + self.slot_len])
    }
}

/// A client's view of it.
pub struct SharedView {
    map: memmap2::Mmap,
    slots: SharedSlots,
}

impl SharedView {
    /// Opens what a server has described.
    ///
    /// # Errors
    /// If it cannot be opened or mapped, or is not the one that was meant: observations then come by the socket.
    pub fn open(slots: &SharedSlots) -> io::Result<Self> {
        let file = fs::File::open(&slots.path)?;
        let end =
            slots.slot_len.checked_mul(slots.slots.into()).and_then(|len| len.checked_add(slots.offset));
        let fits = slots.slots > 0 && slots.offset >= 16 && end.is_some_and(|end| Some(end) == len_of(&file));
        if !fits {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not the server's shared memory"));
        }
        // SAFETY: the file is sealed against shrinking, and the server writes a slot only between requests.
        #[allow(unsafe_code)]
        let map = unsafe { memmap2::Mmap::map(&file)? };
        if map[..16] != slots.key {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "another process's shared memory"));
        }
        Ok(Self { map, slots: slots.clone() })
    }

    /// Bytes of a slot.
    pub fn slot_len(&self) -> usize {
        self.slots.slot_len as usize
    }

    /// The slot whose number a reply has in place of observations; its observations are at the beginning.
    pub fn slot(&self, number: &[u8]) -> Option<&[u8]> {
        let slot = u32::from_le_bytes(number.try_into().ok()?);
        let start = self.slots.offset + u64::from(slot) * self.slots.slot_len;
        (slot < self.slots.slots).then(|| &self.map[start as usize..(start + self.slots.slot_len) as usize])
    }
}

fn len_of(file: &fs::File) -> Option<u64> {
    file.metadata().ok().map(|metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_the_server_writes_the_client_reads_and_cannot_write() {
        let mut memory = SharedMemory::new(3, 100, 42).unwrap();
        let view = SharedView::open(&memory.describe()).unwrap();
        let mut numbers = Vec::new();
        for reply in 0..7 {
            let (number, slot) = memory.next_slot();
            slot[..2].copy_from_slice(&[reply, 1]);
            numbers.push(number.to_le_bytes());
            assert_eq!(view.slot(&number.to_le_bytes()).unwrap()[..2], [reply, 1]);
        }
        assert_eq!(view.slot(&numbers[4]).unwrap()[0], 4, "two later ones leave it alone");
        assert!(view.slot(&3_u32.to_le_bytes()).is_none() && view.slot(&[0; 3]).is_none());
        let writable = fs::OpenOptions::new().read(true).write(true).open(memory.describe().path).unwrap();
        assert!(writable.set_len(10).is_err(), "sealed");
        // SAFETY: it is refused.
        #[allow(unsafe_code)]
        let mapped = unsafe { MmapMut::map_mut(&writable) };
        assert!(mapped.is_err(), "sealed");
    }

    #[test]
    fn another_memory_is_not_taken_for_the_right_one() {
        let memory = SharedMemory::new(3, 100, 42).unwrap();
        let slots = memory.describe();
        let other = SharedSlots { key: [7; 16], ..slots.clone() };
        assert!(SharedView::open(&other).is_err());
        for (count, len) in [(4, slots.slot_len), (3, u64::MAX), (0, slots.slot_len)] {
            assert!(SharedView::open(&SharedSlots { slots: count, slot_len: len, ..slots.clone() }).is_err());
        }
        let path = slots.path.clone();
        drop(memory);
        assert!(SharedView::open(&SharedSlots { path, ..slots }).is_err(), "gone with its server's session");
    }

    #[test]
    fn a_machine_knows_itself() {
        assert!(host_id().is_some_and(|id| id == host_id().unwrap() && id.len() > 36));
    }
}
