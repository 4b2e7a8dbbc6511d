//! Where the arrays lie that a step takes to the device, and those that it takes back: each side is one copy.

use std::marker::PhantomData;

use crate::packing::FRAME_CODE_BYTES;

/// What kernels want the beginning of an array to be a multiple of.
const ALIGNMENT: usize = 256;
/// Expected reward, probability of termination and uncertainty stand before the objects.
pub const NUMBERS: usize = 3;

/// An array of a buffer of bytes.
#[derive(Debug)]
pub struct Place<T> {
    /// Bytes before it.
    pub at: usize,
    /// Its numbers.
    pub len: usize,
    kind: PhantomData<T>,
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Place<T> {}

impl<T> Place<T> {
    /// The next array of `len` numbers, after `bytes`, which then reach to its end.
    fn after(bytes: &mut usize, len: usize) -> Self {
        let at = bytes.next_multiple_of(ALIGNMENT);
        *bytes = at + len * size_of::<T>();
        Self { at, len, kind: PhantomData }
    }

    /// Its bytes among those of the buffer.
    pub fn bytes(&self) -> std::ops::Range<usize> {
        self.at..self.at + self.len * size_of::<T>()
    }
}

/// What some lanes are told in a step.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// `[lanes, FRAME_CODE_BYTES]`: level indices of the present frames.
    pub codes: Place<u8>,
    /// `[lanes, action values]`.
    pub actions: Place<f32>,
    /// `[lanes]`: corruption that the model is told of.
    pub levels: Place<u32>,
    /// `[lanes]`: which of the rings is whose.
    pub lanes: Place<u32>,
    /// `[lanes]`: the place of the newest frame in its ring.
    pub newest: Place<u32>,
    /// `[lanes]`: frames seen.
    pub ages: Place<u32>,
    /// `[lanes]`: names of the lanes' randomness.
    pub draws: Place<u64>,
    /// One number.
    pub temperature: Place<f32>,
    /// Bytes of all.
    pub bytes: usize,
}

impl Inputs {
    /// Of `lanes` lanes, with so many values of an action.
    pub fn new(action_values: usize, lanes: usize) -> Self {
        let mut bytes = 0;
        Self {
            codes: Place::after(&mut bytes, lanes * FRAME_CODE_BYTES),
            actions: Place::after(&mut bytes, lanes * action_values),
            levels: Place::after(&mut bytes, lanes),
            lanes: Place::after(&mut bytes, lanes),
            newest: Place::after(&mut bytes, lanes),
            ages: Place::after(&mut bytes, lanes),
            draws: Place::after(&mut bytes, lanes),
            temperature: Place::after(&mut bytes, 1),
            bytes,
        }
    }
}

/// What a step says of some lanes.
#[derive(Clone, Copy, Debug)]
pub struct Outputs {
    /// `[lanes, FRAME_CODE_BYTES]`: level indices of the frames that follow.
    pub codes: Place<u8>,
    /// `[lanes, NUMBERS + objects]`.
    pub numbers: Place<f32>,
    /// Bytes of both.
    pub bytes: usize,
}

impl Outputs {
    /// Of `lanes` lanes, with so many values of the objects.
    pub fn new(objects: usize, lanes: usize) -> Self {
        let mut bytes = 0;
        Self {
            codes: Place::after(&mut bytes, lanes * FRAME_CODE_BYTES),
            numbers: Place::after(&mut bytes, lanes * (NUMBERS + objects)),
            bytes,
        }
    }
}

/// Writes `values` to the beginning of an array among `bytes`.
#[cfg(feature = "kernels")]
pub fn put<T: cubecl::prelude::CubeElement>(
    bytes: &mut [u8],
    place: Place<T>,
    values: impl IntoIterator<Item = T>,
) {
    for (bytes, value) in bytes[place.bytes()].chunks_exact_mut(size_of::<T>()).zip(values) {
        bytes.copy_from_slice(T::as_bytes(&[value]));
    }
}

/// How many rows a step of `lanes` lanes of `all` is made with: so many graphs are captured at most as there are powers of
/// two, whichever lanes step. The rows beyond the lanes' own belong to a ring that nobody reads.
pub fn bucket(lanes: usize, all: usize) -> usize {
    lanes.next_power_of_two().min(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_lie_one_after_another() {
        let inputs = Inputs::new(3, 5);
        let places = [
            inputs.codes.bytes(),
            inputs.actions.bytes(),
            inputs.levels.bytes(),
            inputs.lanes.bytes(),
            inputs.newest.bytes(),
            inputs.ages.bytes(),
            inputs.draws.bytes(),
            inputs.temperature.bytes(),
        ];
        assert!(places.windows(2).all(|two| two[0].end <= two[1].start));
        assert!(places.iter().all(|place| place.start % ALIGNMENT == 0));
        assert_eq!((inputs.actions.bytes().len(), inputs.draws.bytes().len()), (5 * 3 * 4, 5 * 8));
        assert_eq!(places[7].end, inputs.bytes);
    }

    #[test]
    fn buckets_are_powers_of_two_and_all() {
        assert_eq!([1, 2, 3, 5, 8, 9, 12].map(|lanes| bucket(lanes, 12)), [1, 2, 4, 8, 8, 12, 12]);
    }
}
