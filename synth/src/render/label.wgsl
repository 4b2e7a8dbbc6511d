// What is known of what a pixel shows: ids, depth, and in full its normal, its place on the object, and where that
// place is seen one row later and earlier. Shapes and triangles alike end in `ids_and_depth` and `know`.

// What is added to a point's place in the camera's frame, from this row to another one: rows, over the object's frame.
// A difference, so that what stands still has a flow of exactly zero.
struct Motion {
    next: array<vec4<f32>, 3>,
    previous: array<vec4<f32>, 3>,
    // Focal length at the next and the previous row, pixels.
    focal: vec2<f32>,
}

// One an instance.
@group(1) @binding(0) var<storage, read> motions: array<Motion>;

// What a fragment knows of its instance, as `Thing` does for colour; and below its place, as WGSL wants it flat.
struct LabelThing {
    @location(0) @interpolate(flat) ray_x: vec3<f32>,
    @location(1) @interpolate(flat) ray_y: vec3<f32>,
    @location(2) @interpolate(flat) ray_0: vec3<f32>,
    @location(3) @interpolate(flat) origin: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
    @location(5) @interpolate(flat) corner: vec2<f32>,
    @location(6) @interpolate(flat) ids: u32,
}

struct LabelVertex {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) ray_x: vec3<f32>,
    @location(1) @interpolate(flat) ray_y: vec3<f32>,
    @location(2) @interpolate(flat) ray_0: vec3<f32>,
    @location(3) @interpolate(flat) origin: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
    @location(5) @interpolate(flat) corner: vec2<f32>,
    @location(6) @interpolate(flat) ids: u32,
}

// The same, and all that the labels in full need.
struct KnownThing {
    @location(0) @interpolate(flat) ray_x: vec3<f32>,
    @location(1) @interpolate(flat) ray_y: vec3<f32>,
    @location(2) @interpolate(flat) ray_0: vec3<f32>,
    @location(3) @interpolate(flat) origin: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
    @location(5) @interpolate(flat) corner: vec2<f32>,
    @location(6) @interpolate(flat) ids: u32,
    // Focal length, then the principal point x and y, in pixels.
    @location(7) @interpolate(flat) lens: vec3<f32>,
    @location(8) @interpolate(flat) focal: vec2<f32>,
    @location(9) @interpolate(flat) next_x: vec4<f32>,
    @location(10) @interpolate(flat) next_y: vec4<f32>,
    @location(11) @interpolate(flat) next_z: vec4<f32>,
    @location(12) @interpolate(flat) previous_x: vec4<f32>,
    @location(13) @interpolate(flat) previous_y: vec4<f32>,
    @location(14) @interpolate(flat) previous_z: vec4<f32>,
}

struct KnownVertex {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) ray_x: vec3<f32>,
    @location(1) @interpolate(flat) ray_y: vec3<f32>,
    @location(2) @interpolate(flat) ray_0: vec3<f32>,
    @location(3) @interpolate(flat) origin: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
    @location(5) @interpolate(flat) corner: vec2<f32>,
    @location(6) @interpolate(flat) ids: u32,
    @location(7) @interpolate(flat) lens: vec3<f32>,
    @location(8) @interpolate(flat) focal: vec2<f32>,
    @location(9) @interpolate(flat) next_x: vec4<f32>,
    @location(10) @interpolate(flat) next_y: vec4<f32>,
    @location(11) @interpolate(flat) next_z: vec4<f32>,
    @location(12) @interpolate(flat) previous_x: vec4<f32>,
    @location(13) @interpolate(flat) previous_y: vec4<f32>,
    @location(14) @interpolate(flat) previous_z: vec4<f32>,
}

@vertex
fn label_vertex(@location(0) corner: vec3<f32>, @builtin(instance_index) index: u32) -> LabelVertex {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let cell = cell_of(instance.tile);
    let clip = proxy_corner(corner, instance, tile);
    let thing = describe(instance, tile, cell);
    var out: LabelVertex;
    out.position = place_in_atlas(clip, cell);
    //CLIP out.clip = inside_tile(clip);
    out.ray_x = thing.ray_x;
    out.ray_y = thing.ray_y;
    out.ray_0 = thing.ray_0;
    out.origin = thing.origin;
    out.half_extents = thing.half_extents;
    out.corner = thing.corner;
    out.ids = instance.ids;
    return out;
}

@vertex
fn known_vertex(@location(0) corner: vec3<f32>, @builtin(instance_index) index: u32) -> KnownVertex {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let cell = cell_of(instance.tile);
    let clip = proxy_corner(corner, instance, tile);
    let thing = describe(instance, tile, cell);
    var out: KnownVertex;
    out.position = place_in_atlas(clip, cell);
    //CLIP out.clip = inside_tile(clip);
    out.ray_x = thing.ray_x;
    out.ray_y = thing.ray_y;
    out.ray_0 = thing.ray_0;
    out.origin = thing.origin;
    out.half_extents = thing.half_extents;
    out.corner = thing.corner;
    out.ids = instance.ids;
    out.lens = tile.lens.xyz;
    let motion = motions[index];
    out.focal = motion.focal;
    out.next_x = motion.next[0];
    out.next_y = motion.next[1];
    out.next_z = motion.next[2];
    out.previous_x = motion.previous[0];
    out.previous_y = motion.previous[1];
    out.previous_z = motion.previous[2];
    return out;
}

// A point that a pixel shows, whatever it was found on.
struct Point {
    // Where it is on the object, object frame, metres.
    coordinates: vec3<f32>,
    // Unit normal, camera frame.
    normal: vec3<f32>,
    // Metric depth, camera z.
    depth: f32,
    // What is added to its place in the camera's frame until the next row, and since the previous one; metres.
    to_next: vec3<f32>,
    to_previous: vec3<f32>,
}

// All that is known of a point, as the bits that are stored; the host takes them apart again.
struct Known {
    // Ids, depth, normal x and y.
    ids_depth_normal: vec4<u32>,
    // Flow to the next row, flow to the previous one.
    flow: vec4<u32>,
    // Coordinates, normal z.
    coordinates_normal: vec4<u32>,
}

fn ids_and_depth(ids: u32, depth: f32) -> vec2<u32> {
    return vec2(ids, bitcast<u32>(depth));
}

// How far, in pixels, the point at `place` (in pixels) and `depth` moves in the picture when `motion` (camera frame) is
// added to it and the focal length becomes `focal`. Zero if it gets behind the camera.
fn flow(place: vec2<f32>, depth: f32, motion: vec3<f32>, lens: vec3<f32>, focal: f32) -> vec2<f32> {
    let slope = (place - lens.yz) / lens.x;
    let z = depth + motion.z;
    let moved = focal * (motion.xy - slope * motion.z) / max(z, NEAR) + (focal - lens.x) * slope;
    return select(vec2(0.0), moved, z > NEAR);
}

// `place` is the pixel's centre; `focal` holds the focal lengths of the next and the previous row.
fn know(point: Point, ids: u32, place: vec2<f32>, lens: vec3<f32>, focal: vec2<f32>) -> Known {
    let forward = flow(place, point.depth, point.to_next, lens, focal.x);
    let backward = flow(place, point.depth, point.to_previous, lens, focal.y);
    return Known(
        vec4(ids_and_depth(ids, point.depth), bitcast<vec2<u32>>(point.normal.xy)),
        bitcast<vec4<u32>>(vec4(forward, backward)),
        bitcast<vec4<u32>>(vec4(point.coordinates, point.normal.z)),
    );
}

struct Labelled {
    @location(0) ids_depth: vec2<u32>,
    @builtin(frag_depth) depth: f32,
}

@fragment
fn label(@builtin(position) position: vec4<f32>, thing: LabelThing) -> Labelled {
    let pixel = pixel_in_tile(position, thing.corner);
    let solid = Solid(thing.ray_x, thing.ray_y, thing.ray_0, thing.origin, thing.half_extents);
    let hit = trace(solid, ray_through(solid, pixel + 0.5));
    if is_outside(pixel) || hit.depth <= NEAR {
        discard;
    }
    return Labelled(ids_and_depth(thing.ids, hit.depth), NEAR / hit.depth);
}

struct LabelledInFull {
    @location(0) ids_depth_normal: vec4<u32>,
    @location(1) flow: vec4<u32>,
    @location(2) coordinates_normal: vec4<u32>,
    @builtin(frag_depth) depth: f32,
}

@fragment
fn label_in_full(@builtin(position) position: vec4<f32>, thing: KnownThing) -> LabelledInFull {
    let pixel = pixel_in_tile(position, thing.corner);
    let place = pixel + 0.5;
    let solid = Solid(thing.ray_x, thing.ray_y, thing.ray_0, thing.origin, thing.half_extents);
    let ray = ray_through(solid, place);
    let hit = trace(solid, ray);
    if is_outside(pixel) || hit.depth <= NEAR {
        discard;
    }
    // Over the object's frame, ray_x and ray_y are the camera's axes over the focal length, and ray_0 leads to the
    // tile's corner.
    let along = vec2(dot(thing.ray_x, hit.normal), dot(thing.ray_y, hit.normal));
    let normal = vec3(thing.lens.x * along, dot(thing.ray_0, hit.normal) + dot(thing.lens.yz, along));
    let coordinates = thing.origin + hit.depth * ray;
    let at = vec4(coordinates, 1.0);
    let point = Point(
        coordinates,
        normalize(normal),
        hit.depth,
        vec3(dot(thing.next_x, at), dot(thing.next_y, at), dot(thing.next_z, at)),
        vec3(dot(thing.previous_x, at), dot(thing.previous_y, at), dot(thing.previous_z, at)),
    );
    let known = know(point, thing.ids, place, thing.lens, thing.focal);
    return LabelledInFull(known.ids_depth_normal, known.flow, known.coordinates_normal, NEAR / hit.depth);
}
