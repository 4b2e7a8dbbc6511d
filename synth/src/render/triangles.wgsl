// Triangles: rigid meshes and soft things. Each vertex looks up all three corners of its triangle and hands on the
// plane that they span and what is known at them; a fragment meets its own ray with that plane, as it does with
// shapes. So what it finds depends on its place within the tile alone.
//
// What the rasteriser covers must not depend on the tile's place either: corners are rounded to 1/256 of a pixel within
// the tile, which is what rasterisers do within the atlas. A triangle that leaves the tile or comes near the camera
// would be clipped, and rounded again; such a one is drawn as the rectangle around it, and each fragment asks whether
// it is inside.
//
// Things of many triangles that lie within the tile as a whole need none of that. Their triangles share corners: only
// the first vertex of a triangle hands on what is known of it, the other two are other triangles' first ones. So where
// a vertex is must not depend on its triangle.

struct Corner {
    // Object frame; for soft things that is the world's.
    position: vec3<f32>,
    normal: vec3<f32>,
    // Where it is on the object at rest.
    rest: vec3<f32>,
}

// What is added to a corner's position until the next row, and since the previous one, beside what its frame does.
struct CornerMotion {
    to_next: vec3<f32>,
    to_previous: vec3<f32>,
}

@group(0) @binding(3) var<storage, read> corners: array<Corner>;
@group(0) @binding(4) var<storage, read> corner_motions: array<CornerMotion>;

// Pixels by which the rectangle around a triangle stands out.
const FACET_MARGIN: f32 = 1.0;
// Rasterisers round corners to this part of a pixel.
const SUBPIXELS: f32 = 256.0;

// A triangle in the camera's frame.
struct Facet {
    // Of its first corner's data.
    first: u32,
    // Clip position of the vertex, within the tile.
    clip: vec4<f32>,
    // Over pixels (x, y, 1): one over depth.
    plane: vec3<f32>,
    // Over points (x, y, z, 1) of the camera's frame: weights of the second and of the third corner.
    second: vec4<f32>,
    third: vec4<f32>,
    // How far outside a fragment still belongs to it, as a weight.
    slack: f32,
    // -1 if it is seen from behind.
    side: f32,
}

// Where a pixel's ray meets a triangle.
struct FacetHit {
    // Metric depth; not positive where the ray misses.
    depth: f32,
    // Camera frame.
    point: vec3<f32>,
    second: f32,
    third: f32,
}

fn in_camera(m: array<vec4<f32>, 3>, point: vec3<f32>) -> vec3<f32> {
    let at = vec4(point, 1.0);
    return vec3(dot(m[0], at), dot(m[1], at), dot(m[2], at));
}

fn turn_to_camera(m: array<vec4<f32>, 3>, v: vec3<f32>) -> vec3<f32> {
    return vec3(dot(m[0].xyz, v), dot(m[1].xyz, v), dot(m[2].xyz, v));
}

fn clip_of_pixel(pixel: vec2<f32>) -> vec4<f32> {
    let size = vec2(f32(atlas.tile_width), f32(atlas.tile_height));
    let ndc = 2.0 * pixel / size - 1.0;
    return vec4(ndc.x, -ndc.y, 0.5, 1.0);
}

fn pixel_of_point(tile: Tile, point: vec3<f32>) -> vec2<f32> {
    let pixel = tile.lens.x * point.xy / point.z + tile.lens.yz;
    return round(pixel * SUBPIXELS) / SUBPIXELS;
}

// The triangle of one vertex of an instance. One that is not to be seen has all its vertices at one place, or, if it
// shares them, nothing but misses.
fn facet_of(instance: Instance, tile: Tile, vertex: u32) -> Facet {
    let m = instance.camera_from_object;
    let which = vertex % 3u;
    var facet: Facet;
    facet.first = u32(instance.half_extents.x) + vertex - which;
    facet.clip = vec4(0.0, 0.0, 0.5, 1.0);
    if SHAPE != SHAPE_TRIANGLES {
        facet.clip = clip_of_pixel(pixel_of_point(tile, in_camera(m, corners[facet.first + which].position)));
        facet.plane = vec3(0.0, 0.0, -1.0);
    }
    let origin = corners[facet.first].position;
    let a = in_camera(m, origin);
    let ab = turn_to_camera(m, corners[facet.first + 1u].position - origin);
    let ac = turn_to_camera(m, corners[facet.first + 2u].position - origin);
    let normal = cross(ab, ac);
    let area = dot(normal, normal);
    let distance = dot(normal, a);
    facet.side = select(1.0, -1.0, distance > 0.0);
    let is_behind = facet.side < 0.0 && instance.half_extents.z == 0.0;
    if f32(vertex) >= instance.half_extents.y || is_behind || area == 0.0 || distance == 0.0 {
        return facet;
    }
    let plane = normal / distance;
    facet.plane = vec3(plane.xy, plane.z * tile.lens.x - dot(plane.xy, tile.lens.yz)) / tile.lens.x;
    let second = cross(ac, normal) / area;
    let third = cross(normal, ab) / area;
    facet.second = vec4(second, -dot(second, a));
    facet.third = vec4(third, -dot(third, a));
    facet.slack = 1e9;
    if SHAPE != SHAPE_TRIANGLES {
        return facet;
    }
    let b = a + ab;
    let c = a + ac;
    let size = vec2(f32(atlas.tile_width), f32(atlas.tile_height));
    let nearest = min(a.z, min(b.z, c.z));
    if max(a.z, max(b.z, c.z)) <= NEAR {
        return facet;
    }
    let pixels = array(pixel_of_point(tile, a), pixel_of_point(tile, b), pixel_of_point(tile, c));
    var low = min(pixels[0], min(pixels[1], pixels[2]));
    var high = max(pixels[0], max(pixels[1], pixels[2]));
    if nearest > NEAR && all(low >= vec2(-0.5)) && all(high <= size + 0.5) {
        facet.clip = clip_of_pixel(pixels[which]);
        return facet;
    }
    // Seen from within NEAR, it may be anywhere.
    low = select(vec2(0.0), clamp(low - FACET_MARGIN, vec2(0.0), size), nearest > NEAR);
    high = select(size, clamp(high + FACET_MARGIN, vec2(0.0), size), nearest > NEAR);
    facet.slack = max(nearest, NEAR) / (tile.lens.x * SUBPIXELS) * max(length(second), length(third));
    // A triangle over the rectangle: two of its sides, twice as long.
    let across = vec2(f32(which == 1u), f32(which == 2u));
    facet.clip = clip_of_pixel(low + 2.0 * across * (high - low));
    return facet;
}

// Where in the tile, in pixels, the sample lies that is drawn at a position of the colour target, which is twice as wide
// and high. Shapes shift it within its quarter of the pixel; a triangle is known there only where it was rasterised.
fn sample_of_facet(position: vec4<f32>, corner: vec2<f32>) -> vec2<f32> {
    return 0.5 * (floor(position.xy) + 0.5) - corner;
}

// The ray through a place of the tile, scaled so that its parameter is metric depth; camera frame.
fn camera_ray(place: vec2<f32>, lens: vec3<f32>) -> vec3<f32> {
    return vec3((place - lens.yz) / lens.x, 1.0);
}

fn hit_facet(plane: vec3<f32>, weights: array<vec4<f32>, 2>, ray: vec3<f32>, place: vec3<f32>) -> FacetHit {
    let depth = 1.0 / dot(plane, vec3(place.xy, 1.0));
    let point = depth * ray;
    let second = dot(weights[0], vec4(point, 1.0));
    let third = dot(weights[1], vec4(point, 1.0));
    let inside = min(min(second, third), 1.0 - second - third) >= -place.z;
    return FacetHit(select(-1.0, depth, inside), point, second, third);
}
