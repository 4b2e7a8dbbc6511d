use cubecl::prelude::*;

use crate::config::{FRAME_CODES, FrameSize, GRID_SIDE};
use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::meter::Cost;
use crate::fsq::CODE_VALUES;

/// Where number `at` of patches, of `side` pixels a side, lies in the frames (HWC).
#[cube]
fn pixel(at: usize, #[comptime] side: usize) -> usize {
    let run = comptime!(side * 3);
    let values = comptime!(side * side * 3);
    let frame = comptime!(side * side * 3 * FRAME_CODES);
    let value = at % values;
    let patch = at / values % FRAME_CODES;
    let y = patch / GRID_SIDE * side + value / run;
    let x = patch % GRID_SIDE * side;
    at / frame * frame + (y * comptime!(side * GRID_SIDE) + x) * 3 + value % run
}

#[cube(launch)]
fn patches_kernel<S: Float>(frames: &[u8], patches: &mut [S], values: u32, #[comptime] side: usize) {
    let at = ABSOLUTE_POS;
    if at < values as usize {
        patches[at] = S::cast_from(f32::cast_from(frames[pixel(at, side)]) / 127.5f32 - 1.0f32);
    }
}

/// `count` frames of `size` (HWC `uint8`) as rows of patches in ±1, `[count * FRAME_CODES, patch values]`.
pub fn patches_of_frames<S: Stored>(
    context: &Context,
    frames: &Buffer<u8>,
    patches: &Buffer<S>,
    (count, size): (usize, FrameSize),
) {
    let values = count * size.bytes();
    let (cubes, dim) = context.each(values);
    let (client, side) = (context.client(), size.patch_side());
    patches_kernel::launch::<S>(client, cubes, dim, frames.arg(), patches.arg(), values as u32, side);
    context.launched(Cost::new("patches of frames", 2 * values, values * (1 + size_of::<S>())));
}

#[cube(launch)]
fn frames_kernel(patches: &[f32], frames: &mut [u8], values: u32, #[comptime] side: usize) {
    let at = ABSOLUTE_POS;
    if at < values as usize {
        let value = (patches[at] + 1.0f32) * 127.5f32;
        frames[pixel(at, side)] = max(min(value.round(), 255.0f32), 0.0f32) as u8;
    }
}

/// The inverse of [`patches_of_frames`], rounded and clamped.
pub fn frames_of_patches(
    context: &Context,
    patches: &Buffer<f32>,
    frames: &Buffer<u8>,
    (count, size): (usize, FrameSize),
) {
    let values = count * size.bytes();
    let (cubes, dim) = context.each(values);
    let (client, side) = (context.client(), size.patch_side());
    frames_kernel::launch(client, cubes, dim, patches.arg(), frames.arg(), values as u32, side);
    context.launched(Cost::new("frames of patches", 2 * values, values * (1 + size_of::<f32>())));
}

#[cube(launch)]
fn quantise_kernel(z: &[f32], codes: &mut [u8], count: u32) {
    let at = ABSOLUTE_POS;
    if at < count as usize {
        let steps = f32::cast_from(7 - 3 * min(at % CODE_VALUES, 1));
        let bounded = (z[at].tanh() * 1.1f32 + 1.0f32) * 0.5f32 * steps;
        codes[at] = max(min(bounded.round(), steps), 0.0f32) as u8;
    }
}

/// Level indices of `count` values of any range, as [`levels`](crate::fsq::levels) has them.
pub fn quantise(context: &Context, z: &Buffer<f32>, codes: &Buffer<u8>, count: usize) {
    let (cubes, dim) = context.each(count);
    quantise_kernel::launch(context.client(), cubes, dim, z.arg(), codes.arg(), count as u32);
    context.launched(Cost::new("quantise", 4 * count, count * (1 + size_of::<f32>())));
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::codec::plain;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};
    use crate::fsq::levels;
    use crate::tokenizer::patches;

    #[test]
    fn frames_and_patches_are_those_of_the_tokenizer() {
        on_processor(|context| {
            for size in FrameSize::ALL {
                let bytes = size.bytes();
                let frames: Vec<u8> = (0..2 * bytes).map(|i| (i * 7 % 251) as u8).collect();
                let device = Buffer::of(context, &frames);
                let there = Buffer::<f32>::empty(context, frames.len());
                patches_of_frames(context, &device, &there, (2, size));
                let mut found = vec![0.0; frames.len()];
                there.read(context, &mut found);
                close(&found, &plain(patches(&frames, size, &Device::flex())), 1e-6);
                let back = Buffer::empty(context, frames.len());
                frames_of_patches(context, &there, &back, (2, size));
                let mut again = vec![0; frames.len()];
                back.read(context, &mut again);
                assert_eq!(again, frames);
                // What lies beyond ±1 is clamped.
                let wild = Buffer::of(context, &[-9.0_f32, 9.0].repeat(bytes));
                frames_of_patches(context, &wild, &back, (2, size));
                back.read(context, &mut again);
                assert_eq!(again[..4], [0, 255, 0, 255]);
            }
        });
    }

    #[test]
    fn values_fall_on_the_processors_levels() {
        on_processor(|context| {
            let z: Vec<f32> = numbers(4 * 333, 1).iter().map(|x| x * 3.0).collect();
            let codes = Buffer::empty(context, z.len());
            quantise(context, &Buffer::of(context, &z), &codes, z.len());
            let (mut found, mut expected) = (vec![0; z.len()], vec![0; z.len()]);
            codes.read(context, &mut found);
            levels(&z, &mut expected);
            assert_eq!(found, expected);
        });
    }
}
