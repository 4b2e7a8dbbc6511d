// Triangles in the colour pass of scenes with a light: found as in `triangles.wgsl`, lit as in `shade_full.wgsl`, in
// the camera's frame.

struct LitFacet {
    @location(0) @interpolate(flat) plane: vec3<f32>,
    @location(1) @interpolate(flat) second: vec4<f32>,
    @location(2) @interpolate(flat) third: vec4<f32>,
    // Focal length, principal point, slack of `Facet`.
    @location(3) @interpolate(flat) lens: vec4<f32>,
    // Normal and place at rest: of the first corner, and what the other two differ by.
    @location(4) @interpolate(flat) normal: vec3<f32>,
    @location(5) @interpolate(flat) color: vec4<f32>,
    @location(6) @interpolate(flat) light: vec4<f32>,
    @location(7) @interpolate(flat) up: vec4<f32>,
    @location(8) @interpolate(flat) corner: vec4<f32>,
    @location(9) @interpolate(flat) sun: vec4<f32>,
    @location(10) @interpolate(flat) ambient: vec3<f32>,
    @location(11) @interpolate(flat) tilt: vec3<f32>,
    @location(12) @interpolate(flat) shadow_x: vec4<f32>,
    @location(13) @interpolate(flat) shadow_y: vec4<f32>,
    @location(14) @interpolate(flat) shadow_z: vec4<f32>,
    @location(15) @interpolate(flat) pattern: vec4<f32>,
    @location(16) @interpolate(flat) image: vec2<f32>,
    @location(17) @interpolate(flat) normal_second: vec3<f32>,
    @location(18) @interpolate(flat) normal_third: vec3<f32>,
    @location(19) @interpolate(flat) rest: vec3<f32>,
    @location(20) @interpolate(flat) rest_second: vec3<f32>,
    @location(21) @interpolate(flat) rest_third: vec3<f32>,
}

struct LitFacetVertex {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) plane: vec3<f32>,
    @location(1) @interpolate(flat) second: vec4<f32>,
    @location(2) @interpolate(flat) third: vec4<f32>,
    @location(3) @interpolate(flat) lens: vec4<f32>,
    @location(4) @interpolate(flat) normal: vec3<f32>,
    @location(5) @interpolate(flat) color: vec4<f32>,
    @location(6) @interpolate(flat) light: vec4<f32>,
    @location(7) @interpolate(flat) up: vec4<f32>,
    @location(8) @interpolate(flat) corner: vec4<f32>,
    @location(9) @interpolate(flat) sun: vec4<f32>,
    @location(10) @interpolate(flat) ambient: vec3<f32>,
    @location(11) @interpolate(flat) tilt: vec3<f32>,
    @location(12) @interpolate(flat) shadow_x: vec4<f32>,
    @location(13) @interpolate(flat) shadow_y: vec4<f32>,
    @location(14) @interpolate(flat) shadow_z: vec4<f32>,
    @location(15) @interpolate(flat) pattern: vec4<f32>,
    @location(16) @interpolate(flat) image: vec2<f32>,
    @location(17) @interpolate(flat) normal_second: vec3<f32>,
    @location(18) @interpolate(flat) normal_third: vec3<f32>,
    @location(19) @interpolate(flat) rest: vec3<f32>,
    @location(20) @interpolate(flat) rest_second: vec3<f32>,
    @location(21) @interpolate(flat) rest_third: vec3<f32>,
}

@vertex
fn facet_vertex_full(@builtin(vertex_index) vertex: u32, @builtin(instance_index) index: u32) -> LitFacetVertex {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let look = looks[index];
    let light = lights[instance.tile];
    let cell = cell_of(instance.tile);
    let m = instance.camera_from_object;
    let facet = facet_of(instance, tile, vertex);
    let still = array(vec4(1.0, 0.0, 0.0, 0.0), vec4(0.0, 1.0, 0.0, 0.0), vec4(0.0, 0.0, 1.0, 0.0));
    let rows = shadow_rows(light, still);
    let a = facet.first;
    var out: LitFacetVertex;
    out.position = place_in_atlas(facet.clip, cell);
    //CLIP out.clip = inside_tile(facet.clip);
    out.plane = facet.plane;
    out.second = facet.second;
    out.third = facet.third;
    out.lens = vec4(tile.lens.xyz, facet.slack);
    out.normal = facet.side * turn_to_camera(m, corners[a].normal);
    out.normal_second = facet.side * turn_to_camera(m, corners[a + 1u].normal) - out.normal;
    out.normal_third = facet.side * turn_to_camera(m, corners[a + 2u].normal) - out.normal;
    out.rest = corners[a].rest;
    out.rest_second = corners[a + 1u].rest - out.rest;
    out.rest_third = corners[a + 2u].rest - out.rest;
    out.color = vec4(instance.color, look.specular);
    out.light = vec4(tile.light.xyz, look.sharpness);
    out.up = vec4(sky_side(tile.up.xyz, tile.light.xyz), lift_of(light));
    out.corner = vec4(cell * vec2(f32(atlas.tile_width), f32(atlas.tile_height)), shadow_corner(instance.tile));
    out.sun = light.sun;
    out.ambient = light.ambient.rgb;
    out.tilt = light.tilt.rgb;
    out.shadow_x = rows.x;
    out.shadow_y = rows.y;
    out.shadow_z = rows.z;
    out.pattern = look.color;
    out.image = vec2(look.layer, 1.0 / tile.lens.x);
    return out;
}

@fragment
fn shade_facet_full(
    @builtin(position) position: vec4<f32>,
    facet: LitFacet,
) -> Shaded {
    let place = sample_of_facet(position, facet.corner.xy);
    let ray = camera_ray(place, facet.lens.xyz);
    let hit = hit_facet(facet.plane, array(facet.second, facet.third), ray, vec3(place, facet.lens.w));
    if is_outside(place) || hit.depth <= NEAR {
        discard;
    }
    let normal = normalize(facet.normal + hit.second * facet.normal_second + hit.third * facet.normal_third);
    var lit: Lit;
    lit.color = facet.color;
    lit.light = facet.light;
    lit.up = facet.up;
    lit.corner = facet.corner;
    lit.sun = facet.sun;
    lit.ambient = facet.ambient;
    lit.tilt = facet.tilt;
    lit.shadow_x = facet.shadow_x;
    lit.shadow_y = facet.shadow_y;
    lit.shadow_z = facet.shadow_z;
    lit.pattern = facet.pattern;
    lit.image = facet.image;
    let rest = facet.rest + hit.second * facet.rest_second + hit.third * facet.rest_third;
    // A pattern lies on the triangle as it is at rest.
    let rest_normal = normalize(cross(facet.rest_second, facet.rest_third));
    let base = covered(lit, Seen(rest, rest_normal, hit.depth, dot(normal, ray), ray));
    return Shaded(vec4(shine(lit, hit.point, normal, ray, base), 1.0), NEAR / hit.depth);
}
