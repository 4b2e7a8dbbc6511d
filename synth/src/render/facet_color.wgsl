// Triangles in the colour pass of scenes without a light, lit as shapes are in `color.wgsl`.

struct FacetThing {
    @location(0) @interpolate(flat) plane: vec3<f32>,
    @location(1) @interpolate(flat) second: vec4<f32>,
    @location(2) @interpolate(flat) third: vec4<f32>,
    @location(3) @interpolate(flat) lens: vec3<f32>,
    // The tile's first pixel in the atlas, and the slack of `Facet`.
    @location(4) @interpolate(flat) corner: vec3<f32>,
    // Normal at the first corner, and what the other two differ by; camera frame.
    @location(5) @interpolate(flat) normal: vec3<f32>,
    @location(6) @interpolate(flat) normal_second: vec3<f32>,
    @location(7) @interpolate(flat) normal_third: vec3<f32>,
    @location(8) @interpolate(flat) color: vec3<f32>,
    @location(9) @interpolate(flat) light: vec3<f32>,
    @location(10) @interpolate(flat) up: vec3<f32>,
}

struct FacetVertex {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) plane: vec3<f32>,
    @location(1) @interpolate(flat) second: vec4<f32>,
    @location(2) @interpolate(flat) third: vec4<f32>,
    @location(3) @interpolate(flat) lens: vec3<f32>,
    @location(4) @interpolate(flat) corner: vec3<f32>,
    @location(5) @interpolate(flat) normal: vec3<f32>,
    @location(6) @interpolate(flat) normal_second: vec3<f32>,
    @location(7) @interpolate(flat) normal_third: vec3<f32>,
    @location(8) @interpolate(flat) color: vec3<f32>,
    @location(9) @interpolate(flat) light: vec3<f32>,
    @location(10) @interpolate(flat) up: vec3<f32>,
}

@vertex
fn facet_vertex(@builtin(vertex_index) vertex: u32, @builtin(instance_index) index: u32) -> FacetVertex {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let cell = cell_of(instance.tile);
    let m = instance.camera_from_object;
    let facet = facet_of(instance, tile, vertex);
    var out: FacetVertex;
    out.position = place_in_atlas(facet.clip, cell);
    //CLIP out.clip = inside_tile(facet.clip);
    out.plane = facet.plane;
    out.second = facet.second;
    out.third = facet.third;
    out.lens = tile.lens.xyz;
    out.corner = vec3(cell * vec2(f32(atlas.tile_width), f32(atlas.tile_height)), facet.slack);
    out.normal = facet.side * turn_to_camera(m, corners[facet.first].normal);
    out.normal_second = facet.side * turn_to_camera(m, corners[facet.first + 1u].normal) - out.normal;
    out.normal_third = facet.side * turn_to_camera(m, corners[facet.first + 2u].normal) - out.normal;
    out.color = instance.color;
    out.light = tile.light.xyz;
    out.up = tile.up.xyz;
    return out;
}

@fragment
fn shade_facet(
    @builtin(position) position: vec4<f32>,
    thing: FacetThing,
) -> Shaded {
    let place = sample_of_facet(position, thing.corner.xy);
    let ray = camera_ray(place, thing.lens);
    let hit = hit_facet(thing.plane, array(thing.second, thing.third), ray, vec3(place, thing.corner.z));
    if is_outside(place) || hit.depth <= NEAR {
        discard;
    }
    let normal = normalize(thing.normal + hit.second * thing.normal_second + hit.third * thing.normal_third);
    let ambient = mix(0.30, 0.55, 0.5 + 0.5 * dot(normal, thing.up));
    let diffuse = 0.65 * max(dot(normal, thing.light), 0.0);
    return Shaded(vec4(thing.color * (ambient + diffuse), 1.0), NEAR / hit.depth);
}
