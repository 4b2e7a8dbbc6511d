use worldstep_env::dataset::feature;

use crate::render::Channels;

/// One kind of image that a dataset can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageChannel {
    /// Colour.
    Rgb,
    /// Metric depth.
    Depth,
    /// Instance ids.
    Instance,
    /// Semantic classes.
    Semantic,
    /// Normals in the camera's frame.
    Normal,
    /// Flow to the next row.
    FlowForward,
    /// Flow to the previous row.
    FlowBackward,
    /// Points in the objects' own frames.
    Coordinates,
}

/// How the values of an image are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageCoding {
    /// PNG, 8-bit RGB.
    Rgb8,
    /// PNG, 16-bit grey.
    Gray16,
    /// TIFF, float32, this many planes above each other.
    Float32(usize),
}

impl ImageChannel {
    /// Every channel, in the order of a dataset's columns.
    pub const ALL: [Self; 8] = [
        Self::Rgb,
        Self::Depth,
        Self::Instance,
        Self::Semantic,
        Self::Normal,
        Self::FlowForward,
        Self::FlowBackward,
        Self::Coordinates,
    ];

    /// Feature name without a camera's suffix.
    pub fn feature(self) -> &'static str {
        match self {
            Self::Rgb => feature::RGB,
            Self::Depth => feature::DEPTH,
            Self::Instance => feature::INSTANCE,
            Self::Semantic => feature::SEMANTIC,
            Self::Normal => feature::NORMAL,
            Self::FlowForward => feature::FLOW_FORWARD,
            Self::FlowBackward => feature::FLOW_BACKWARD,
            Self::Coordinates => feature::COORDINATES,
        }
    }

    /// Name on the command line: the last part of the feature's.
    pub fn name(self) -> &'static str {
        self.feature().rsplit('.').next().unwrap_or_default()
    }

    /// How its values are stored.
    pub fn coding(self) -> ImageCoding {
        match self {
            Self::Rgb => ImageCoding::Rgb8,
            Self::Instance | Self::Semantic => ImageCoding::Gray16,
            Self::Depth => ImageCoding::Float32(1),
            Self::FlowForward | Self::FlowBackward => ImageCoding::Float32(2),
            Self::Normal | Self::Coordinates => ImageCoding::Float32(3),
        }
    }

    /// The channels of a list like `rgb,depth`, or all for `all`, in the order of [`ALL`](Self::ALL). Colour and
    /// instance ids are always among them.
    ///
    /// # Errors
    /// A sentence that names what is no channel, and those that are.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let mut asked = vec![Self::Rgb, Self::Instance];
        for name in text.split(',').map(str::trim) {
            if name == "all" {
                return Ok(Self::ALL.to_vec());
            }
            let found = Self::ALL.into_iter().find(|channel| channel.name() == name);
            asked.push(found.ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                format!(
                    "{name:?} is no image channel, expected `all` or some of {known}, with commas between"
                )
            })?);
        }
        Ok(Self::ALL.into_iter().filter(|channel| asked.contains(channel)).collect())
    }

    /// What the renderer has to draw for these channels.
    pub fn drawn(channels: &[Self]) -> Channels {
        match channels.iter().max() {
            None | Some(Self::Rgb) => Channels::Rgb,
            Some(Self::Depth | Self::Instance | Self::Semantic) => Channels::Labels,
            Some(_) => Channels::All,
        }
    }
}

impl ImageCoding {
    /// Values of one pixel.
    pub fn values(self) -> usize {
        match self {
            Self::Rgb8 => 3,
            Self::Gray16 => 1,
            Self::Float32(planes) => planes,
        }
    }

    /// Bytes of one pixel before encoding.
    pub fn pixel_bytes(self) -> usize {
        match self {
            Self::Rgb8 => 3,
            Self::Gray16 => 2,
            Self::Float32(planes) => 4 * planes,
        }
    }

    /// Height, width and channels of the image file of a `side × side` frame.
    pub fn file_shape(self, side: usize) -> [usize; 3] {
        match self {
            Self::Rgb8 => [side, side, 3],
            Self::Gray16 => [side, side, 1],
            Self::Float32(planes) => [planes * side, side, 1],
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::ImageChannel as C;

    #[test]
    fn lists_are_ordered_and_hold_what_every_dataset_has() {
        assert_eq!(C::parse_list("depth"), Ok(vec![C::Rgb, C::Depth, C::Instance]));
        assert_eq!(C::parse_list("flow_forward, rgb"), Ok(vec![C::Rgb, C::Instance, C::FlowForward]));
        assert_eq!(C::parse_list("all").map(|all| all.len()), Ok(8));
        let error = C::parse_list("rgb,flow").unwrap_err();
        assert!(error.contains("\"flow\"") && error.contains("flow_forward"), "{error}");
    }
}
