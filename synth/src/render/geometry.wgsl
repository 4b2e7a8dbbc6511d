// Draws every tile of the atlas in one pass. This file: what is where. `color.wgsl`: what it looks like. `label.wgsl`:
// what is known of it. The three are compiled as one.
//
// The mesh that is rasterised is only a proxy: a box slightly larger than the shape, which decides what pixels are
// looked at. What they show is found by intersecting the pixel's own ray with the shape. A ray depends on the pixel's
// place within its tile alone, so a tile is bitwise the same wherever in the atlas it lies and whoever lies beside it.
//
// All that a fragment needs is the same for its whole instance; the vertex stage hands it on unchanged ("flat"), as
// fetching it from a buffer for each fragment is what costs most on a software driver.

struct Atlas {
    columns: u32,
    rows: u32,
    tile_width: u32,
    tile_height: u32,
}

struct Tile {
    // Focal length, then the principal point x and y, in pixels.
    lens: vec4<f32>,
    // Unit vector towards the light, camera frame.
    light: vec4<f32>,
    // Unit vector along world up, camera frame.
    up: vec4<f32>,
}

struct Instance {
    // Rows of camera_from_object, OpenCV camera.
    camera_from_object: array<vec4<f32>, 3>,
    // Half extents of the box around the shape. Sphere: radius in x. Cylinder: radius in x and y, half height in z.
    // Capsule: radius in x and y, half of its whole length in z. Triangles: first corner, corners, 1 if both sides are
    // seen.
    half_extents: vec3<f32>,
    tile: u32,
    color: vec3<f32>,
    // Instance id, and semantic class in the upper half.
    ids: u32,
}

const SHAPE_SKY: u32 = 0u;
const SHAPE_BOX: u32 = 1u;
const SHAPE_SPHERE: u32 = 2u;
const SHAPE_CYLINDER: u32 = 3u;
const SHAPE_CAPSULE: u32 = 4u;
const SHAPE_TRIANGLES: u32 = 5u;

// The shape that this pipeline draws; one pipeline a shape, as a branch costs a software driver both its sides.
override SHAPE: u32 = SHAPE_BOX;

// Nearest distance that is drawn, metres.
const NEAR: f32 = 0.01;
// How far a proxy stands out around its shape, pixels.
const PROXY_MARGIN: f32 = 2.0;

@group(0) @binding(0) var<uniform> atlas: Atlas;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> instances: array<Instance>;

// What a fragment knows of its instance. The ray through pixel (x, y) of the tile is x·ray_x + y·ray_y + ray_0 in the
// object's frame, scaled so that its parameter is metric depth.
struct Thing {
    @location(0) @interpolate(flat) ray_x: vec3<f32>,
    @location(1) @interpolate(flat) ray_y: vec3<f32>,
    @location(2) @interpolate(flat) ray_0: vec3<f32>,
    // The camera's place in the object's frame.
    @location(3) @interpolate(flat) origin: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
    @location(5) @interpolate(flat) color: vec3<f32>,
    // Towards the light, and up; object frame.
    @location(6) @interpolate(flat) light: vec3<f32>,
    @location(7) @interpolate(flat) up: vec3<f32>,
    // The tile's first pixel in the atlas.
    @location(8) @interpolate(flat) corner: vec2<f32>,
}

// A thing and its place; WGSL wants it flat.
struct Vertex {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) ray_x: vec3<f32>,
    @location(1) @interpolate(flat) ray_y: vec3<f32>,
    @location(2) @interpolate(flat) ray_0: vec3<f32>,
    @location(3) @interpolate(flat) origin: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
    @location(5) @interpolate(flat) color: vec3<f32>,
    @location(6) @interpolate(flat) light: vec3<f32>,
    @location(7) @interpolate(flat) up: vec3<f32>,
    @location(8) @interpolate(flat) corner: vec2<f32>,
}

// Clip position, within a tile of its own, of a point in the camera frame; depth is reversed and has no far end.
fn project(tile: Tile, point: vec3<f32>) -> vec4<f32> {
    let size = vec2(f32(atlas.tile_width), f32(atlas.tile_height));
    let pixel_times_z = tile.lens.x * point.xy + tile.lens.yz * point.z;
    let ndc_times_z = 2.0 * pixel_times_z / size - point.z;
    return vec4(ndc_times_z.x, -ndc_times_z.y, NEAR, point.z);
}

fn describe(instance: Instance, tile: Tile, cell: vec2<f32>) -> Vertex {
    let m = instance.camera_from_object;
    var thing: Vertex;
    thing.ray_x = m[0].xyz / tile.lens.x;
    thing.ray_y = m[1].xyz / tile.lens.x;
    thing.ray_0 = m[2].xyz - tile.lens.y * thing.ray_x - tile.lens.z * thing.ray_y;
    thing.origin = -(m[0].w * m[0].xyz + m[1].w * m[1].xyz + m[2].w * m[2].xyz);
    thing.half_extents = instance.half_extents;
    thing.color = instance.color;
    thing.light = tile.light.x * m[0].xyz + tile.light.y * m[1].xyz + tile.light.z * m[2].xyz;
    thing.up = tile.up.x * m[0].xyz + tile.up.y * m[1].xyz + tile.up.z * m[2].xyz;
    thing.corner = cell * vec2(f32(atlas.tile_width), f32(atlas.tile_height));
    return thing;
}

// Clip position, within its tile, of a corner of the proxy of an instance.
fn proxy_corner(corner: vec3<f32>, instance: Instance, tile: Tile) -> vec4<f32> {
    if SHAPE == SHAPE_SKY {
        return vec4(corner.xy, 0.0, 1.0);
    }
    let m = instance.camera_from_object;
    let center = vec3(m[0].w, m[1].w, m[2].w);
    let reach = length(center) + length(instance.half_extents);
    let margin = PROXY_MARGIN * reach / tile.lens.x;
    let at = vec4(corner * (instance.half_extents + margin), 1.0);
    return project(tile, vec3(dot(m[0], at), dot(m[1], at), dot(m[2], at)));
}

// Column and row of a tile.
fn cell_of(tile: u32) -> vec2<f32> {
    return vec2(f32(tile % atlas.columns), f32(tile / atlas.columns));
}

// Clip position within the atlas of a clip position within the tile at `cell`.
fn place_in_atlas(clip: vec4<f32>, cell: vec2<f32>) -> vec4<f32> {
    let grid = vec2(f32(atlas.columns), f32(atlas.rows));
    let offset = vec2(2.0 * cell.x + 1.0 - grid.x, grid.y - 2.0 * cell.y - 1.0) / grid;
    return vec4(clip.xy / grid + offset * clip.w, clip.zw);
}

//CLIP // Distances from the sides of the tile, a pixel of slack included.
//CLIP fn inside_tile(clip: vec4<f32>) -> array<f32, 4> {
//CLIP     let slack = clip.w * (1.0 + 2.0 / f32(min(atlas.tile_width, atlas.tile_height)));
//CLIP     return array(slack - clip.x, slack + clip.x, slack - clip.y, slack + clip.y);
//CLIP }

@vertex
fn vertex(@location(0) corner: vec3<f32>, @builtin(instance_index) index: u32) -> Vertex {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let cell = cell_of(instance.tile);
    let clip = proxy_corner(corner, instance, tile);
    var out = describe(instance, tile, cell);
    out.position = place_in_atlas(clip, cell);
    //CLIP out.clip = inside_tile(clip);
    return out;
}

struct Hit {
    // Metric depth, camera z; not positive where the ray misses.
    depth: f32,
    // Unit normal, object frame.
    normal: vec3<f32>,
}

const MISS = Hit(-1.0, vec3(0.0));

fn hit_box(origin: vec3<f32>, ray: vec3<f32>, half: vec3<f32>) -> Hit {
    let a = (-half - origin) / ray;
    let b = (half - origin) / ray;
    let enter = min(a, b);
    let leave = max(a, b);
    let first = max(enter.x, max(enter.y, enter.z));
    let hit = first <= min(leave.x, min(leave.y, leave.z));
    let along_x = first == enter.x;
    let along_y = !along_x && first == enter.y;
    let faces = vec3(along_x, along_y, !along_x && !along_y);
    return Hit(select(-1.0, first, hit), select(vec3(0.0), -sign(ray), faces));
}

fn hit_sphere(origin: vec3<f32>, ray: vec3<f32>, radius: f32) -> Hit {
    let squared = dot(ray, ray);
    let closest = -dot(origin, ray) / squared;
    let miss = origin + closest * ray;
    let chord = radius * radius - dot(miss, miss);
    let depth = closest - sqrt(max(chord, 0.0) / squared);
    return Hit(select(-1.0, depth, chord >= 0.0), (origin + depth * ray) / radius);
}

fn hit_cylinder(origin: vec3<f32>, ray: vec3<f32>, radius: f32, half_height: f32) -> Hit {
    let squared = dot(ray.xy, ray.xy);
    let closest = -dot(origin.xy, ray.xy) / squared;
    let miss = origin.xy + closest * ray.xy;
    let chord = radius * radius - dot(miss, miss);
    let half = sqrt(max(chord, 0.0) / squared);
    let cap_a = (-half_height - origin.z) / ray.z;
    let cap_b = (half_height - origin.z) / ray.z;
    let enter_cap = min(cap_a, cap_b);
    let first = max(closest - half, enter_cap);
    let hit = chord >= 0.0 && first <= min(closest + half, max(cap_a, cap_b));
    let cap = vec3(0.0, 0.0, -sign(ray.z));
    let side = vec3((origin.xy + first * ray.xy) / radius, 0.0);
    return Hit(select(-1.0, first, hit), select(side, cap, first == enter_cap));
}

fn hit_capsule(origin: vec3<f32>, ray: vec3<f32>, radius: f32, half_height: f32) -> Hit {
    let squared = dot(ray.xy, ray.xy);
    let closest = -dot(origin.xy, ray.xy) / squared;
    let miss = origin.xy + closest * ray.xy;
    let chord = radius * radius - dot(miss, miss);
    let side = closest - sqrt(max(chord, 0.0) / squared);
    // Where the ray comes through the endless cylinder: beside the capsule's middle, or over one of its ends.
    let along = origin.z + side * ray.z;
    let center = vec3(0.0, 0.0, clamp(along, -half_height, half_height));
    let end = hit_sphere(origin - center, ray, radius);
    let is_side = abs(along) <= half_height;
    let depth = select(end.depth, side, is_side);
    let normal = select(end.normal, vec3((origin.xy + side * ray.xy) / radius, 0.0), is_side);
    return Hit(select(-1.0, depth, chord >= 0.0), normal);
}

// A shape and the rays that look at it, as in `Thing`.
struct Solid {
    ray_x: vec3<f32>,
    ray_y: vec3<f32>,
    ray_0: vec3<f32>,
    origin: vec3<f32>,
    half_extents: vec3<f32>,
}

fn solid_of(thing: Thing) -> Solid {
    return Solid(thing.ray_x, thing.ray_y, thing.ray_0, thing.origin, thing.half_extents);
}

// The ray through a place in the tile, in pixels; no component is zero, so that no quotient is 0/0.
fn ray_through(solid: Solid, pixel: vec2<f32>) -> vec3<f32> {
    let ray = pixel.x * solid.ray_x + pixel.y * solid.ray_y + solid.ray_0;
    return select(ray, vec3(1e-7), abs(ray) < vec3(1e-7));
}

// What is seen of `solid` along `ray`.
fn trace(solid: Solid, ray: vec3<f32>) -> Hit {
    let half = solid.half_extents;
    if SHAPE == SHAPE_BOX {
        return hit_box(solid.origin, ray, half);
    } else if SHAPE == SHAPE_SPHERE {
        return hit_sphere(solid.origin, ray, half.x);
    } else if SHAPE == SHAPE_CYLINDER {
        return hit_cylinder(solid.origin, ray, half.x, half.z);
    } else {
        return hit_capsule(solid.origin, ray, half.x, half.z - half.x);
    }
}

// The pixel's first corner within the tile whose own is at `corner`.
fn pixel_in_tile(position: vec4<f32>, corner: vec2<f32>) -> vec2<f32> {
    return floor(position.xy) - corner;
}

fn is_outside(pixel: vec2<f32>) -> bool {
    let size = vec2(f32(atlas.tile_width), f32(atlas.tile_height));
    return any(pixel < vec2(0.0)) || any(pixel >= size);
}
