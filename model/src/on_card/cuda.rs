//! A CUDA card whose memory other processes of the machine can open.
//!
//! Memory is the driver's own (`cuMemAlloc`): what CubeCL's pools give out need not have handles. All copies are on one
//! stream; events order it with CubeCL's streams and with those of clients, so that no host waits for the card.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_uint};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use cudarc::driver::sys::{self, CUevent, CUresult, CUstream};
use cudarc::driver::{CudaContext, CudaStream, DriverError, result};
use worldstep_env::DType;

use super::dlpack::{CUDA, Contents, DLDevice, ManagedTensor};
use super::{ACTION_WAIT_MAX, Card, CardError, CardRows, Part, SlotHandles, SlotSizes, Slots};
use crate::cuda::{ContextOrder, beside_recordings};

/// What the driver hands memory to other processes in.
const PAGE: usize = 2 << 20;
/// What slots begin with a multiple of.
const ALIGNMENT: usize = 4096;
/// How often an event is looked at that has not come.
const POLL: Duration = Duration::from_micros(20);

/// A card, by its number.
pub struct CudaCard(Arc<Device>);

/// Cards in use, by their numbers. Each has one stream, whoever's engines and sessions are on it: what goes to rows and from
/// there to slots is in order.
static IN_USE: Mutex<BTreeMap<usize, Weak<Device>>> = Mutex::new(BTreeMap::new());

/// Its context, which it shares with CubeCL and every framework, and a stream of its own.
struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    order: ContextOrder,
    name: String,
}

impl CudaCard {
    /// The card with this number.
    ///
    /// # Errors
    /// A line that says why it cannot be used: its driver must be of CUDA 12.5 or later.
    pub fn new(number: usize) -> Result<Self, CardError> {
        beside_recordings(|| {
            let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(device) = in_use.get(&number).and_then(Weak::upgrade) {
                return Ok(Self(device));
            }
            let card = format!("cuda:{number}");
            let failed = |call: &'static str| {
                let card = card.clone();
                move |error: DriverError| CardError::Driver { card, call, message: error.to_string() }
            };
            let context = CudaContext::new(number).map_err(failed("cuDevicePrimaryCtxRetain"))?;
            let order = ContextOrder::new(&context).map_err(|message| CardError::Driver {
                card: card.clone(),
                call: "cuCtxRecordEvent",
                message,
            })?;
            let stream = context.new_stream().map_err(failed("cuStreamCreate"))?;
            let uuid = context.uuid().map_err(failed("cuDeviceGetUuid"))?;
            let digits = uuid.bytes.iter().map(|byte| format!("{:02x}", byte.cast_unsigned()));
            let name = format!("cuda:{}", digits.collect::<String>());
            let device = Arc::new(Device { context, stream, order, name });
            in_use.insert(number, Arc::downgrade(&device));
            Ok(Self(device))
        })
    }
}

impl Device {
    /// Does `work` with the card's context current.
    fn with<T>(
        &self,
        call: &'static str,
        work: impl FnOnce(CUstream) -> Result<T, DriverError>,
    ) -> Result<T, CardError> {
        let done = self.context.bind_to_thread().and_then(|()| work(self.stream.cu_stream()));
        done.map_err(|error| CardError::Driver { card: self.name.clone(), call, message: error.to_string() })
    }

    /// As [`with`](Self::with), while no device records launches; not within a turn of the engine's.
    fn beside<T>(
        &self,
        call: &'static str,
        work: impl FnOnce(CUstream) -> Result<T, DriverError>,
    ) -> Result<T, CardError> {
        beside_recordings(|| self.with(call, work))
    }
}

/// Memory of the driver's own.
struct Memory {
    device: Arc<Device>,
    address: u64,
}

impl Memory {
    /// `len` zeros.
    fn new(device: &Arc<Device>, len: usize) -> Result<Self, CardError> {
        // SAFETY: nothing of it is looked at before it is set.
        #[allow(unsafe_code)]
        let address = device.beside("cuMemAlloc", |_| unsafe { result::malloc_sync(len.max(1)) })?;
        let memory = Self { device: Arc::clone(device), address };
        // On the stream that everything after it is on: a fill of device memory waits for nothing, whatever it is called.
        // SAFETY: what is set is what was just allocated.
        #[allow(unsafe_code)]
        device.beside("cuMemsetD8", |stream| unsafe {
            result::memset_d8_async(address, 0, len.max(1), stream)
        })?;
        Ok(memory)
    }

    /// Copies `part` to `at` bytes from its beginning, on the stream.
    fn put(&self, at: usize, part: Part<'_>) -> Result<(), CardError> {
        let to = self.address + at as u64;
        // SAFETY: callers have checked that it fits; bytes of the host are read before this returns, as with all memory
        // that is not page-locked.
        #[allow(unsafe_code)]
        match part {
            Part::Host(bytes) => self
                .device
                .beside("cuMemcpyHtoD", |stream| unsafe { result::memcpy_htod_async(to, bytes, stream) }),
            Part::Card { address, len } => self.device.with("cuMemcpyDtoD", |stream| unsafe {
                result::memcpy_dtod_async(to, address, len, stream)
            }),
        }
    }

    /// Copies what is `at` bytes from its beginning, and waits for it.
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), CardError> {
        // SAFETY: callers have checked that it is there; `out` is not looked at before the copy is done.
        #[allow(unsafe_code)]
        self.device.beside("cuMemcpyDtoH", |stream| unsafe {
            result::memcpy_dtoh_async(out, self.address + at as u64, stream)?;
            result::stream::synchronize(stream)
        })
    }

    fn handle(&self) -> Result<Vec<u8>, CardError> {
        let mut handle = sys::CUipcMemHandle { reserved: [0; 64] };
        // SAFETY: the memory is the driver's own and still there.
        #[allow(unsafe_code)]
        self.device.beside("cuIpcGetMemHandle", |_| unsafe {
            sys::cuIpcGetMemHandle(&raw mut handle, self.address).result()
        })?;
        Ok(bytes_of(&handle.reserved))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated here, and nobody has it any more.
        #[allow(unsafe_code)]
        let freed = self.device.beside("cuMemFree", |_| unsafe { result::free_sync(self.address) });
        // A card that has failed has freed everything.
        drop(freed);
    }
}

/// A mark on a stream.
struct Event {
    device: Arc<Device>,
    event: CUevent,
}

// SAFETY: the driver lets every thread use it.
#[allow(unsafe_code)]
unsafe impl Send for Event {}

impl Event {
    /// An event of this process, or one that others can open.
    fn new(device: &Arc<Device>, is_shared: bool) -> Result<Self, CardError> {
        let timeless = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING as c_uint;
        let shared = if is_shared { sys::CUevent_flags::CU_EVENT_INTERPROCESS as c_uint } else { 0 };
        let mut event: CUevent = std::ptr::null_mut();
        // SAFETY: the driver writes the event, and nothing else.
        #[allow(unsafe_code)]
        device.beside("cuEventCreate", |_| unsafe {
            sys::cuEventCreate(&raw mut event, timeless | shared).result()
        })?;
        Ok(Self { device: Arc::clone(device), event })
    }

    /// As many as there are slots.
    fn several(device: &Arc<Device>, count: usize) -> Result<Vec<Self>, CardError> {
        (0..count).map(|_| Self::new(device, true)).collect()
    }

    /// Marks what is on the card's stream by now.
    fn record(&self) -> Result<(), CardError> {
        // SAFETY: both are there as long as this is.
        #[allow(unsafe_code)]
        self.device.with("cuEventRecord", |stream| unsafe { result::event::record(self.event, stream) })
    }

    /// Lets the card's stream wait for all that anybody in this process has given the card to do by now.
    fn follow_all(&self) -> Result<(), CardError> {
        self.device
            .with("cuCtxRecordEvent", |_| self.device.order.follow_all(&self.device.stream, self.event))
    }

    /// Lets all that anybody in this process gives the card to do from now on wait for what is on its stream.
    fn precede_all(&self) -> Result<(), CardError> {
        self.device.with("cuCtxWaitEvent", |_| self.device.order.precede_all(&self.device.stream, self.event))
    }

    /// Whether what it marks is done; one that was never recorded marks nothing. To ask spoils what a device records.
    fn is_done(&self) -> Result<bool, CardError> {
        // SAFETY: it is there as long as this is.
        #[allow(unsafe_code)]
        self.device.beside("cuEventQuery", |_| match unsafe { sys::cuEventQuery(self.event) } {
            CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            done => done.result().map(|()| true),
        })
    }

    /// Lets `stream` wait for it.
    fn hold(&self, stream: u64) -> Result<(), CardError> {
        // SAFETY: a stream of the same context, as callers promise by naming it.
        #[allow(unsafe_code)]
        self.device.with("cuStreamWaitEvent", |_| unsafe {
            sys::cuStreamWaitEvent(stream as CUstream, self.event, 0).result()
        })
    }

    fn handle(&self) -> Result<Vec<u8>, CardError> {
        let mut handle = sys::CUipcEventHandle { reserved: [0; 64] };
        // SAFETY: it was made to be opened by others.
        #[allow(unsafe_code)]
        self.device.beside("cuIpcGetEventHandle", |_| unsafe {
            sys::cuIpcGetEventHandle(&raw mut handle, self.event).result()
        })?;
        Ok(bytes_of(&handle.reserved))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it was made here, and nobody has it any more.
        #[allow(unsafe_code)]
        let destroyed =
            self.device.with("cuEventDestroy", |_| unsafe { sys::cuEventDestroy_v2(self.event).result() });
        drop(destroyed);
    }
}

impl Card for CudaCard {
    fn name(&self) -> String {
        self.0.name.clone()
    }

    fn rows(&self, rows: usize, row_len: usize) -> Result<Box<dyn CardRows>, CardError> {
        let memory = Memory::new(&self.0, rows * row_len)?;
        Ok(Box::new(Rows { memory, row_len, order: Event::new(&self.0, false)? }))
    }

    fn slots(&self, sizes: SlotSizes, key: u128) -> Result<Box<dyn Slots>, CardError> {
        Ok(Box::new(CudaSlots::new(&self.0, sizes, key)?))
    }
}

struct Rows {
    memory: Memory,
    row_len: usize,
    order: Event,
}

impl CardRows for Rows {
    fn put(&mut self, first: usize, part: Part<'_>) -> Result<(), CardError> {
        let at = first * self.row_len;
        if let Part::Host(_) = part {
            return self.memory.put(at, part);
        }
        // The engine has launched what writes there, has nothing recorded, and goes on to write there again.
        self.order.follow_all()?;
        self.memory.put(at, part)?;
        self.order.precede_all()
    }

    fn part(&self, rows: Range<usize>) -> Part<'_> {
        let address = self.memory.address + (rows.start * self.row_len) as u64;
        Part::Card { address, len: rows.len() * self.row_len }
    }

    fn read(&self, row: usize, out: &mut [u8]) -> Result<(), CardError> {
        self.memory.read(row * self.row_len, out)
    }
}

struct CudaSlots {
    memory: Arc<Memory>,
    sizes: SlotSizes,
    handles: SlotHandles,
    events: Vec<Event>,
    action_events: Vec<Event>,
    /// Slots written so far.
    taken: usize,
}

impl CudaSlots {
    fn new(device: &Arc<Device>, sizes: SlotSizes, key: u128) -> Result<Self, CardError> {
        let sizes = SlotSizes {
            slot_len: sizes.slot_len.next_multiple_of(ALIGNMENT),
            action_len: sizes.action_len.next_multiple_of(ALIGNMENT),
            ..sizes
        };
        let actions_offset = ALIGNMENT + sizes.slots * sizes.slot_len;
        let len = actions_offset + sizes.action_slots * sizes.action_len;
        // Others are given whole pages of the card's: nothing else is to be in them.
        let memory = Memory::new(device, len.next_multiple_of(PAGE))?;
        memory.put(0, Part::Host(&key.to_le_bytes()))?;
        let events = Event::several(device, sizes.slots)?;
        let action_events = Event::several(device, sizes.action_slots)?;
        // The key is there before anybody is told where.
        let mut written = [0; 16];
        memory.read(0, &mut written)?;
        if written != key.to_le_bytes() {
            let message = "the session's key is not where it was written".to_owned();
            return Err(CardError::Driver { card: device.name.clone(), call: "cuMemcpyDtoH", message });
        }
        let handles = SlotHandles {
            card: device.name.clone(),
            memory: memory.handle()?,
            key: written,
            offset: ALIGNMENT as u64,
            slots: sizes.slots as u32,
            slot_len: sizes.slot_len as u64,
            events: events.iter().map(Event::handle).collect::<Result<_, _>>()?,
            actions_offset: actions_offset as u64,
            action_slots: sizes.action_slots as u32,
            action_slot_len: sizes.action_len as u64,
            action_events: action_events.iter().map(Event::handle).collect::<Result<_, _>>()?,
        };
        Ok(Self { memory: Arc::new(memory), sizes, handles, events, action_events, taken: 0 })
    }

    fn slot_at(&self, slot: u32) -> usize {
        ALIGNMENT + slot as usize * self.sizes.slot_len
    }
}

impl Slots for CudaSlots {
    fn handles(&self) -> SlotHandles {
        self.handles.clone()
    }

    fn publish(&mut self, parts: &[Part<'_>]) -> Result<u32, CardError> {
        let slot = (self.taken % self.sizes.slots) as u32;
        check_size(parts.iter().map(Part::len).sum(), slot, (self.sizes.slots, self.sizes.slot_len))?;
        self.taken += 1;
        let mut at = self.slot_at(slot);
        for part in parts {
            self.memory.put(at, *part)?;
            at += part.len();
        }
        self.events[slot as usize].record()?;
        Ok(slot)
    }

    fn actions(&mut self, seq: u64, out: &mut [u8]) -> Result<(), CardError> {
        let slot = (seq % self.sizes.action_slots as u64) as u32;
        check_size(out.len(), slot, (self.sizes.action_slots, self.sizes.action_len))?;
        let started = Instant::now();
        while !self.action_events[slot as usize].is_done()? {
            let waited = started.elapsed();
            if waited > ACTION_WAIT_MAX {
                return Err(CardError::Late { waited });
            }
            std::thread::sleep(POLL);
        }
        let at = self.handles.actions_offset as usize + slot as usize * self.sizes.action_len;
        self.memory.read(at, out)
    }

    fn tensor(
        &self,
        slot: u32,
        shape: &[usize],
        dtype: DType,
        stream: u64,
    ) -> Result<ManagedTensor, CardError> {
        let bytes = shape.iter().product::<usize>() * dtype.size();
        check_size(bytes, slot, (self.sizes.slots, self.sizes.slot_len))?;
        self.events[slot as usize].hold(stream)?;
        let number = self.memory.device.context.ordinal() as i32;
        let contents = Contents {
            address: self.memory.address + self.slot_at(slot) as u64,
            device: DLDevice { device_type: CUDA, device_id: number },
            shape: shape.iter().map(|length| *length as i64).collect(),
            dtype,
            flags: 0,
        };
        Ok(ManagedTensor::new(contents, Arc::clone(&self.memory) as _))
    }
}

fn check_size(bytes: usize, slot: u32, (slots, bytes_max): (usize, usize)) -> Result<(), CardError> {
    if bytes <= bytes_max && (slot as usize) < slots {
        return Ok(());
    }
    Err(CardError::Size { bytes, bytes_max, slot, slots })
}

fn bytes_of(handle: &[c_char]) -> Vec<u8> {
    handle.iter().map(|byte| byte.cast_unsigned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The first card, if there is one.
    fn card() -> Option<CudaCard> {
        // Without a driver's library, cudarc panics.
        let found = std::panic::catch_unwind(|| CudaCard::new(0)).ok().and_then(Result::ok);
        if found.is_none() {
            eprintln!("SKIPPED: no GPU here, copies and handles on a card are not tested");
        }
        found
    }

    #[test]
    fn rows_keep_what_is_put_from_host_and_card() {
        let Some(card) = card() else { return };
        let mut rows = card.rows(3, 4).unwrap();
        rows.put(0, Part::Host(&[1, 2, 3, 4, 5, 6, 7, 8])).unwrap();
        let mut other = card.rows(1, 4).unwrap();
        other.put(0, Part::Host(&[9; 4])).unwrap();
        rows.put(2, other.part(0..1)).unwrap();
        for (row, expected) in [[1, 2, 3, 4], [5, 6, 7, 8], [9; 4]].into_iter().enumerate() {
            let mut read = [0; 4];
            rows.read(row, &mut read).unwrap();
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn slots_are_written_in_turn_and_show_as_tensors_of_the_card() {
        let Some(card) = card() else { return };
        let sizes = SlotSizes { slots: 3, slot_len: 8, action_slots: 2, action_len: 4 };
        let mut slots = card.slots(sizes, 42).unwrap();
        let handles = slots.handles();
        assert_eq!((handles.key, handles.card), (42_u128.to_le_bytes(), card.name()));
        assert_eq!((handles.memory.len(), handles.events.len(), handles.action_events.len()), (64, 3, 2));
        let addresses: Vec<_> = (0..4)
            .map(|turn| {
                let slot = slots.publish(&[Part::Host(&[turn; 8])]).unwrap();
                let tensor = slots.tensor(slot, &[2, 4], DType::Uint8, 0).unwrap();
                assert_eq!(tensor.device(), DLDevice { device_type: CUDA, device_id: 0 });
                tensor.address()
            })
            .collect();
        assert_eq!(addresses[3], addresses[0]);
        // Nobody has recorded anything: they count as there.
        let mut actions = [1; 4];
        slots.actions(1, &mut actions).unwrap();
        assert_eq!(actions, [0; 4]);
        let mut large = vec![0; handles.action_slot_len as usize + 1];
        assert!(slots.actions(2, &mut large).is_err());
    }
}
