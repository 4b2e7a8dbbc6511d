//! Kernels in CubeCL: written once, compiled for the GPU or the processor when they are first launched.
//!
//! Each file holds a kernel and what launches it. Operands of products (`S`: f32 or bf16) are stored as such; norms, softmax,
//! sums and the residual stream are 32 bits wide everywhere.

mod attention;
mod embed;
mod gate;
mod head;
mod narrow;
mod norm;
mod patch;
mod probe;
mod product;
mod refine;
#[cfg(all(test, feature = "kernels-on-cpu"))]
mod testing;

pub use attention::{Ring, Span, over_time, within_frame};
pub use embed::{FrameTokens, begin_codes, embed_codes, embed_frame};
pub use gate::gated;
pub use head::{Drawn, Logits, Readout, Redraw, draw_codes, read_out, redraw_codes};
pub use norm::{HeadRows, RowsOf, norm_heads, norm_rows, take_rows};
pub use patch::{frames_of_patches, patches_of_frames, quantise};
pub use probe::peaks;
pub use product::{Factor, Product, add_product, check_library, product};
pub use refine::{KnownCodes, embed_known, mask_codes};
