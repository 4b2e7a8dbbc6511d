use worldstep_env::dataset::ScenarioInfo;

use crate::lerobot::{Clip, Column, Feature, ImageChannel, Source};

/// A decoded clip with the features that say what its columns are.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// Rows.
    pub clip: &'a Clip,
    /// The dataset's.
    pub features: &'a [Feature],
    /// What the dataset says of its scenario.
    pub scenario: &'a ScenarioInfo,
    /// Rows in a second.
    pub fps: u32,
    /// Side of the frames in pixels.
    pub side: usize,
}

impl<'a> Rows<'a> {
    /// The column with values of `source`.
    pub fn column(&self, source: Source) -> Option<&'a Column> {
        let recorded = self.features.iter().filter(|feature| feature.source != Source::Position);
        recorded
            .zip(&self.clip.columns)
            .find(|(feature, _)| feature.source == source)
            .map(|(_, column)| column)
    }

    /// Float32 values of `source`, all rows; empty if the dataset has none.
    pub fn floats(&self, source: Source) -> &'a [f32] {
        match self.column(source) {
            Some(Column::F32(values)) => values,
            _ => &[],
        }
    }

    /// Row `t` of the float32 values of `source`.
    pub fn row(&self, source: Source, t: usize) -> &'a [f32] {
        let values = self.floats(source);
        let width = values.len().checked_div(self.clip.len).unwrap_or(0);
        &values[t * width..(t + 1) * width]
    }

    /// Truth values of `source`, all rows.
    pub fn flags(&self, source: Source) -> &'a [bool] {
        match self.column(source) {
            Some(Column::Bool(values)) => values,
            _ => &[],
        }
    }

    /// Ids in the slots of row `t`.
    pub fn ids(&self, t: usize) -> &'a [i64] {
        let k = self.scenario.instances.len();
        match self.column(Source::InstanceId) {
            Some(Column::I64(values)) => &values[t * k..(t + 1) * k],
            _ => &[],
        }
    }

    /// Pose of slot `slot` in row `t`: xyz, quaternion xyzw.
    pub fn pose(&self, t: usize, slot: usize) -> &'a [f32] {
        &self.row(Source::Pose, t)[slot * 7..slot * 7 + 7]
    }

    /// Velocity of slot `slot` in row `t`: linear, angular.
    pub fn velocity(&self, t: usize, slot: usize) -> &'a [f32] {
        &self.row(Source::Velocity, t)[slot * 6..slot * 6 + 6]
    }

    /// Float32 image of row `t`, plane by plane; `None` if the dataset has none.
    pub fn float_image(&self, channel: ImageChannel, camera: usize, t: usize) -> Option<&'a [f32]> {
        match self.column(Source::Image(channel, camera))? {
            Column::F32(values) => Some(self.frame(values, channel, t)),
            _ => None,
        }
    }

    /// Image of ids of row `t`.
    pub fn id_image(&self, channel: ImageChannel, camera: usize, t: usize) -> Option<&'a [u16]> {
        match self.column(Source::Image(channel, camera))? {
            Column::U16(values) => Some(self.frame(values, channel, t)),
            _ => None,
        }
    }

    /// Colour image of row `t`.
    pub fn color_image(&self, camera: usize, t: usize) -> Option<&'a [u8]> {
        match self.column(Source::Image(ImageChannel::Rgb, camera))? {
            Column::U8(values) => Some(self.frame(values, ImageChannel::Rgb, t)),
            _ => None,
        }
    }

    fn frame<T>(&self, values: &'a [T], channel: ImageChannel, t: usize) -> &'a [T] {
        let width = self.side * self.side * channel.coding().values();
        &values[t * width..(t + 1) * width]
    }
}
