//! Order between a stream of one's own and all others of a CUDA context, whose owners (CubeCL is one) keep them to themselves.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys};
use libloading::Library;

/// Where the driver is.
const DRIVER: &str = "libcuda.so.1";

type OfContext = unsafe extern "C" fn(sys::CUcontext, sys::CUevent) -> sys::CUresult;

/// Events that stand for a whole context (`cuCtxRecordEvent`, `cuCtxWaitEvent`: CUDA 12.5), looked up when the program runs, so
/// that it can be built, and says what is missing, with an older CUDA.
///
/// A context with a graph under capture takes none of them: see [`beside_recordings`](super::beside_recordings).
pub struct ContextOrder {
    context: Arc<CudaContext>,
    record: OfContext,
    wait: OfContext,
    _driver: Library,
}

impl ContextOrder {
    /// Of `context`.
    ///
    /// # Errors
    /// A line that says what the driver lacks.
    #[allow(unsafe_code, reason = "a library of C")]
    pub fn new(context: &Arc<CudaContext>) -> Result<Self, String> {
        // SAFETY: whoever has a context has loaded the driver already; nothing of it runs on loading.
        let driver = unsafe { Library::new(DRIVER) }.map_err(|error| format!("no {DRIVER}: {error}"))?;
        let function = |name: &str| {
            // SAFETY: both functions have this type (CUDA's driver API).
            let found = unsafe { driver.get::<OfContext>(name.as_bytes()) };
            found
                .map(|found| *found)
                .map_err(|_| format!("the driver has no {name}: one of CUDA 12.5 or later is needed"))
        };
        let (record, wait) = (function("cuCtxRecordEvent")?, function("cuCtxWaitEvent")?);
        Ok(Self { context: Arc::clone(context), record, wait, _driver: driver })
    }

    /// Lets `stream` wait for all that anybody has given the context to do by now. `event` is of this context.
    ///
    /// # Errors
    /// What the driver says.
    #[allow(unsafe_code, reason = "CUDA's driver API")]
    pub fn follow_all(&self, stream: &CudaStream, event: sys::CUevent) -> Result<(), DriverError> {
        // SAFETY: context, stream and event are of one device and live during the calls.
        unsafe {
            (self.record)(self.context.cu_ctx(), event).result()?;
            let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
            result::stream::wait_event(stream.cu_stream(), event, flags)
        }
    }

    /// Lets all that anybody gives the context to do from now on wait for what `stream` has been given by now. `event` is of
    /// this context.
    ///
    /// # Errors
    /// What the driver says.
    #[allow(unsafe_code, reason = "CUDA's driver API")]
    pub fn precede_all(&self, stream: &CudaStream, event: sys::CUevent) -> Result<(), DriverError> {
        // SAFETY: as above.
        unsafe {
            result::event::record(event, stream.cu_stream())?;
            (self.wait)(self.context.cu_ctx(), event).result()
        }
    }
}
