//! Tensors as [DLPack 1.0](https://dmlc.github.io/dlpack/latest/c_api.html) hands them from one framework to another: a
//! C struct with the address, the shape and a deleter. The layouts are those of its `dlpack.h`.

use std::any::Any;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use worldstep_env::DType;

/// Version of the structs.
pub const VERSION: (u32, u32) = (1, 0);
/// Bit of [`DLManagedTensorVersioned::flags`]: whoever takes the tensor must not write to it.
pub const READ_ONLY: u64 = 1;
/// [`DLDevice::device_type`] of host memory.
pub const CPU: i32 = 1;
/// [`DLDevice::device_type`] of memory of a CUDA card.
pub const CUDA: i32 = 2;

/// Where a tensor lies.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDevice {
    /// [`CPU`] or [`CUDA`].
    pub device_type: i32,
    /// Number of the card; 0 of the processor.
    pub device_id: i32,
}

/// Type of an element.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDataType {
    /// 0: signed integer, 1: unsigned integer, 2: float.
    pub code: u8,
    /// Bits.
    pub bits: u8,
    /// Numbers in an element: 1.
    pub lanes: u16,
}

impl From<DType> for DLDataType {
    fn from(dtype: DType) -> Self {
        let (code, bits) = match dtype {
            DType::Uint8 => (1, 8),
            DType::Uint16 => (1, 16),
            DType::Int64 => (0, 64),
            DType::Float32 => (2, 32),
        };
        Self { code, bits, lanes: 1 }
    }
}

/// A tensor.
#[repr(C)]
#[derive(Debug)]
pub struct DLTensor {
    /// Its first element, [`byte_offset`](Self::byte_offset) not counted.
    pub data: *mut c_void,
    /// Where that is.
    pub device: DLDevice,
    /// Dimensions.
    pub ndim: i32,
    /// Type of an element.
    pub dtype: DLDataType,
    /// Length of each dimension.
    pub shape: *mut i64,
    /// Elements from one index of each dimension to the next.
    pub strides: *mut i64,
    /// Bytes from `data` to the first element: 0.
    pub byte_offset: u64,
}

/// Version in front of a tensor.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLPackVersion {
    /// Structs of another one are laid out otherwise.
    pub major: u32,
    /// Which flags there are.
    pub minor: u32,
}

/// A tensor and how to let go of it.
#[repr(C)]
#[derive(Debug)]
pub struct DLManagedTensorVersioned {
    /// [`VERSION`].
    pub version: DLPackVersion,
    /// Its owner's.
    pub manager_ctx: *mut c_void,
    /// To be called once, with this struct, by whoever has taken it.
    pub deleter: Option<unsafe extern "C" fn(*mut Self)>,
    /// [`READ_ONLY`] or 0.
    pub flags: u64,
    /// The tensor.
    pub dl_tensor: DLTensor,
}

/// As [`DLManagedTensorVersioned`], for consumers from before DLPack 1.0; these may write to anything.
#[repr(C)]
#[derive(Debug)]
pub struct DLManagedTensor {
    /// The tensor.
    pub dl_tensor: DLTensor,
    /// Its owner's.
    pub manager_ctx: *mut c_void,
    /// To be called once, with this struct, by whoever has taken it.
    pub deleter: Option<unsafe extern "C" fn(*mut Self)>,
}

/// What a tensor is made of: row-major, without gaps.
#[derive(Debug)]
pub struct Contents {
    /// Address of its first element.
    pub address: u64,
    /// Where that is.
    pub device: DLDevice,
    /// Length of each dimension.
    pub shape: Vec<i64>,
    /// Type of an element.
    pub dtype: DType,
    /// [`READ_ONLY`] or 0.
    pub flags: u64,
}

/// What a struct points to, and whom it keeps alive.
struct Kept {
    shape: Vec<i64>,
    strides: Vec<i64>,
    _owner: Arc<dyn Any + Send + Sync>,
}

/// A tensor that is this program's until it is handed over; dropped, it lets go of its owner.
#[derive(Debug)]
pub struct ManagedTensor(NonNull<DLManagedTensorVersioned>);

impl ManagedTensor {
    /// A tensor of these contents, which are `owner`'s: it lives until the tensor's consumer has called the deleter.
    pub fn new(contents: Contents, owner: Arc<dyn Any + Send + Sync>) -> Self {
        let (kept, dl_tensor) = keep(&contents, owner);
        Self(leak(DLManagedTensorVersioned {
            version: DLPackVersion { major: VERSION.0, minor: VERSION.1 },
            manager_ctx: kept.cast(),
            deleter: Some(delete_versioned),
            flags: contents.flags,
            dl_tensor,
        }))
    }

    /// Hands it over, for instance in a capsule named `dltensor_versioned`.
    pub fn into_raw(self) -> NonNull<DLManagedTensorVersioned> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    /// As [`into_raw`](Self::into_raw), for a consumer from before DLPack 1.0, in a capsule named `dltensor`.
    pub fn into_raw_unversioned(self) -> NonNull<DLManagedTensor> {
        let raw = self.into_raw();
        // SAFETY: it was this program's until now, and nobody else has it.
        #[allow(unsafe_code)]
        let versioned = unsafe { Box::from_raw(raw.as_ptr()) };
        let DLManagedTensorVersioned { manager_ctx, dl_tensor, .. } = *versioned;
        leak(DLManagedTensor { dl_tensor, manager_ctx, deleter: Some(delete_unversioned) })
    }

    /// Takes over what another framework has handed over.
    ///
    /// # Safety
    /// `raw` is as DLPack wants it, of a version with the same first number as [`VERSION`], and nobody else's.
    #[allow(unsafe_code, reason = "whether a foreign struct is sound only its giver knows")]
    pub unsafe fn from_raw(raw: NonNull<DLManagedTensorVersioned>) -> Self {
        Self(raw)
    }

    /// The struct.
    pub fn as_ptr(&self) -> *const DLManagedTensorVersioned {
        self.0.as_ptr()
    }

    /// Where it lies.
    pub fn device(&self) -> DLDevice {
        self.tensor().device
    }

    /// Address of its first element.
    pub fn address(&self) -> u64 {
        self.tensor().data as u64 + self.tensor().byte_offset
    }

    /// Length of each dimension.
    pub fn shape(&self) -> &[i64] {
        self.dimensions(self.tensor().shape)
    }

    /// Elements from one index of each dimension to the next; empty if the struct leaves them out, as a consumer may find
    /// with rows that follow one another.
    pub fn strides(&self) -> &[i64] {
        self.dimensions(self.tensor().strides)
    }

    fn tensor(&self) -> &DLTensor {
        // SAFETY: the struct lives until this is dropped or handed over.
        #[allow(unsafe_code)]
        let versioned = unsafe { self.0.as_ref() };
        &versioned.dl_tensor
    }

    fn dimensions(&self, at: *const i64) -> &[i64] {
        if at.is_null() {
            return &[];
        }
        // SAFETY: the struct points to as many numbers as it has dimensions, which live as long as it does.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(at, self.tensor().ndim as usize)
        }
    }
}

impl Drop for ManagedTensor {
    fn drop(&mut self) {
        // SAFETY: the struct is this program's, and nobody has called its deleter.
        #[allow(unsafe_code)]
        unsafe {
            if let Some(delete) = self.0.as_ref().deleter {
                delete(self.0.as_ptr());
            }
        }
    }
}

// SAFETY: the struct is owned, and what it points to is not written to by this program.
#[allow(unsafe_code)]
unsafe impl Send for ManagedTensor {}

fn keep(contents: &Contents, owner: Arc<dyn Any + Send + Sync>) -> (*mut Kept, DLTensor) {
    let strides = strides(&contents.shape);
    let kept = leak(Kept { shape: contents.shape.clone(), strides, _owner: owner }).as_ptr();
    // SAFETY: it was just made, and nobody else has it.
    #[allow(unsafe_code)]
    let Kept { shape, strides, .. } = unsafe { &mut *kept };
    let tensor = DLTensor {
        data: contents.address as *mut c_void,
        device: contents.device,
        ndim: shape.len() as i32,
        dtype: contents.dtype.into(),
        shape: shape.as_mut_ptr(),
        strides: strides.as_mut_ptr(),
        byte_offset: 0,
    };
    (kept, tensor)
}

/// Elements from one index of each dimension to the next, of rows that follow one another.
fn strides(shape: &[i64]) -> Vec<i64> {
    let inner = |dimension: usize| shape[dimension + 1..].iter().product();
    (0..shape.len()).map(inner).collect()
}

fn leak<T>(value: T) -> NonNull<T> {
    NonNull::from(Box::leak(Box::new(value)))
}

#[allow(unsafe_code, reason = "called by whoever the tensor was handed to")]
unsafe extern "C" fn delete_versioned(tensor: *mut DLManagedTensorVersioned) {
    // SAFETY: DLPack's consumers call it once, with the struct that it stands in.
    unsafe {
        let tensor = Box::from_raw(tensor);
        drop(Box::from_raw(tensor.manager_ctx.cast::<Kept>()));
    }
}

#[allow(unsafe_code, reason = "called by whoever the tensor was handed to")]
unsafe extern "C" fn delete_unversioned(tensor: *mut DLManagedTensor) {
    // SAFETY: as above.
    unsafe {
        let tensor = Box::from_raw(tensor);
        drop(Box::from_raw(tensor.manager_ctx.cast::<Kept>()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, unsafe_code)]

    use std::mem::{offset_of, size_of};

    use super::*;

    fn tensor_of(values: &Arc<Vec<f32>>, shape: &[i64]) -> ManagedTensor {
        let device = DLDevice { device_type: CPU, device_id: 0 };
        let address = values.as_ptr() as u64;
        let contents =
            Contents { address, device, shape: shape.to_vec(), dtype: DType::Float32, flags: READ_ONLY };
        ManagedTensor::new(contents, Arc::clone(values) as _)
    }

    #[test]
    fn structs_are_laid_out_as_in_dlpack_h() {
        assert_eq!((size_of::<DLDevice>(), size_of::<DLDataType>(), size_of::<DLTensor>()), (8, 4, 48));
        assert_eq!((size_of::<DLManagedTensor>(), size_of::<DLManagedTensorVersioned>()), (64, 80));
        assert_eq!((offset_of!(DLTensor, shape), offset_of!(DLTensor, byte_offset)), (24, 40));
        assert_eq!(offset_of!(DLManagedTensorVersioned, flags), 24);
        assert_eq!(offset_of!(DLManagedTensorVersioned, dl_tensor), 32);
    }

    #[test]
    fn a_consumer_reads_the_numbers_through_the_struct() {
        let values = Arc::new((0..24).map(|i| i as f32).collect::<Vec<_>>());
        let raw = tensor_of(&values, &[2, 3, 4]).into_raw();
        // SAFETY: it was handed over just now.
        let (version, flags, tensor) =
            unsafe { (raw.as_ref().version, raw.as_ref().flags, &raw.as_ref().dl_tensor) };
        assert_eq!((version, flags), (DLPackVersion { major: 1, minor: 0 }, READ_ONLY));
        assert_eq!(tensor.dtype, DLDataType { code: 2, bits: 32, lanes: 1 });
        // SAFETY: three dimensions, 24 numbers.
        let (strides, last) = unsafe {
            let strides = std::slice::from_raw_parts(tensor.strides, 3);
            let at = strides[0] + 2 * strides[1] + 3 * strides[2];
            (strides, *tensor.data.cast::<f32>().offset(at as isize))
        };
        assert_eq!(strides, [12, 4, 1]);
        assert_eq!(last, 23.0);
        // SAFETY: taken back as it was given.
        let back = unsafe { ManagedTensor::from_raw(raw) };
        assert_eq!((back.shape(), back.address()), (&[2, 3, 4][..], values.as_ptr() as u64));
    }

    #[test]
    fn the_owner_lives_until_the_deleter_is_called() {
        let values = Arc::new(vec![1.0; 6]);
        let dropped = tensor_of(&values, &[6]);
        assert_eq!(Arc::strong_count(&values), 2);
        drop(dropped);
        assert_eq!(Arc::strong_count(&values), 1);

        let raw = tensor_of(&values, &[6]).into_raw();
        assert_eq!(Arc::strong_count(&values), 2, "handed over, not dropped");
        // SAFETY: as a consumer does it, once.
        unsafe { raw.as_ref().deleter.unwrap()(raw.as_ptr()) };
        assert_eq!(Arc::strong_count(&values), 1);
    }

    #[test]
    fn older_consumers_get_the_older_struct() {
        let values = Arc::new(vec![1.0, 2.0, 3.0]);
        let raw = tensor_of(&values, &[3, 1]).into_raw_unversioned();
        assert_eq!(Arc::strong_count(&values), 2);
        // SAFETY: as a consumer does it.
        unsafe {
            let tensor = &raw.as_ref().dl_tensor;
            assert_eq!((tensor.ndim, *tensor.shape, *tensor.strides), (2, 3, 1));
            assert_eq!(*tensor.data.cast::<f32>().add(2), 3.0);
            raw.as_ref().deleter.unwrap()(raw.as_ptr());
        }
        assert_eq!(Arc::strong_count(&values), 1);
    }
}
