//! An exact ray caster on the CPU: what the camera sees, worked out without a renderer.

use bevy::math::{DQuat, DVec2, DVec3};
use worldstep_env::{Camera, Mesh, Pose, Scene, Shape};

use super::solids;
use super::triangles::Triangles;

/// Nearest distance that is seen, metres.
pub const NEAR: f64 = 0.01;

/// A half line: `origin + t · direction`.
#[derive(Clone, Copy, Debug)]
pub struct Ray {
    /// Where it starts, world frame, metres.
    pub origin: DVec3,
    /// Per unit of the parameter; if its camera z is 1, the parameter is metric depth.
    pub direction: DVec3,
}

/// What a ray meets first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Position in [`Scene::instances`].
    pub instance: usize,
    /// The ray's parameter; metric depth along the camera's z for rays of an [`Eye`].
    pub depth: f64,
    /// Unit normal, world frame.
    pub normal: DVec3,
    /// The point in the object's own frame, metres; for soft things, the point at rest.
    pub object_point: DVec3,
}

/// A camera as a source of rays. Places in the image are tangents of the angle to the view axis, x right, y down.
#[derive(Clone, Copy, Debug)]
pub struct Eye {
    position: DVec3,
    right: DVec3,
    down: DVec3,
    forward: DVec3,
    /// Tangent of half of the field of view: the image reaches from `-half` to `half` in y and, being square, in x.
    pub half: f64,
}

impl Eye {
    /// The rays of `camera`.
    pub fn new(camera: &Camera) -> Self {
        let position = vector(camera.position);
        let forward = (vector(camera.target) - position).normalize();
        let right = forward.cross(vector(camera.up)).normalize();
        let half = f64::from(0.5 * camera.fov_y).tan();
        Self { position, right, down: forward.cross(right), forward, half }
    }

    /// The ray through a place in the image; its parameter is metric depth.
    pub fn ray(&self, place: DVec2) -> Ray {
        Ray { origin: self.position, direction: self.forward + place.x * self.right + place.y * self.down }
    }

    /// The ray through the centre of pixel (`x`, `y`) of an image of `width × height` pixels.
    pub fn pixel_ray(&self, x: u32, y: u32, width: u32, height: u32) -> Ray {
        let scale = 2.0 * self.half / f64::from(height);
        let center = 0.5 * DVec2::new(f64::from(width), f64::from(height));
        self.ray(scale * (DVec2::new(f64::from(x) + 0.5, f64::from(y) + 0.5) - center))
    }

    /// A world point in the camera's frame: x right, y down, z forward.
    pub fn camera_from_world(&self, point: DVec3) -> DVec3 {
        let offset = point - self.position;
        DVec3::new(offset.dot(self.right), offset.dot(self.down), offset.dot(self.forward))
    }

    /// A direction of the world in the camera's frame.
    pub fn turn_from_world(&self, direction: DVec3) -> DVec3 {
        DVec3::new(direction.dot(self.right), direction.dot(self.down), direction.dot(self.forward))
    }

    /// Whether a place lies in the (square) image.
    pub fn sees(&self, place: DVec2) -> bool {
        place.abs().max_element() <= self.half
    }
}

/// Everything of a scene at one moment, ready to be looked at.
#[derive(Clone, Debug)]
pub struct RayCaster {
    things: Vec<Thing>,
}

#[derive(Clone, Debug)]
struct Thing {
    position: DVec3,
    object_from_world: DQuat,
    body: Body,
    /// Sphere around it, world frame.
    center: DVec3,
    radius: f64,
}

#[derive(Clone, Debug)]
enum Body {
    Box(DVec3),
    Sphere(f64),
    Cylinder {
        radius: f64,
        half_height: f64,
    },
    Capsule {
        radius: f64,
        half_height: f64,
    },
    /// In the object's frame; in the world's for soft things, whose pose is then the identity.
    Triangles(Box<Triangles>),
    /// A mesh that the scene doesn't have.
    Nothing,
}

impl RayCaster {
    /// `scene` with its instances at `poses` and the corners of its soft instances, in order, at `soft_vertices`.
    pub fn new(scene: &Scene, poses: &[Pose], soft_vertices: &[[f32; 3]]) -> Self {
        let mut soft = soft_vertices;
        let things = scene.instances.iter().zip(poses).map(|(instance, pose)| {
            let shape = instance.shape;
            let Shape::Soft { mesh } = shape else { return Thing::rigid(scene, shape, pose) };
            let Some(mesh) = scene.meshes.get(mesh as usize) else { return Thing::rigid(scene, shape, pose) };
            let (mine, others) = soft.split_at(mesh.vertices.len().min(soft.len()));
            soft = others;
            Thing::soft(mesh, mine)
        });
        Self { things: things.collect() }
    }

    /// How many instances there are.
    pub fn len(&self) -> usize {
        self.things.len()
    }

    /// Whether there is nothing to see.
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Moves the rigid instances to `poses`, and the soft ones' corners to `soft_vertices`.
    pub fn update(&mut self, scene: &Scene, poses: &[Pose], soft_vertices: &[[f32; 3]]) {
        let mut soft = soft_vertices;
        for ((thing, instance), pose) in self.things.iter_mut().zip(&scene.instances).zip(poses) {
            if let (Shape::Soft { mesh }, Body::Triangles(_)) = (instance.shape, &thing.body) {
                let Some(mesh) = scene.meshes.get(mesh as usize) else { continue };
                let (mine, others) = soft.split_at(mesh.vertices.len().min(soft.len()));
                soft = others;
                *thing = Thing::soft(mesh, mine);
            } else {
                thing.place(pose);
            }
        }
    }

    /// The nearest instance that `ray` meets.
    pub fn cast(&self, ray: &Ray) -> Option<Hit> {
        let mut first: Option<Hit> = None;
        for index in 0..self.things.len() {
            let Some(hit) = self.cast_one(index, ray) else { continue };
            if first.is_none_or(|first| hit.depth < first.depth) {
                first = Some(hit);
            }
        }
        first
    }

    /// Where `ray` enters instance `index`, were it alone.
    pub fn cast_one(&self, index: usize, ray: &Ray) -> Option<Hit> {
        let thing = self.things.get(index)?;
        let (depth, normal, object_point) = thing.cast(ray)?;
        Some(Hit { instance: index, depth, normal, object_point })
    }

    /// Centre and radius of a sphere around instance `index`, world frame, metres.
    pub fn bounding_sphere(&self, index: usize) -> (DVec3, f64) {
        self.things.get(index).map_or((DVec3::ZERO, 0.0), |thing| (thing.center, thing.radius))
    }

    /// Corners of a box around instance `index`, world frame.
    pub fn bounding_corners(&self, index: usize) -> [DVec3; 8] {
        let Some(thing) = self.things.get(index) else { return [DVec3::ZERO; 8] };
        let (low, high) = thing.body.bounds();
        std::array::from_fn(|corner| {
            let pick = |bit: usize, low: f64, high: f64| if corner >> bit & 1 == 0 { low } else { high };
            let at = DVec3::new(pick(0, low.x, high.x), pick(1, low.y, high.y), pick(2, low.z, high.z));
            thing.position + thing.object_from_world.conjugate() * at
        })
    }
}

impl Thing {
    fn rigid(scene: &Scene, shape: Shape, pose: &Pose) -> Self {
        let body = Body::rigid(scene, shape);
        let (position, object_from_world) = (DVec3::ZERO, DQuat::IDENTITY);
        let mut thing = Self { position, object_from_world, body, center: DVec3::ZERO, radius: 0.0 };
        thing.place(pose);
        thing
    }

    fn soft(mesh: &Mesh, corners: &[[f32; 3]]) -> Self {
        let triangles = Triangles::new(mesh, corners);
        let (low, high) = triangles.bounds();
        Self {
            position: DVec3::ZERO,
            object_from_world: DQuat::IDENTITY,
            body: Body::Triangles(Box::new(triangles)),
            center: 0.5 * (low + high),
            radius: 0.5 * (high - low).length(),
        }
    }

    fn place(&mut self, pose: &Pose) {
        self.position = vector(pose.position);
        let turn = DQuat::from_array(pose.quat_xyzw.map(f64::from)).normalize();
        self.object_from_world = turn.conjugate();
        let (low, high) = self.body.bounds();
        self.center = self.position + turn * (0.5 * (low + high));
        self.radius = 0.5 * (high - low).length();
    }

    /// Depth, unit normal (world frame) and place (object frame) of the point that `ray` meets first.
    fn cast(&self, ray: &Ray) -> Option<(f64, DVec3, DVec3)> {
        if !solids::ray_near_sphere(ray.origin - self.center, ray.direction, self.radius) {
            return None;
        }
        let origin = self.object_from_world * (ray.origin - self.position);
        let direction = self.object_from_world * ray.direction;
        let world = |normal: DVec3| self.object_from_world.conjugate() * normal;
        if let Body::Triangles(triangles) = &self.body {
            let hit = triangles.cast(origin, direction, NEAR)?;
            return Some((hit.depth, world(hit.normal), hit.rest_point));
        }
        let (depth, normal) = match self.body {
            Body::Box(half) => solids::enter_box(origin, direction, half),
            Body::Sphere(radius) => solids::enter_sphere(origin, direction, radius),
            Body::Cylinder { radius, half_height } => {
                solids::enter_cylinder(origin, direction, radius, half_height)
            }
            Body::Capsule { radius, half_height } => {
                solids::enter_capsule(origin, direction, radius, half_height)
            }
            Body::Triangles(_) | Body::Nothing => None,
        }?;
        (depth > NEAR).then(|| (depth, world(normal), origin + depth * direction))
    }
}

impl Body {
    fn rigid(scene: &Scene, shape: Shape) -> Self {
        match shape {
            Shape::Cuboid { half_extents } => Self::Box(vector(half_extents)),
            Shape::Sphere { radius } => Self::Sphere(radius.into()),
            Shape::Cylinder { radius, half_height } => {
                Self::Cylinder { radius: radius.into(), half_height: half_height.into() }
            }
            Shape::Capsule { radius, half_height } => {
                Self::Capsule { radius: radius.into(), half_height: half_height.into() }
            }
            Shape::Mesh { mesh } | Shape::Soft { mesh } => {
                scene.meshes.get(mesh as usize).map_or(Self::Nothing, |mesh| {
                    Self::Triangles(Box::new(Triangles::new(mesh, &mesh.vertices)))
                })
            }
        }
    }

    /// Least and greatest corner of a box around it, object frame.
    fn bounds(&self) -> (DVec3, DVec3) {
        let half = match self {
            Self::Box(half) => *half,
            Self::Sphere(radius) => DVec3::splat(*radius),
            Self::Cylinder { radius, half_height } => DVec3::new(*radius, *radius, *half_height),
            Self::Capsule { radius, half_height } => DVec3::new(*radius, *radius, half_height + radius),
            Self::Triangles(triangles) => return triangles.bounds(),
            Self::Nothing => DVec3::ZERO,
        };
        (-half, half)
    }
}

/// Single to double precision.
pub(crate) fn vector(values: [f32; 3]) -> DVec3 {
    DVec3::from_array(values.map(f64::from))
}
