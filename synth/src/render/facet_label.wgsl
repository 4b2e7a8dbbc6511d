// Triangles in the label pass: ids and depth alone, or everything, as in `label.wgsl`.

struct LabelFacet {
    @location(0) @interpolate(flat) plane: vec3<f32>,
    @location(1) @interpolate(flat) second: vec4<f32>,
    @location(2) @interpolate(flat) third: vec4<f32>,
    @location(3) @interpolate(flat) lens: vec3<f32>,
    // The tile's first pixel in the atlas, and the slack of `Facet`.
    @location(4) @interpolate(flat) corner: vec3<f32>,
    @location(5) @interpolate(flat) ids: u32,
}

struct LabelFacetVertex {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) plane: vec3<f32>,
    @location(1) @interpolate(flat) second: vec4<f32>,
    @location(2) @interpolate(flat) third: vec4<f32>,
    @location(3) @interpolate(flat) lens: vec3<f32>,
    @location(4) @interpolate(flat) corner: vec3<f32>,
    @location(5) @interpolate(flat) ids: u32,
}

// The same, and what is known at the first corner and by how much it differs at the other two.
struct KnownFacet {
    @location(0) @interpolate(flat) plane: vec3<f32>,
    @location(1) @interpolate(flat) second: vec4<f32>,
    @location(2) @interpolate(flat) third: vec4<f32>,
    @location(3) @interpolate(flat) lens: vec3<f32>,
    @location(4) @interpolate(flat) corner: vec3<f32>,
    @location(5) @interpolate(flat) ids: u32,
    @location(6) @interpolate(flat) focal: vec2<f32>,
    @location(7) @interpolate(flat) normal: vec3<f32>,
    @location(8) @interpolate(flat) normal_second: vec3<f32>,
    @location(9) @interpolate(flat) normal_third: vec3<f32>,
    @location(10) @interpolate(flat) rest: vec3<f32>,
    @location(11) @interpolate(flat) rest_second: vec3<f32>,
    @location(12) @interpolate(flat) rest_third: vec3<f32>,
    @location(13) @interpolate(flat) next: vec3<f32>,
    @location(14) @interpolate(flat) next_second: vec3<f32>,
    @location(15) @interpolate(flat) next_third: vec3<f32>,
    @location(16) @interpolate(flat) previous: vec3<f32>,
    @location(17) @interpolate(flat) previous_second: vec3<f32>,
    @location(18) @interpolate(flat) previous_third: vec3<f32>,
}

struct KnownFacetVertex {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) plane: vec3<f32>,
    @location(1) @interpolate(flat) second: vec4<f32>,
    @location(2) @interpolate(flat) third: vec4<f32>,
    @location(3) @interpolate(flat) lens: vec3<f32>,
    @location(4) @interpolate(flat) corner: vec3<f32>,
    @location(5) @interpolate(flat) ids: u32,
    @location(6) @interpolate(flat) focal: vec2<f32>,
    @location(7) @interpolate(flat) normal: vec3<f32>,
    @location(8) @interpolate(flat) normal_second: vec3<f32>,
    @location(9) @interpolate(flat) normal_third: vec3<f32>,
    @location(10) @interpolate(flat) rest: vec3<f32>,
    @location(11) @interpolate(flat) rest_second: vec3<f32>,
    @location(12) @interpolate(flat) rest_third: vec3<f32>,
    @location(13) @interpolate(flat) next: vec3<f32>,
    @location(14) @interpolate(flat) next_second: vec3<f32>,
    @location(15) @interpolate(flat) next_third: vec3<f32>,
    @location(16) @interpolate(flat) previous: vec3<f32>,
    @location(17) @interpolate(flat) previous_second: vec3<f32>,
    @location(18) @interpolate(flat) previous_third: vec3<f32>,
}

@vertex
fn label_facet_vertex(@builtin(vertex_index) vertex: u32, @builtin(instance_index) index: u32) -> LabelFacetVertex {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let cell = cell_of(instance.tile);
    let facet = facet_of(instance, tile, vertex);
    var out: LabelFacetVertex;
    out.position = place_in_atlas(facet.clip, cell);
    //CLIP out.clip = inside_tile(facet.clip);
    out.plane = facet.plane;
    out.second = facet.second;
    out.third = facet.third;
    out.lens = tile.lens.xyz;
    out.corner = vec3(cell * vec2(f32(atlas.tile_width), f32(atlas.tile_height)), facet.slack);
    out.ids = instance.ids;
    return out;
}

// What is added to a corner's place in the camera's frame when its frame moves by `motion` and it by `step` in its own.
fn corner_step(
    m: array<vec4<f32>, 3>,
    motion: array<vec4<f32>, 3>,
    position: vec3<f32>,
    step: vec3<f32>,
) -> vec3<f32> {
    return in_camera(motion, position) + turn_to_camera(m, step) + turn_to_camera(motion, step);
}

@vertex
fn known_facet_vertex(@builtin(vertex_index) vertex: u32, @builtin(instance_index) index: u32) -> KnownFacetVertex {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let cell = cell_of(instance.tile);
    let m = instance.camera_from_object;
    let facet = facet_of(instance, tile, vertex);
    let motion = motions[index];
    let a = facet.first;
    let b = a + 1u;
    let c = a + 2u;
    var out: KnownFacetVertex;
    out.position = place_in_atlas(facet.clip, cell);
    //CLIP out.clip = inside_tile(facet.clip);
    out.plane = facet.plane;
    out.second = facet.second;
    out.third = facet.third;
    out.lens = tile.lens.xyz;
    out.corner = vec3(cell * vec2(f32(atlas.tile_width), f32(atlas.tile_height)), facet.slack);
    out.ids = instance.ids;
    out.focal = motion.focal;
    out.normal = facet.side * turn_to_camera(m, corners[a].normal);
    out.normal_second = facet.side * turn_to_camera(m, corners[b].normal) - out.normal;
    out.normal_third = facet.side * turn_to_camera(m, corners[c].normal) - out.normal;
    out.rest = corners[a].rest;
    out.rest_second = corners[b].rest - out.rest;
    out.rest_third = corners[c].rest - out.rest;
    out.next = corner_step(m, motion.next, corners[a].position, corner_motions[a].to_next);
    out.next_second = corner_step(m, motion.next, corners[b].position, corner_motions[b].to_next) - out.next;
    out.next_third = corner_step(m, motion.next, corners[c].position, corner_motions[c].to_next) - out.next;
    out.previous = corner_step(m, motion.previous, corners[a].position, corner_motions[a].to_previous);
    out.previous_second =
        corner_step(m, motion.previous, corners[b].position, corner_motions[b].to_previous) - out.previous;
    out.previous_third =
        corner_step(m, motion.previous, corners[c].position, corner_motions[c].to_previous) - out.previous;
    return out;
}

@fragment
fn label_facet(@builtin(position) position: vec4<f32>, thing: LabelFacet) -> Labelled {
    let pixel = pixel_in_tile(position, thing.corner.xy);
    let place = pixel + 0.5;
    let ray = camera_ray(place, thing.lens);
    let hit = hit_facet(thing.plane, array(thing.second, thing.third), ray, vec3(place, thing.corner.z));
    if is_outside(pixel) || hit.depth <= NEAR {
        discard;
    }
    return Labelled(ids_and_depth(thing.ids, hit.depth), NEAR / hit.depth);
}

@fragment
fn label_facet_in_full(@builtin(position) position: vec4<f32>, thing: KnownFacet) -> LabelledInFull {
    let pixel = pixel_in_tile(position, thing.corner.xy);
    let place = pixel + 0.5;
    let ray = camera_ray(place, thing.lens);
    let hit = hit_facet(thing.plane, array(thing.second, thing.third), ray, vec3(place, thing.corner.z));
    if is_outside(pixel) || hit.depth <= NEAR {
        discard;
    }
    let point = Point(
        thing.rest + hit.second * thing.rest_second + hit.third * thing.rest_third,
        normalize(thing.normal + hit.second * thing.normal_second + hit.third * thing.normal_third),
        hit.depth,
        thing.next + hit.second * thing.next_second + hit.third * thing.next_third,
        thing.previous + hit.second * thing.previous_second + hit.third * thing.previous_third,
    );
    let known = know(point, thing.ids, place, thing.lens, thing.focal);
    return LabelledInFull(known.ids_depth_normal, known.flow, known.coordinates_normal, NEAR / hit.depth);
}
