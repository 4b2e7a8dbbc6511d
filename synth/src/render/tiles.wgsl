// Draws every tile of the atlas in one pass.
//
// The mesh that is rasterised is only a proxy: a box slightly larger than the shape, which decides what pixels are
// looked at. What they show is found by intersecting the pixel's own ray with the shape. A ray depends on the pixel's
// place within its tile alone, so a tile is bitwise the same wherever in the atlas it lies and whoever lies beside it.

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
    // Linear colour where nothing is.
    sky: vec4<f32>,
}

struct Instance {
    // Rows of camera_from_object, OpenCV camera.
    camera_from_object: array<vec4<f32>, 3>,
    // Box: half extents. Sphere: radius in x. Cylinder: radius in x and y, half height in z.
    half_extents: vec3<f32>,
    shape: u32,
    color: vec3<f32>,
    id: u32,
    tile: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

const SHAPE_BOX: u32 = 0u;
const SHAPE_SPHERE: u32 = 1u;
const SHAPE_CYLINDER: u32 = 2u;
const SHAPE_SKY: u32 = 3u;

// Nearest distance that is drawn, metres.
const NEAR: f32 = 0.01;
// How far a proxy stands out around its shape, pixels.
const PROXY_MARGIN: f32 = 2.0;

// Where in its pixel each sample of the 4× antialiasing lies (Vulkan's standard pattern).
const SAMPLES = array<vec2<f32>, 4>(
    vec2(0.375, 0.125), vec2(0.875, 0.375), vec2(0.125, 0.625), vec2(0.625, 0.875),
);

@group(0) @binding(0) var<uniform> atlas: Atlas;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> instances: array<Instance>;

struct Varyings {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) instance: u32,
}

// Clip position, within a tile of its own, of a point in the camera frame; depth is reversed and has no far end.
fn project(tile: Tile, point: vec3<f32>) -> vec4<f32> {
    let size = vec2(f32(atlas.tile_width), f32(atlas.tile_height));
    let pixel_times_z = tile.lens.x * point.xy + tile.lens.yz * point.z;
    let ndc_times_z = 2.0 * pixel_times_z / size - point.z;
    return vec4(ndc_times_z.x, -ndc_times_z.y, NEAR, point.z);
}

@vertex
fn vertex(@location(0) corner: vec3<f32>, @builtin(instance_index) index: u32) -> Varyings {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let m = instance.camera_from_object;
    var clip = vec4(corner.xy, 0.0, 1.0);
    if instance.shape != SHAPE_SKY {
        let center = vec3(m[0].w, m[1].w, m[2].w);
        let reach = length(center) + length(instance.half_extents);
        let margin = PROXY_MARGIN * reach / tile.lens.x;
        let at = vec4(corner * (instance.half_extents + margin), 1.0);
        clip = project(tile, vec3(dot(m[0], at), dot(m[1], at), dot(m[2], at)));
    }
    let grid = vec2(f32(atlas.columns), f32(atlas.rows));
    let cell = vec2(f32(instance.tile % atlas.columns), f32(instance.tile / atlas.columns));
    let offset = vec2(2.0 * cell.x + 1.0 - grid.x, grid.y - 2.0 * cell.y - 1.0) / grid;
    var out: Varyings;
    out.position = vec4(clip.xy / grid + offset * clip.w, clip.zw);
    //CLIP let slack = clip.w * (1.0 + 2.0 / f32(min(atlas.tile_width, atlas.tile_height)));
    //CLIP out.clip = array(slack - clip.x, slack + clip.x, slack - clip.y, slack + clip.y);
    out.instance = index;
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
    if first > min(leave.x, min(leave.y, leave.z)) {
        return MISS;
    }
    if first == enter.x {
        return Hit(first, vec3(-sign(ray.x), 0.0, 0.0));
    }
    if first == enter.y {
        return Hit(first, vec3(0.0, -sign(ray.y), 0.0));
    }
    return Hit(first, vec3(0.0, 0.0, -sign(ray.z)));
}

fn hit_sphere(origin: vec3<f32>, ray: vec3<f32>, radius: f32) -> Hit {
    let squared = dot(ray, ray);
    let closest = -dot(origin, ray) / squared;
    let miss = origin + closest * ray;
    let chord = radius * radius - dot(miss, miss);
    if chord < 0.0 {
        return MISS;
    }
    let depth = closest - sqrt(chord / squared);
    return Hit(depth, (origin + depth * ray) / radius);
}

fn hit_cylinder(origin: vec3<f32>, ray: vec3<f32>, radius: f32, half_height: f32) -> Hit {
    let squared = dot(ray.xy, ray.xy);
    let closest = -dot(origin.xy, ray.xy) / squared;
    let miss = origin.xy + closest * ray.xy;
    let chord = radius * radius - dot(miss, miss);
    if chord < 0.0 {
        return MISS;
    }
    let half = sqrt(chord / squared);
    let cap_a = (-half_height - origin.z) / ray.z;
    let cap_b = (half_height - origin.z) / ray.z;
    let enter_cap = min(cap_a, cap_b);
    let first = max(closest - half, enter_cap);
    if first > min(closest + half, max(cap_a, cap_b)) {
        return MISS;
    }
    if first == enter_cap {
        return Hit(first, vec3(0.0, 0.0, -sign(ray.z)));
    }
    return Hit(first, vec3((origin.xy + first * ray.xy) / radius, 0.0));
}

// What `instance` shows along the camera-frame ray (x, y, 1).
fn trace(instance: Instance, direction: vec2<f32>) -> Hit {
    let m = instance.camera_from_object;
    let origin = -(m[0].w * m[0].xyz + m[1].w * m[1].xyz + m[2].w * m[2].xyz);
    var ray = direction.x * m[0].xyz + direction.y * m[1].xyz + m[2].xyz;
    // No component is zero, so that no quotient is 0/0.
    ray = select(ray, vec3(1e-7), abs(ray) < vec3(1e-7));
    switch instance.shape {
        case SHAPE_BOX: { return hit_box(origin, ray, instance.half_extents); }
        case SHAPE_SPHERE: { return hit_sphere(origin, ray, instance.half_extents.x); }
        default: { return hit_cylinder(origin, ray, instance.half_extents.x, instance.half_extents.z); }
    }
}

// Pixel within the tile; whether it belongs to the tile at all.
struct Place {
    pixel: vec2<f32>,
    inside: bool,
}

fn place(position: vec4<f32>, tile: u32) -> Place {
    let size = vec2(atlas.tile_width, atlas.tile_height);
    let corner = vec2(tile % atlas.columns, tile / atlas.columns) * size;
    let pixel = vec2<i32>(vec2<u32>(position.xy)) - vec2<i32>(corner);
    let inside = all(pixel >= vec2(0i)) && all(pixel < vec2<i32>(size));
    return Place(vec2<f32>(pixel), inside);
}

struct Shaded {
    @location(0) color: vec4<f32>,
    @builtin(frag_depth) depth: f32,
}

@fragment
fn shade(
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(flat) index: u32,
    @builtin(sample_index) sample: u32,
) -> Shaded {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let at = place(position, instance.tile);
    if !at.inside {
        discard;
    }
    if instance.shape == SHAPE_SKY {
        return Shaded(vec4(tile.sky.rgb, 1.0), 0.0);
    }
    var samples = SAMPLES;
    let hit = trace(instance, (at.pixel + samples[sample] - tile.lens.yz) / tile.lens.x);
    if hit.depth <= NEAR {
        discard;
    }
    let m = instance.camera_from_object;
    let normal = vec3(dot(m[0].xyz, hit.normal), dot(m[1].xyz, hit.normal), dot(m[2].xyz, hit.normal));
    let ambient = mix(0.30, 0.55, 0.5 + 0.5 * dot(normal, tile.up.xyz));
    let diffuse = 0.65 * max(dot(normal, tile.light.xyz), 0.0);
    return Shaded(vec4(instance.color * (ambient + diffuse), 1.0), NEAR / hit.depth);
}

struct Labelled {
    // Instance id, metric depth.
    @location(0) id_depth: vec2<f32>,
    @builtin(frag_depth) depth: f32,
}

@fragment
fn label(
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(flat) index: u32,
) -> Labelled {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let at = place(position, instance.tile);
    if !at.inside {
        discard;
    }
    let hit = trace(instance, (at.pixel + 0.5 - tile.lens.yz) / tile.lens.x);
    if hit.depth <= NEAR {
        discard;
    }
    return Labelled(vec2(f32(instance.id), hit.depth), NEAR / hit.depth);
}
