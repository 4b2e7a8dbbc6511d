use arrow_schema::{DataType, Field, Fields, Schema};
use serde_json::{Value, json};
use worldstep_env::dataset::{DatasetInfo, feature};

use super::channel::{ImageChannel, ImageCoding};

/// What one column of `data/` holds, as LeRobot, `datasets` and Arrow each want it told.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Column name.
    pub name: String,
    /// Kind and shape.
    pub kind: FeatureKind,
    /// Names of the axes or elements.
    pub names: Option<Vec<&'static str>>,
    /// Where its values come from.
    pub source: Source,
}

/// Kind and shape of a feature.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureKind {
    /// Encoded images of frames with this side.
    Image(ImageCoding, usize),
    /// Float32 array; one dimension of length 1 is stored as a number.
    Float(Vec<usize>),
    /// Int64 array, the same way.
    Int(Vec<usize>),
    /// One truth value.
    Bool,
}

/// What the values of a feature are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Frames of one camera, by its position in [`DatasetInfo::cameras`].
    Image(ImageChannel, usize),
    /// The camera's intrinsics.
    Intrinsics(usize),
    /// The camera's pose.
    WorldFromCamera(usize),
    /// State observation.
    State,
    /// Action.
    Action,
    /// Reward.
    Reward,
    /// Terminated after this action.
    Terminated,
    /// Truncated after this action.
    Truncated,
    /// Either.
    Done,
    /// Success after this action.
    Success,
    /// Poses by slot.
    Pose,
    /// Velocities by slot.
    Velocity,
    /// Visible shares by slot.
    Visibility,
    /// Ids by slot.
    InstanceId,
    /// One of the columns that follow from a row's position alone.
    Position,
}

/// All features of a dataset, in the order of its columns.
///
/// # Errors
/// A sentence on what `info` holds that this version does not know.
pub fn features(info: &DatasetInfo) -> Result<Vec<Feature>, String> {
    let [scenario] = info.scenarios.as_slice() else {
        return Err(format!("{} scenarios in one dataset, expected 1", info.scenarios.len()));
    };
    let channels = ImageChannel::parse_list(&info.channels.join(","))?;
    let of = |name: &str, kind, source| Feature { name: name.to_owned(), kind, names: None, source };
    let (float, int) = (FeatureKind::Float, FeatureKind::Int);
    let mut all = Vec::new();
    for (camera, suffix) in suffixes(info).iter().enumerate() {
        all.extend(channels.iter().map(|channel| Feature {
            name: format!("{}{suffix}", channel.feature()),
            kind: FeatureKind::Image(channel.coding(), info.frame_size as usize),
            names: Some(vec!["height", "width", "channels"]),
            source: Source::Image(*channel, camera),
        }));
    }
    all.extend([
        of(feature::STATE, float(vec![scenario.state_space.flat_len()]), Source::State),
        of(feature::ACTION, float(vec![scenario.action_space.flat_len()]), Source::Action),
        of(feature::REWARD, float(vec![1]), Source::Reward),
        of(feature::TERMINATED, FeatureKind::Bool, Source::Terminated),
        of(feature::TRUNCATED, FeatureKind::Bool, Source::Truncated),
        of(feature::DONE, FeatureKind::Bool, Source::Done),
        of(feature::SUCCESS, FeatureKind::Bool, Source::Success),
    ]);
    for (camera, suffix) in suffixes(info).iter().enumerate() {
        let name = |name: &str| format!("{name}{suffix}");
        all.push(of(&name(feature::INTRINSICS), float(vec![3, 3]), Source::Intrinsics(camera)));
        all.push(of(&name(feature::WORLD_FROM_CAMERA), float(vec![4, 4]), Source::WorldFromCamera(camera)));
    }
    let k = scenario.instances.len();
    all.extend([
        of(feature::POSE, float(vec![k, 7]), Source::Pose),
        of(feature::VELOCITY, float(vec![k, 6]), Source::Velocity),
        of(feature::VISIBILITY, float(vec![k]), Source::Visibility),
        of(feature::INSTANCE_ID, int(vec![k]), Source::InstanceId),
        of("timestamp", float(vec![1]), Source::Position),
        of("frame_index", int(vec![1]), Source::Position),
        of("episode_index", int(vec![1]), Source::Position),
        of("index", int(vec![1]), Source::Position),
        of("task_index", int(vec![1]), Source::Position),
    ]);
    Ok(all)
}

/// What the feature names of each camera end in.
fn suffixes(info: &DatasetInfo) -> Vec<String> {
    let suffix = |name: &String| if name.is_empty() { String::new() } else { format!(".{name}") };
    info.cameras.iter().map(suffix).collect()
}

impl Feature {
    /// The Arrow field of its column.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.kind.arrow(), true)
    }

    /// Whether it holds images.
    pub fn is_image(&self) -> bool {
        matches!(self.kind, FeatureKind::Image(..))
    }
}

/// The Arrow schema of `data/`.
pub fn schema(features: &[Feature]) -> Schema {
    Schema::new(features.iter().map(Feature::field).collect::<Vec<_>>())
}

impl FeatureKind {
    /// Dimensions as `info.json` gives them.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Image(coding, side) => coding.file_shape(*side).to_vec(),
            Self::Float(shape) | Self::Int(shape) => shape.clone(),
            Self::Bool => vec![1],
        }
    }

    /// Elements that have a statistic of their own: an image's channels, an array's entries.
    pub fn elements(&self) -> usize {
        match self {
            Self::Image(coding, side) => coding.file_shape(*side)[2],
            _ => self.shape().iter().product(),
        }
    }

    /// Name of the element type in `info.json`.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::Image(..) => "image",
            Self::Float(_) => "float32",
            Self::Int(_) => "int64",
            Self::Bool => "bool",
        }
    }

    /// Arrow type of the column.
    pub fn arrow(&self) -> DataType {
        let of_shape = |element: DataType, shape: &[usize]| match shape {
            [1] => element,
            [len] => DataType::FixedSizeList(item(element), *len as i32),
            _ => DataType::List(item(DataType::List(item(element)))),
        };
        match self {
            Self::Image(..) => DataType::Struct(image_fields()),
            Self::Float(shape) => of_shape(DataType::Float32, shape),
            Self::Int(shape) => of_shape(DataType::Int64, shape),
            Self::Bool => DataType::Boolean,
        }
    }

    /// Description for the library `datasets`.
    fn hugging_face(&self) -> Value {
        let value = json!({ "dtype": self.dtype(), "_type": "Value" });
        match (self, self.shape().as_slice()) {
            (Self::Image(..), _) => json!({ "_type": "Image" }),
            (_, [1]) => value,
            (_, [len]) => json!({ "feature": value, "length": len, "_type": "Sequence" }),
            (_, shape) => json!({ "shape": shape, "dtype": self.dtype(), "_type": "Array2D" }),
        }
    }
}

/// Fields of an image column.
pub fn image_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

/// The element field of a list.
pub fn item(element: DataType) -> std::sync::Arc<Field> {
    std::sync::Arc::new(Field::new("item", element, true))
}

/// `features` of `info.json`.
pub fn info_features(features: &[Feature], fps: u32) -> Value {
    let entries = features.iter().map(|feature| {
        let kind = &feature.kind;
        let entry = json!({
            "dtype": kind.dtype(), "shape": kind.shape(), "names": feature.names, "fps": fps,
        });
        (feature.name.clone(), entry)
    });
    Value::Object(entries.collect())
}

/// Value of the schema key `huggingface`, from which `datasets` knows images from structs.
pub fn hugging_face_schema(features: &[Feature]) -> String {
    let entries = features.iter().map(|feature| (feature.name.clone(), feature.kind.hugging_face()));
    json!({ "info": { "features": Value::Object(entries.collect()) } }).to_string()
}
