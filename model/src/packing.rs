//! How the 8 × 8 codes of a frame lie in its 16 tokens.

use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES, GRID_SIDE, SPATIAL_TOKENS};
use crate::dynamics::TOKEN_LOGITS;
use crate::fsq::{self, CODE_VALUES};

/// Level indices of one frame, row-major over the grid.
pub const FRAME_CODE_BYTES: usize = FRAME_CODES * CODE_VALUES;

/// Grid index of code `part` of token `token`.
pub fn grid_index(token: usize, part: usize) -> usize {
    let tokens_a_row = GRID_SIDE / 2;
    let (row, column) = (token / tokens_a_row * 2 + part / 2, token % tokens_a_row * 2 + part % 2);
    row * GRID_SIDE + column
}

/// One-hot tokens of a frame's codes: writes `SPATIAL_TOKENS * TOKEN_LOGITS` values into zeroed `out`.
pub fn one_hot_tokens(codes: &[u8], out: &mut [f32]) {
    for token in 0..SPATIAL_TOKENS {
        for part in 0..CODES_PER_TOKEN {
            let code = grid_index(token, part) * CODE_VALUES;
            let at = token * TOKEN_LOGITS + part * CODE_LOGITS;
            fsq::one_hot(&codes[code..code + CODE_VALUES], &mut out[at..at + CODE_LOGITS]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_place() {
        let mut seen = [false; FRAME_CODES];
        for token in 0..SPATIAL_TOKENS {
            for part in 0..CODES_PER_TOKEN {
                assert!(!std::mem::replace(&mut seen[grid_index(token, part)], true));
            }
        }
        assert_eq!(grid_index(5, 3), 3 * GRID_SIDE + 3);
    }
}
