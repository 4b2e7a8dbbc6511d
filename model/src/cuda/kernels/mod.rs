//! Kernels in CubeCL: written once, compiled for the GPU or the processor when they are first launched.
//!
//! Each file holds a kernel and what launches it. Operands of products (`S`: f32 or bf16) are stored as such; norms, softmax,
//! sums and the residual stream are 32 bits wide everywhere.

mod attention;
mod embed;
mod gate;
mod head;
mod norm;
mod patch;
mod product;
#[cfg(all(test, feature = "kernels-on-cpu"))]
mod testing;

pub use attention::{Ring, Span, over_time, within_frame};
pub use embed::{FrameTokens, begin_codes, embed_codes, embed_frame};
pub use gate::gated;
pub use head::{Drawn, Logits, Readout, draw_codes, read_out};
pub use norm::{HeadRows, norm_heads, norm_rows, take_rows};
pub use patch::{frames_of_patches, patches_of_frames, quantise};
pub use product::{Product, RowsOf, product};
