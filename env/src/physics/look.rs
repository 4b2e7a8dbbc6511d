use std::borrow::Cow;

use crate::{Shape, Surface, scene};

/// How a visible thing looks and what it may do.
#[derive(Clone, Debug)]
pub struct Look {
    /// Name within the task.
    pub name: Cow<'static, str>,
    /// Visual shape; the collider is the caller's.
    pub shape: Shape,
    /// Linear base colour.
    pub color_linear: [f32; 3],
    /// Position of its class in [`scene::SEMANTIC_CLASSES`].
    pub semantic: u16,
    /// Texture and highlight.
    pub surface: Surface,
    /// Foreground: it can move.
    pub moving: bool,
    /// The action moves it directly.
    pub actuated: bool,
}

impl Look {
    /// A thing that never moves.
    pub fn fixed(name: impl Into<Cow<'static, str>>, shape: Shape, color_linear: [f32; 3]) -> Self {
        let semantic = default_class(&shape);
        let surface = Surface::default();
        Self { name: name.into(), shape, color_linear, semantic, surface, moving: false, actuated: false }
    }

    /// This, as a thing of class `class` of [`scene::SEMANTIC_CLASSES`]; unknown names change nothing.
    pub fn of_class(self, class: &str) -> Self {
        Self { semantic: scene::semantic_class(class).unwrap_or(self.semantic), ..self }
    }

    /// A thing that physics moves.
    pub fn moving(name: impl Into<Cow<'static, str>>, shape: Shape, color_linear: [f32; 3]) -> Self {
        Self { moving: true, ..Self::fixed(name, shape, color_linear) }
    }

    /// A thing that the action moves.
    pub fn actuated(name: impl Into<Cow<'static, str>>, shape: Shape, color_linear: [f32; 3]) -> Self {
        Self { actuated: true, ..Self::moving(name, shape, color_linear) }
    }
}

/// The class of a thing that is nothing but its shape.
fn default_class(shape: &Shape) -> u16 {
    let name = match shape {
        Shape::Cuboid { .. } => "block",
        Shape::Sphere { .. } => "ball",
        Shape::Cylinder { .. } => "cylinder",
        Shape::Capsule { .. } => "capsule",
        Shape::Mesh { .. } => "mesh",
        Shape::Soft { .. } => "soft_body",
    };
    scene::semantic_class(name).unwrap_or_default()
}
