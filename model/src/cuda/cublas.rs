//! Products by cuBLASLt, in order with CubeCL's launches.
//!
//! The library works on a stream of its own, in the order of the [whole context](ContextOrder): nothing waits on the
//! processor. A graph cannot be captured of that.

use std::any::Any;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::from_ref;
use std::sync::{Arc, Mutex, PoisonError};

use cubecl::prelude::Client;
use cubecl::server::Handle;
use cudarc::cublaslt::{result as lt, sys as lt_sys};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result, sys};

use super::beside_recordings;
use super::column_major::ColumnMajor;
use super::context_order::ContextOrder;
use super::memory::WORKSPACE_BYTES;

/// `CUBLAS_OP_T`.
const TRANSPOSED: i32 = 1;

type Server = <cubecl::cuda::CudaRuntime as cubecl_runtime::runtime::Runtime>::Server;

/// Where a buffer lies; it stays there as long as this is held.
pub struct Address {
    /// On the device.
    pub at: u64,
    _held: Box<dyn Any + Send>,
}

impl Address {
    /// Of what `handle` stands for; `None` if no GPU holds it.
    pub fn of(client: &Client, handle: &Handle) -> Option<Self> {
        let held = client.get_resource::<Server>(handle.clone()).ok()?;
        Some(Self { at: held.resource().ptr, _held: Box::new(held) })
    }
}

/// What operands are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// 32 bits, multiplied as such.
    F32,
    /// bfloat16, summed in 32 bits.
    Bf16,
    /// [Eight bits](super::fp8), summed in 32; the second factor is transposed.
    Fp8,
}

/// A product as the library is told of it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows and columns.
    pub size: ColumnMajor,
    /// Of both factors.
    pub operand: Operand,
    /// Whether a bias is added to each row.
    pub has_bias: bool,
    /// Whether the product is added to what is there.
    pub adds: bool,
}

/// Where a product's matrices begin.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    /// The first factor, as it is written row after row.
    pub a: u64,
    /// The second.
    pub b: u64,
    /// What is added to each row.
    pub bias: Option<u64>,
    /// The product.
    pub c: u64,
    /// What the product is multiplied by.
    pub scale: f32,
}

/// The library, set up for one GPU.
pub struct Cublas {
    handle: lt_sys::cublasLtHandle_t,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    before: CudaEvent,
    after: CudaEvent,
    order: ContextOrder,
    workspace: sys::CUdeviceptr,
    plans: Mutex<HashMap<Shape, Plan>>,
}

/// A product's descriptors, and how the library thinks it best made.
#[derive(Clone, Copy)]
struct Plan {
    product: lt_sys::cublasLtMatmulDesc_t,
    /// Of the library's first factor, its second, and the product.
    layouts: [lt_sys::cublasLtMatrixLayout_t; 3],
    algorithm: lt_sys::cublasLtMatmulAlgo_t,
}

#[allow(unsafe_code, reason = "the library's handles are pointers")]
// SAFETY: cuBLASLt's handles may be used by any thread, one at a time, which the lock around plans sees to.
unsafe impl Send for Cublas {}
#[allow(unsafe_code, reason = "as above")]
// SAFETY: as above.
unsafe impl Sync for Cublas {}

impl Cublas {
    /// The library on the GPU numbered `index`.
    ///
    /// # Errors
    /// A line that says what is missing.
    #[allow(unsafe_code, reason = "a library of C")]
    pub fn new(index: usize) -> Result<Self, String> {
        // SAFETY: it looks for the library's file.
        if !unsafe { lt_sys::is_culib_present() } {
            return Err("cuBLASLt is not on this machine".to_owned());
        }
        let failed = |error: DriverError| format!("CUDA says {error}");
        let context = CudaContext::new(index).map_err(failed)?;
        let order = ContextOrder::new(&context)?;
        let stream = context.new_stream().map_err(failed)?;
        let (before, after) =
            (context.new_event(None).map_err(failed)?, context.new_event(None).map_err(failed)?);
        let handle = lt::create_handle().map_err(|error| format!("cuBLASLt says {error}"))?;
        // SAFETY: the context is this thread's, and the memory is freed once, when this is dropped.
        let workspace = unsafe { result::malloc_sync(WORKSPACE_BYTES) }.map_err(failed)?;
        Ok(Self { handle, context, stream, before, after, order, workspace, plans: Mutex::default() })
    }

    /// Enqueues a product behind everything that `client` was given so far, and before what it is given from now on.
    ///
    /// # Errors
    /// What the library or CUDA says; nothing was computed then.
    ///
    /// # Panics
    /// If the product was enqueued, and what follows cannot be made to wait for it: the device has failed.
    pub fn multiply(&self, client: &Client, shape: Shape, operands: Operands) -> Result<(), String> {
        // On the thread that hands CubeCL's launches to CUDA: those made before it are with CUDA then.
        let done = client.exclusive(|| self.enqueue(shape, operands));
        let ordered = done.map_err(|error| error.to_string())??;
        ordered.map_err(|lost| panic!("the device has failed: {lost}"))
    }

    /// Enqueues a product, if that can be, and then tells whether what follows waits for it.
    fn enqueue(&self, shape: Shape, operands: Operands) -> Result<Result<(), DriverError>, String> {
        self.context.bind_to_thread().map_err(|error| format!("CUDA says {error}"))?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = match plans.get(&shape) {
            Some(plan) => *plan,
            None => {
                let plan = self.plan(shape).map_err(|error| format!("cuBLASLt has no {shape:?}: {error}"))?;
                *plans.entry(shape).or_insert(plan)
            }
        };
        self.in_order(|| {
            self.launch(&plan, shape, operands).map_err(|error| format!("cuBLASLt says {error}"))
        })
    }

    /// Does `work` on the own stream, between what the context has been given and what it will be given.
    fn in_order(&self, work: impl FnOnce() -> Result<(), String>) -> Result<Result<(), DriverError>, String> {
        let before = self.order.follow_all(&self.stream, self.before.cu_event());
        before.map_err(|error| format!("CUDA says {error}"))?;
        work()?;
        Ok(self.order.precede_all(&self.stream, self.after.cu_event()))
    }

    #[allow(unsafe_code, reason = "a library of C")]
    fn launch(&self, plan: &Plan, shape: Shape, operands: Operands) -> Result<(), lt::CublasError> {
        let [first, second, product] = plan.layouts;
        let (alpha, beta) = (operands.scale, if shape.adds { 1.0_f32 } else { 0.0 });
        let (alpha, beta) = (from_ref(&alpha).cast::<c_void>(), from_ref(&beta).cast::<c_void>());
        let at = |address: u64| address as *const c_void;
        // SAFETY: the layouts say how large the matrices are, whose buffers the caller holds.
        unsafe {
            if let Some(bias) = operands.bias {
                let attribute = lt_sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
                set(plan.product, attribute, &bias)?;
            }
            lt::matmul(
                self.handle,
                plan.product,
                alpha,
                beta,
                // The second factor is the library's first.
                at(operands.b),
                first,
                at(operands.a),
                second,
                at(operands.c),
                product,
                operands.c as *mut c_void,
                product,
                &plan.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE_BYTES,
                self.stream.cu_stream().cast(),
            )
        }
    }

    #[allow(unsafe_code, reason = "a library of C")]
    fn plan(&self, shape: Shape) -> Result<Plan, lt::CublasError> {
        let (wide, number) = (
            lt_sys::cudaDataType::CUDA_R_32F,
            match shape.operand {
                Operand::F32 => lt_sys::cudaDataType::CUDA_R_32F,
                Operand::Bf16 => lt_sys::cudaDataType::CUDA_R_16BF,
                Operand::Fp8 => lt_sys::cudaDataType::CUDA_R_8F_E4M3,
            },
        );
        let product = lt::create_matmul_desc(lt_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, wide)?;
        let epilogue = match shape.has_bias {
            true => lt_sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            false => lt_sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT,
        };
        let layout = |number, [rows, columns]: [usize; 2]| {
            lt::create_matrix_layout(number, rows as u64, columns as u64, rows as i64)
        };
        let ColumnMajor { m, n, k } = shape.size;
        let transposes = shape.operand == Operand::Fp8;
        let first = if transposes { [k, m] } else { [m, k] };
        let layouts = [layout(number, first)?, layout(number, [k, n])?, layout(wide, [m, n])?];
        let preference = lt::create_matmul_pref()?;
        let most = lt_sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let bytes = from_ref(&WORKSPACE_BYTES).cast::<c_void>();
        // SAFETY: all descriptors were just made, and the attributes have these types.
        let best = unsafe {
            let attribute = lt_sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE;
            set(product, attribute, &epilogue)?;
            if transposes {
                let attribute = lt_sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA;
                set(product, attribute, &TRANSPOSED)?;
            }
            lt::set_matmul_pref_attribute(preference, most, bytes, size_of::<usize>())?;
            let [first, second, to] = layouts;
            let best = lt::get_matmul_algo_heuristic(self.handle, product, first, second, to, to, preference);
            lt::destroy_matmul_pref(preference)?;
            best?
        };
        Ok(Plan { product, layouts, algorithm: best.algo })
    }
}

impl Drop for Cublas {
    #[allow(unsafe_code, reason = "a library of C")]
    fn drop(&mut self) {
        let plans = self.plans.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is left to do where one of these fails. SAFETY: each was made here and is destroyed once, when the stream
        // has nothing left to do.
        beside_recordings(|| unsafe {
            let _ = self.stream.synchronize();
            for plan in plans.values() {
                for layout in plan.layouts {
                    let _ = lt::destroy_matrix_layout(layout);
                }
                let _ = lt::destroy_matmul_desc(plan.product);
            }
            let _ = lt::destroy_handle(self.handle);
            let _ = self.context.bind_to_thread();
            let _ = result::free_sync(self.workspace);
        });
    }
}

/// Sets an attribute of a product.
///
/// # Safety
/// The attribute must be of this type.
#[allow(unsafe_code, reason = "a library of C")]
unsafe fn set<T>(
    product: lt_sys::cublasLtMatmulDesc_t,
    attribute: lt_sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> Result<(), lt::CublasError> {
    // SAFETY: the caller says so.
    unsafe { lt::set_matmul_desc_attribute(product, attribute, from_ref(value).cast(), size_of::<T>()) }
}
