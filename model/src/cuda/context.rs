//! A device's memory and launches, as far as the step engine needs them.

#[cfg(feature = "cuda")]
use std::cell::OnceCell;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::pin::Pin;
#[cfg(feature = "cuda")]
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use cubecl::bytes::Bytes;
use cubecl::prelude::*;
use cubecl::server::{Handle, ServerError};
use cubecl_environment::stream::StreamId;
use cubek_matmul::routine::BlueprintStrategy;
use cubek_matmul::strategy::Strategy;
use cubek_matmul::tiled;

#[cfg(feature = "cuda")]
use super::cublas::{Address, Cublas};
use super::exchange::Place;
use super::memory::COLUMNS;
#[cfg(feature = "cuda")]
use super::memory::WORKSPACE_BYTES;
use super::meter::{Cost, Meter};
use super::profile::KernelTime;

/// Launches that the processor's queue takes before it stalls.
const QUEUE_MAX: usize = 24;
/// Times that waiting for nothing is timed.
const WAITS: u32 = 16;
/// Numbers of the engines' streams, far from those that threads are given.
static STREAMS: AtomicU64 = AtomicU64::new(1 << 32);

/// What operands of products are stored as.
pub trait Stored: Float + CubeElement {
    /// The nearest number.
    fn nearest(value: f32) -> Self;

    /// The same number, 32 bits wide.
    fn wide(self) -> f32;
}

impl Stored for f32 {
    fn nearest(value: f32) -> Self {
        value
    }

    fn wide(self) -> f32 {
        self
    }
}

impl Stored for half::bf16 {
    fn nearest(value: f32) -> Self {
        Self::from_f32(value)
    }

    fn wide(self) -> f32 {
        self.to_f32()
    }
}

/// A device, and a stream of it on which launches follow one another, whichever thread makes them.
pub struct Context {
    client: Client,
    stream: StreamId,
    is_processor: bool,
    cores: u32,
    plane: u32,
    /// How products are divided into tiles.
    tiles: Strategy,
    nothing: [Handle; 2],
    queued: Cell<usize>,
    bytes: Cell<u64>,
    library: RefCell<Library>,
    meter: RefCell<Option<Meter>>,
}

/// NVIDIA's library for products, if it was asked for.
#[derive(Default)]
struct Library {
    /// Why products are made without it.
    refused: Option<String>,
    /// As long as the context is there, refused or not: what goes with it wants no [turn](Turn) around it.
    #[cfg(feature = "cuda")]
    cublas: Option<Arc<Cublas>>,
}

impl Context {
    /// A new stream on `device`.
    ///
    /// # Errors
    /// A line that says why the device cannot be used.
    pub fn new(device: &cubecl::Device) -> Result<Self, String> {
        let client = device.client();
        let hardware = &client.properties().hardware;
        let (plane, cores) = (hardware.plane_size_max, hardware.max_units_per_cube);
        let stream = StreamId { value: STREAMS.fetch_add(1, Ordering::Relaxed) };
        let nothing = stream.executes(|| [client.empty(64), client.empty(64)]);
        let is_processor = client.name() == "cpu";
        let tiles = match is_processor {
            true => tiled::Strategy::CpuGemm(BlueprintStrategy::default()),
            false => tiled::Strategy::Cmma(BlueprintStrategy::default()),
        };
        Ok(Self {
            client,
            stream,
            tiles: Strategy::Tiled(tiles),
            is_processor,
            cores,
            plane,
            nothing,
            queued: Cell::new(0),
            bytes: Cell::new(0),
            library: RefCell::default(),
            meter: RefCell::new(None),
        })
    }

    /// Whether products are made by NVIDIA's library: then launches cannot be recorded.
    pub fn has_library(&self) -> bool {
        #[cfg(feature = "cuda")]
        return self.cublas().is_some();
        #[cfg(not(feature = "cuda"))]
        false
    }

    /// What makes products, and why it is not NVIDIA's library where that was wanted.
    pub fn products(&self) -> String {
        match &self.library.borrow().refused {
            Some(why) => format!("cubek ({why})"),
            None if self.has_library() => "cuBLASLt".to_owned(),
            None => "cubek".to_owned(),
        }
    }

    /// Goes on without NVIDIA's library.
    pub fn refuse_library(&self, why: String) {
        self.library.borrow_mut().refused = Some(why);
    }

    /// Has products made by NVIDIA's library from now on, if `device` is a GPU and that is there.
    pub fn take_library(&self, device: &cubecl::Device) {
        #[cfg(feature = "cuda")]
        if let cubecl::Device::Cuda(device) = device {
            match Cublas::new(device.index) {
                Ok(cublas) => {
                    self.count(WORKSPACE_BYTES);
                    self.library.borrow_mut().cublas = Some(Arc::new(cublas));
                }
                Err(why) => self.refuse_library(why),
            }
        }
        #[cfg(not(feature = "cuda"))]
        let _ = device;
    }

    /// NVIDIA's library, if products are made by it.
    #[cfg(feature = "cuda")]
    pub fn cublas(&self) -> Option<Arc<Cublas>> {
        let library = self.library.borrow();
        library.cublas.clone().filter(|_| library.refused.is_none())
    }

    /// A turn on this context's stream, beside those of other contexts.
    pub fn shared(&self) -> Turn {
        Turn { stream: self.stream, alone: false }
    }

    /// A turn in which no other context of this program works.
    pub fn alone(&self) -> Turn {
        Turn { stream: self.stream, alone: true }
    }

    /// Whether it is the processor that stands in for a GPU.
    pub fn is_processor(&self) -> bool {
        self.is_processor
    }

    /// Bytes that its buffers have asked for.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Does `work`, which keeps none of the buffers that it makes.
    pub fn not_counting<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.bytes.get();
        let done = work();
        self.bytes.set(before);
        done
    }

    fn count(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// What launches go through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How products are divided into tiles: for the matrix units of a GPU, or the caches of the processor.
    pub fn tiles(&self) -> &Strategy {
        &self.tiles
    }

    /// Two buffers of a few bytes, for arguments that a kernel does not read.
    pub fn nothing<T: CubeElement>(&self) -> [Buffer<T>; 2] {
        self.nothing.clone().map(|handle| Buffer::new(handle, COLUMNS))
    }

    /// Cubes and units for work on each of `count` things by itself.
    pub fn each(&self, count: usize) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new(&self.client, count);
        (cubecl::calculate_cube_count_elemwise(&self.client, count, dim), dim)
    }

    /// Cubes and units for `count` things that a plane each works on: a warp of the GPU, one unit of the processor.
    pub fn planes(&self, count: usize) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new(&self.client, count * self.plane as usize);
        (CubeCount::Static((count as u32).div_ceil(dim.y), 1, 1), dim)
    }

    /// Units of a cube that shares `count` things of `bytes` in all, and whether these are to be fetched into shared memory: if
    /// they fit there, but on the processor that is the same memory, and waiting for one another costs more than anything
    /// else.
    pub fn units(&self, count: usize, bytes: usize) -> (u32, bool) {
        if self.is_processor {
            return (self.cores.min(count as u32), false);
        }
        let fits = bytes <= self.client.properties().hardware.max_shared_memory_size;
        ((count as u32).next_multiple_of(self.plane).min(self.cores), fits)
    }

    /// To be called after each launch, with what that does.
    pub fn launched(&self, cost: Cost) {
        let queued = self.queued.get() + 1;
        self.queued.set(queued);
        if let Some(meter) = self.meter.borrow_mut().as_mut() {
            self.wait();
            return meter.end(cost);
        }
        if self.is_processor && queued.is_multiple_of(QUEUE_MAX) {
            self.wait();
        }
    }

    /// Waits for each launch of `runs` times `work`, and tells what they took.
    pub fn metered(&self, runs: usize, mut work: impl FnMut()) -> Vec<KernelTime> {
        self.wait();
        let start = Instant::now();
        (0..WAITS).for_each(|_| self.wait());
        let wait = start.elapsed().as_secs_f64() / f64::from(WAITS);
        *self.meter.borrow_mut() = Some(Meter::new(wait));
        for _ in 0..runs {
            self.with_meter(Meter::begin);
            work();
            self.with_meter(Meter::end_step);
        }
        self.meter.borrow_mut().take().map_or_else(Vec::new, Meter::kernels)
    }

    fn with_meter(&self, act: impl FnOnce(&mut Meter)) {
        self.meter.borrow_mut().as_mut().map(act);
    }

    /// Waits until everything launched so far is done.
    ///
    /// # Panics
    /// If the device has failed: nothing that was on it is known then.
    pub fn wait(&self) {
        let done = cubecl::future::block_on(self.client.sync());
        done.unwrap_or_else(|error| panic!("the device has failed: {error}"));
    }
}

/// While a device records launches, CUDA refuses some of what other threads may ask of it or of other devices.
static RECORDING: RwLock<()> = RwLock::new(());

/// Does `work` while no device records launches; not within a [`Turn`].
#[cfg(feature = "cuda")]
pub fn beside_recordings<T>(work: impl FnOnce() -> T) -> T {
    let _shared = RECORDING.read().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// A time for work on a context's stream.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    stream: StreamId,
    alone: bool,
}

impl Turn {
    /// Does `work`, whose launches follow one another on the stream whichever thread this is. Turns do not nest.
    pub fn do_on_stream<T>(self, work: impl FnOnce() -> T) -> T {
        // Nothing is behind this lock that a panic could have left in pieces.
        let (_shared, _alone);
        if self.alone {
            _alone = RECORDING.write().unwrap_or_else(PoisonError::into_inner);
        } else {
            _shared = RECORDING.read().unwrap_or_else(PoisonError::into_inner);
        }
        self.stream.executes(work)
    }
}

/// Bytes on their way from the device.
pub struct Arriving<'a>(Pin<Box<dyn Future<Output = Result<Vec<Bytes>, ServerError>> + Send + 'a>>);

impl Arriving<'_> {
    /// Waits for them.
    ///
    /// # Panics
    /// If the device has failed: nothing that was on it is known then.
    pub fn wait(self) -> Bytes {
        let bytes = cubecl::future::block_on(self.0);
        bytes.unwrap_or_else(|error| panic!("the device has failed: {error}")).remove(0)
    }
}

/// Numbers in a device's memory.
pub struct Buffer<T> {
    handle: Handle,
    len: usize,
    kind: PhantomData<T>,
    #[cfg(feature = "cuda")]
    address: OnceCell<Address>,
}

impl<T: CubeElement> Buffer<T> {
    /// Room for `len` numbers, with whatever was there.
    pub fn empty(context: &Context, len: usize) -> Self {
        context.count(len * size_of::<T>());
        let handle = context.client.empty((len * size_of::<T>()).max(1));
        Self::new(handle, len)
    }

    fn new(handle: Handle, len: usize) -> Self {
        Self {
            handle,
            len,
            kind: PhantomData,
            #[cfg(feature = "cuda")]
            address: OnceCell::new(),
        }
    }

    /// Where on a GPU it begins; `None` if it is on none.
    #[cfg(feature = "cuda")]
    pub fn address(&self, context: &Context) -> Option<u64> {
        if let Some(address) = self.address.get() {
            return Some(address.at);
        }
        let address = Address::of(&context.client, &self.handle)?;
        Some(self.address.get_or_init(|| address).at)
    }

    /// A copy of `values`.
    pub fn of(context: &Context, values: &[T]) -> Self {
        context.count(size_of_val(values));
        let handle = context.client.create_from_slice(T::as_bytes(values));
        Self::new(handle, values.len())
    }

    /// The array at `place` of a buffer of bytes.
    pub fn view(whole: &Buffer<u8>, place: Place<T>) -> Self {
        let end = whole.len - place.at - place.len * size_of::<T>();
        let handle = whole.handle.clone().offset_start(place.at as u64).offset_end(end as u64);
        Self::new(handle, place.len)
    }

    /// Numbers that it has room for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies `values` to its beginning: on a GPU out of page-locked memory, so that nothing waits for the copy.
    pub fn write(&self, context: &Context, values: Vec<T>) {
        debug_assert!(values.len() <= self.len);
        let part = self.part(0, values.len());
        let mut bytes = Bytes::from_elems(values);
        if !context.is_processor {
            context.client.staging(std::iter::once(&mut bytes), false);
        }
        context.client.write(&part, bytes);
    }

    /// Copies `values` to where `at` numbers come before them.
    pub fn write_at(&self, context: &Context, at: usize, values: &[T]) {
        context.client.write(&self.part(at, values.len()), Bytes::from_elems(values.to_vec()));
    }

    /// Copies its first numbers to `out`, when everything launched so far is done.
    ///
    /// # Panics
    /// If the device has failed: nothing that was on it is known then.
    pub fn read(&self, context: &Context, out: &mut [T]) {
        self.read_at(context, 0, out);
    }

    /// As [`read`](Self::read), those that come after `at` numbers.
    ///
    /// # Panics
    /// As [`read`](Self::read).
    pub fn read_at(&self, context: &Context, at: usize, out: &mut [T]) {
        out.copy_from_slice(T::from_bytes(&self.fetch(context, at, out.len())));
    }

    /// As [`read`](Self::read), as bytes where the device's runtime put them (on a GPU, page-locked memory).
    ///
    /// # Panics
    /// As [`read`](Self::read).
    pub fn first(&self, context: &Context, count: usize) -> Bytes {
        self.fetch(context, 0, count)
    }

    /// As [`first`](Self::first), without waiting: what is launched from now on may write over them on the device.
    ///
    /// # Panics
    /// As [`read`](Self::read), on a processor.
    pub fn first_later<'a>(&self, context: &'a Context, count: usize) -> Arriving<'a> {
        let arriving = Arriving(Box::pin(context.client.read_async(vec![self.part(0, count)])));
        // A GPU's copies are in order with its launches; a processor gives its own memory.
        if context.is_processor {
            let here = Bytes::from_bytes_vec(arriving.wait().to_vec());
            return Arriving(Box::pin(std::future::ready(Ok(vec![here]))));
        }
        arriving
    }

    fn fetch(&self, context: &Context, at: usize, count: usize) -> Bytes {
        let bytes = context.client.read_one(self.part(at, count));
        bytes.unwrap_or_else(|error| panic!("the device has failed: {error}"))
    }

    fn part(&self, at: usize, count: usize) -> Handle {
        let size = size_of::<T>();
        let part = self.handle.clone().offset_start((at * size) as u64);
        part.offset_end(((self.len - at - count) * size) as u64)
    }

    /// Where it is in the memory of a CUDA card, when everything launched so far is on its stream; none elsewhere.
    pub fn address_once_launched(&self, context: &Context) -> Option<u64> {
        #[cfg(feature = "cuda")]
        {
            context.client.flush().ok()?;
            self.address(context)
        }
        #[cfg(not(feature = "cuda"))]
        {
            let _ = context;
            None
        }
    }

    /// As an argument of a kernel.
    #[allow(unsafe_code, reason = "the one way to an argument; its length is the buffer's own")]
    pub fn arg(&self) -> BufferArg {
        // SAFETY: the handle was made for so many numbers.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.len) }
    }

    /// As an argument of a kernel that takes vectors of `count` numbers.
    #[allow(unsafe_code, reason = "the one way to an argument; its length is the buffer's own")]
    pub fn vectors(&self, count: usize) -> BufferArg {
        // SAFETY: the handle was made for so many numbers, and is as aligned as the device's allocator makes it.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.len / count) }
    }

    /// Its first numbers as a matrix, row after row.
    #[allow(unsafe_code, reason = "the one way to a matrix; its size is within the buffer's own")]
    pub fn matrix(&self, rows: usize, columns: usize) -> TensorBinding {
        debug_assert!(rows * columns <= self.len);
        // SAFETY: the handle was made for at least so many numbers.
        unsafe {
            TensorBinding::from_raw_parts(self.handle.clone(), [columns, 1].into(), [rows, columns].into())
        }
    }
}
