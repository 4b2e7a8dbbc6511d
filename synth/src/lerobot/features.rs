use arrow_schema::{DataType, Field, Fields};
use serde_json::{Value, json};
use worldstep_env::dataset::feature;

/// What one column of `data/` holds, as LeRobot, `datasets` and Arrow each want it told.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Column name.
    pub name: &'static str,
    /// Kind and shape.
    pub kind: FeatureKind,
    /// Names of the axes or elements.
    pub names: Option<Vec<&'static str>>,
}

/// Kind and shape of a feature.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureKind {
    /// Encoded image, height × width × channels.
    Image([usize; 3]),
    /// Float32 array; one dimension of length 1 is stored as a number.
    Float(Vec<usize>),
    /// Int64 array, the same way.
    Int(Vec<usize>),
    /// One truth value.
    Bool,
}

/// Sizes that differ from task to task.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Side of the frames in pixels.
    pub frame: usize,
    /// Values of the state.
    pub state: usize,
    /// Values of the action.
    pub action: usize,
    /// Instances.
    pub objects: usize,
}

/// All features of a dataset, in the order of its columns.
pub fn features(sizes: &Sizes) -> Vec<Feature> {
    let image = |channels| FeatureKind::Image([sizes.frame, sizes.frame, channels]);
    let axes = || Some(vec!["height", "width", "channels"]);
    let plain = |name, kind| Feature { name, kind, names: None };
    let k = sizes.objects;
    vec![
        Feature { name: feature::RGB, kind: image(3), names: axes() },
        Feature { name: feature::DEPTH, kind: image(1), names: axes() },
        Feature { name: feature::INSTANCE, kind: image(1), names: axes() },
        plain(feature::STATE, FeatureKind::Float(vec![sizes.state])),
        plain(feature::ACTION, FeatureKind::Float(vec![sizes.action])),
        plain(feature::REWARD, FeatureKind::Float(vec![1])),
        plain(feature::TERMINATED, FeatureKind::Bool),
        plain(feature::TRUNCATED, FeatureKind::Bool),
        plain(feature::DONE, FeatureKind::Bool),
        plain(feature::SUCCESS, FeatureKind::Bool),
        plain(feature::INTRINSICS, FeatureKind::Float(vec![3, 3])),
        plain(feature::WORLD_FROM_CAMERA, FeatureKind::Float(vec![4, 4])),
        plain(feature::POSE, FeatureKind::Float(vec![k, 7])),
        plain(feature::VELOCITY, FeatureKind::Float(vec![k, 6])),
        plain(feature::INSTANCE_ID, FeatureKind::Int(vec![k])),
        plain("timestamp", FeatureKind::Float(vec![1])),
        plain("frame_index", FeatureKind::Int(vec![1])),
        plain("episode_index", FeatureKind::Int(vec![1])),
        plain("index", FeatureKind::Int(vec![1])),
        plain("task_index", FeatureKind::Int(vec![1])),
    ]
}

impl FeatureKind {
    /// Dimensions as `info.json` gives them.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Image(shape) => shape.to_vec(),
            Self::Float(shape) | Self::Int(shape) => shape.clone(),
            Self::Bool => vec![1],
        }
    }

    /// Name of the element type in `info.json`.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::Image(_) => "image",
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
            Self::Image(_) => DataType::Struct(image_fields()),
            Self::Float(shape) => of_shape(DataType::Float32, shape),
            Self::Int(shape) => of_shape(DataType::Int64, shape),
            Self::Bool => DataType::Boolean,
        }
    }

    /// Description for the library `datasets`.
    fn hugging_face(&self) -> Value {
        let value = json!({ "dtype": self.dtype(), "_type": "Value" });
        match (self, self.shape().as_slice()) {
            (Self::Image(_), _) => json!({ "_type": "Image" }),
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
        (feature.name.to_owned(), entry)
    });
    Value::Object(entries.collect())
}

/// Value of the schema key `huggingface`, from which `datasets` knows images from structs.
pub fn hugging_face_schema(features: &[Feature]) -> String {
    let entries = features.iter().map(|feature| (feature.name.to_owned(), feature.kind.hugging_face()));
    json!({ "info": { "features": Value::Object(entries.collect()) } }).to_string()
}
