use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::frechet::{DIMENSION, WINDOW};
use super::{ArmTable, Cell, HORIZONS};

/// One measure of whole frames, of the pixels of moving objects (in the true frame or in the last one seen), and of those
/// that the action moves; null where there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// All pixels.
    pub frame: Option<f64>,
    /// Pixels of what moves.
    pub foreground: Option<f64>,
    /// Pixels of what the action moves.
    pub actuated: Option<f64>,
}

impl From<[Option<f64>; 3]> for Region {
    fn from([frame, foreground, actuated]: [Option<f64>; 3]) -> Self {
        Self { frame, foreground, actuated }
    }
}

/// How far frames are from the true ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PictureRow {
    /// Peak signal-to-noise ratio in dB, from squared errors pooled over the pixels of all clips.
    pub psnr_db: Region,
    /// Structural similarity of the luma, 11 × 11 Gaussian windows.
    pub ssim: Region,
    /// Squared distance between unit-length features of a frozen random network: 0 for the same frame. It stands where
    /// others have LPIPS.
    pub feature_distance: Region,
}

impl From<&Cell> for PictureRow {
    fn from(cell: &Cell) -> Self {
        Self {
            psnr_db: cell.pooled.psnr_db().into(),
            ssim: cell.ssim.map(|mean| mean.value()).into(),
            feature_distance: cell.features.map(|mean| mean.value()).into(),
        }
    }
}

/// Fréchet distance of the clips up to a horizon. It stands where others have FVD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FrechetRow {
    /// Squared distance for whole frames; null with fewer windows than twice the dimension, or of fewer than four clips.
    pub frame: Option<f64>,
    /// The same with features pooled over foreground only.
    pub foreground: Option<f64>,
    /// Windows on either side.
    pub samples: usize,
}

/// One arm: the model, or what it is compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmReport {
    /// Clips that the arm has at each horizon: truth from slightly other starts may end earlier.
    pub clips_at_horizon: BTreeMap<usize, usize>,
    /// By reported horizon; null where no clip is as long.
    pub at: BTreeMap<usize, Option<PictureRow>>,
    /// Fréchet distance by reported horizon.
    pub frechet: BTreeMap<usize, FrechetRow>,
    /// By every step that was measured, for curves.
    pub curve: BTreeMap<usize, PictureRow>,
}

impl From<&ArmTable> for ArmReport {
    fn from(table: &ArmTable) -> Self {
        let at = |horizon: &usize| (*horizon, table.cells.get(horizon).map(PictureRow::from));
        let frechet = |horizon: &usize| {
            let ([frame, foreground], samples) = table.frechet(*horizon);
            (*horizon, FrechetRow { frame, foreground, samples })
        };
        Self {
            clips_at_horizon: HORIZONS.iter().map(|horizon| (*horizon, table.clips_at(*horizon))).collect(),
            at: HORIZONS.iter().map(at).collect(),
            frechet: HORIZONS.iter().map(frechet).collect(),
            curve: table.cells.iter().map(|(step, cell)| (*step, cell.into())).collect(),
        }
    }
}

/// Pictures of one set of clips.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PictureReport {
    /// Clips long enough for each horizon.
    pub clips_at_horizon: BTreeMap<usize, usize>,
    /// What the feature distance is measured with.
    pub feature_net: String,
    /// Frames of one Fréchet sample.
    pub frechet_window_frames: usize,
    /// Values of one Fréchet sample.
    pub frechet_dimension: usize,
    /// By name: `model`, `copy_last`, `constant_velocity`, `shuffled_actions`, `tokenizer` (the ceiling of any dream that
    /// goes through its codes) and, where truth can be run again, `perturbed_truth` (the ceiling that chaos sets).
    pub arms: BTreeMap<String, ArmReport>,
}

impl PictureReport {
    pub(in crate::eval) fn new(tables: &BTreeMap<&'static str, ArmTable>) -> Self {
        let longest =
            |horizon: usize| tables.values().map(|table| table.clips_at(horizon)).max().unwrap_or(0);
        Self {
            clips_at_horizon: HORIZONS.iter().map(|horizon| (*horizon, longest(*horizon))).collect(),
            feature_net: "random convolutions of a frozen seed, 12, 24 and 48 channels".to_owned(),
            frechet_window_frames: WINDOW,
            frechet_dimension: DIMENSION,
            arms: tables.iter().map(|(name, table)| ((*name).to_owned(), table.into())).collect(),
        }
    }
}
