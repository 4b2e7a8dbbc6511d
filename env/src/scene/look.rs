use serde::{Deserialize, Serialize};

/// What covers an instance. The default is one matt colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    /// Pattern that is mixed with the instance's base colour.
    pub texture: Texture,
    /// Strength of the highlight, 0 (matt) to 1.
    pub specular: f32,
    /// Width of the highlight, 0 (mirror-sharp) to 1 (broad).
    pub roughness: f32,
}

/// A pattern over an instance, in the object's own frame, so that it turns with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Texture {
    /// The base colour alone.
    #[default]
    Plain,
    /// Cells of the base colour and a second one.
    Checker {
        /// Linear second colour.
        color_linear: [f32; 3],
        /// Side of a cell, metres.
        size_m: f32,
    },
    /// Bands along the object's x.
    Stripes {
        /// Linear second colour.
        color_linear: [f32; 3],
        /// Width of two bands, metres.
        size_m: f32,
    },
    /// Dots on a grid.
    Dots {
        /// Linear second colour.
        color_linear: [f32; 3],
        /// Distance of two dots, metres.
        size_m: f32,
    },
    /// Smooth noise between the two colours.
    Noise {
        /// Linear second colour.
        color_linear: [f32; 3],
        /// Size of the largest blotches, metres.
        size_m: f32,
    },
    /// A picture of the renderer's texture folder, multiplied with the base colour.
    Image {
        /// Position in the folder by name; counted modulo the number of pictures there.
        index: u32,
        /// Side of one repetition, metres.
        size_m: f32,
    },
}

/// The light of a scene that is drawn in full: sun with shadows, light of sky and ground, gradient sky.
///
/// A scene without one is drawn plainly: one fixed light, no shadows, no textures, one colour of sky. That is the
/// fastest, and what the tasks use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Light {
    /// Linear radiance of the sun, which stands in [`Scene::light_direction`](super::Scene::light_direction).
    pub sun_linear: [f32; 3],
    /// Linear light from above.
    pub sky_linear: [f32; 3],
    /// Linear light from below.
    pub ground_linear: [f32; 3],
    /// Linear colour of the sky at the horizon; at the zenith it is [`Scene::sky_linear`](super::Scene::sky_linear).
    pub horizon_linear: [f32; 3],
    /// How dark shadows are: 0 none, 1 no sun at all.
    pub shadow: f32,
    /// Centre of the sphere within which shadows are cast, world frame, metres.
    pub shadow_center: [f32; 3],
    /// Radius of that sphere, metres.
    pub shadow_radius: f32,
}

impl Default for Light {
    fn default() -> Self {
        Self {
            sun_linear: [0.85, 0.81, 0.74],
            sky_linear: [0.36, 0.40, 0.46],
            ground_linear: [0.22, 0.20, 0.18],
            horizon_linear: [0.72, 0.78, 0.84],
            shadow: 0.85,
            shadow_center: [0.0, 0.0, 0.5],
            shadow_radius: 3.0,
        }
    }
}

/// Triangles in an object's own frame (metres), counter-clockwise seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mesh {
    /// Corners.
    pub vertices: Vec<[f32; 3]>,
    /// Three corners each.
    pub triangles: Vec<[u32; 3]>,
    /// Whether normals are interpolated over a face (round things) or each face is flat.
    pub smooth: bool,
    /// Whether both sides are seen (cloth, rope ribbons) or the inside of a closed body never is.
    pub two_sided: bool,
}

impl Mesh {
    /// Adds a box about `center` with these half extents, metres.
    pub fn add_cuboid(&mut self, center: [f32; 3], half: [f32; 3]) {
        const FACES: [[u32; 4]; 6] =
            [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
        let first = self.vertices.len() as u32;
        self.vertices.extend((0..8).map(|corner| {
            [0, 1, 2].map(|axis| {
                let sign = if corner >> axis & 1 == 1 { 1.0 } else { -1.0 };
                center[axis] + sign * half[axis]
            })
        }));
        for [a, b, c, d] in FACES.map(|face| face.map(|corner| first + corner)) {
            self.triangles.extend([[a, b, c], [a, c, d]]);
        }
    }
}
