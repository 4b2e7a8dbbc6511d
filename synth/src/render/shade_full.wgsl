// The colour pass of scenes with a light. Compiled after `full.wgsl` and `pattern.wgsl`.

@group(2) @binding(0) var shadow_map: texture_depth_2d;
@group(2) @binding(1) var shadow_sampler: sampler;

struct Lit {
    @location(0) @interpolate(flat) ray_x: vec3<f32>,
    @location(1) @interpolate(flat) ray_y: vec3<f32>,
    @location(2) @interpolate(flat) ray_0: vec3<f32>,
    @location(3) @interpolate(flat) origin: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
    // Base colour, then the highlight's strength.
    @location(5) @interpolate(flat) color: vec4<f32>,
    // Towards the sun, then the highlight's exponent.
    @location(6) @interpolate(flat) light: vec4<f32>,
    // Where the sky's light comes from, then the metres that a point is lifted before it asks for its shadow.
    @location(7) @interpolate(flat) up: vec4<f32>,
    // The tile's first pixel in the atlas, and its first texel in the shadow map.
    @location(8) @interpolate(flat) corner: vec4<f32>,
    @location(9) @interpolate(flat) sun: vec4<f32>,
    @location(10) @interpolate(flat) ambient: vec3<f32>,
    @location(11) @interpolate(flat) tilt: vec3<f32>,
    @location(12) @interpolate(flat) shadow_x: vec4<f32>,
    @location(13) @interpolate(flat) shadow_y: vec4<f32>,
    @location(14) @interpolate(flat) shadow_z: vec4<f32>,
    // Second colour, then repetitions in a metre.
    @location(15) @interpolate(flat) pattern: vec4<f32>,
    // Layer of the image, then the size of a pixel one metre away.
    @location(16) @interpolate(flat) image: vec2<f32>,
}

struct LitVertex {
    @builtin(position) position: vec4<f32>,
    //CLIP @builtin(clip_distances) clip: array<f32, 4>,
    @location(0) @interpolate(flat) ray_x: vec3<f32>,
    @location(1) @interpolate(flat) ray_y: vec3<f32>,
    @location(2) @interpolate(flat) ray_0: vec3<f32>,
    @location(3) @interpolate(flat) origin: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
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
}

// Where the sky's light comes from. Shade has shape too, so it comes rather from the sun's side.
fn sky_side(up: vec3<f32>, sun: vec3<f32>) -> vec3<f32> {
    return normalize(up + 0.5 * sun);
}

// Metres that a point is lifted before it asks for its shadow.
fn lift_of(light: Light) -> f32 {
    return LIFT * light.ambient.w / (0.5 * SHADOW_SIDE - 1.0);
}

@vertex
fn vertex_full(@location(0) corner: vec3<f32>, @builtin(instance_index) index: u32) -> LitVertex {
    let instance = instances[index];
    let tile = tiles[instance.tile];
    let look = looks[index];
    let light = lights[instance.tile];
    let cell = cell_of(instance.tile);
    let clip = proxy_corner(corner, instance, tile);
    let plain = describe(instance, tile, cell);
    let rows = shadow_rows(light, instance.camera_from_object);
    var out: LitVertex;
    out.position = place_in_atlas(clip, cell);
    //CLIP out.clip = inside_tile(clip);
    out.ray_x = plain.ray_x;
    out.ray_y = plain.ray_y;
    out.ray_0 = plain.ray_0;
    out.origin = plain.origin;
    out.half_extents = plain.half_extents;
    out.color = vec4(plain.color, look.specular);
    out.light = vec4(plain.light, look.sharpness);
    out.up = vec4(sky_side(plain.up, plain.light), lift_of(light));
    out.corner = vec4(plain.corner, shadow_corner(instance.tile));
    out.sun = light.sun;
    out.ambient = light.ambient.rgb;
    out.tilt = light.tilt.rgb;
    if SHAPE == SHAPE_SKY {
        out.up = vec4(plain.up, 0.0);
        out.ambient = light.horizon.rgb;
    }
    out.shadow_x = rows.x;
    out.shadow_y = rows.y;
    out.shadow_z = rows.z;
    out.pattern = look.color;
    out.image = vec2(look.layer, length(plain.ray_x));
    return out;
}

// Light above `SHOULDER` bends gently towards 1.
fn tone(color: vec3<f32>) -> vec3<f32> {
    let room = 1.0 - SHOULDER;
    let over = clamp(color - SHOULDER, vec3(0.0), vec3(2.0 * room));
    return min(color, vec3(SHOULDER)) + over - over * over / (4.0 * room);
}

// Share of the sun that reaches a point, 0 to 1: the mean of the four nearest texels, weighted by nearness.
fn sunlit(lit: Lit, point: vec3<f32>) -> f32 {
    let p = vec4(point, 1.0);
    let place = vec2(dot(lit.shadow_x, p), dot(lit.shadow_y, p)) - 0.5;
    let depth = min(dot(lit.shadow_z, p), 1.0);
    let bounded = clamp(place, vec2(0.0), vec2(SHADOW_SIDE - 1.001));
    let first = floor(bounded);
    let part = bounded - first;
    // The corner that the four texels share: half a texel from where others would be gathered.
    let at = (lit.corner.zw + first + 1.0) / vec2<f32>(textureDimensions(shadow_map));
    let open = select(vec4(0.0), vec4(1.0), textureGather(shadow_map, shadow_sampler, at) >= vec4(depth));
    let sides = mix(open.wx, open.zy, part.x);
    return mix(sides.x, sides.y, part.y);
}

// What a point of a thing looks like from where a ray comes.
fn shine(lit: Lit, point: vec3<f32>, normal: vec3<f32>, ray: vec3<f32>, base: vec3<f32>) -> vec3<f32> {
    let facing = max(dot(normal, lit.light.xyz), 0.0);
    let open = mix(1.0, sunlit(lit, point + lit.up.w * normal), lit.sun.w);
    let ambient = lit.ambient + lit.tilt * dot(normal, lit.up.xyz);
    var color = base * (ambient + facing * open * lit.sun.rgb);
    if GLOSS {
        let mirrored = reflect(ray, normal);
        let aligned = max(dot(mirrored, lit.light.xyz) * inverseSqrt(dot(ray, ray)), 0.0);
        // Schlick's quotient in place of a power.
        let glint = aligned / (lit.light.w - lit.light.w * aligned + aligned);
        color += lit.color.a * glint * open * select(0.0, 1.0, facing > 0.0) * lit.sun.rgb;
    }
    return tone(color);
}

// A place on a surface that a ray has found: where its pattern is looked up, and how it is seen.
struct Seen {
    // Object frame.
    point: vec3<f32>,
    normal: vec3<f32>,
    depth: f32,
    // Of the ray along the normal, in the frame of the ray.
    facing: f32,
    ray: vec3<f32>,
}

// The colour of a thing at a place, before light.
fn covered(lit: Lit, seen: Seen) -> vec3<f32> {
    if PATTERN == PATTERN_NONE {
        return lit.color.rgb;
    }
    let lean = max(abs(seen.facing) * inverseSqrt(dot(seen.ray, seen.ray)), 0.2);
    let spot = Spot(seen.point, seen.normal, 0.7 * seen.depth * lit.image.y / lean);
    return cover(spot, lit.color.rgb, lit.pattern, lit.image.x);
}

@fragment
fn shade_full(@builtin(position) position: vec4<f32>, lit: Lit) -> Shaded {
    let sample = sample_in_tile(position, lit.corner.xy);
    let solid = Solid(lit.ray_x, lit.ray_y, lit.ray_0, lit.origin, lit.half_extents);
    let ray = ray_through(solid, sample.place);
    let hit = trace(solid, ray);
    if is_outside(sample.pixel) || hit.depth <= NEAR {
        discard;
    }
    let point = lit.origin + hit.depth * ray;
    let base = covered(lit, Seen(point, hit.normal, hit.depth, dot(hit.normal, ray), ray));
    return Shaded(vec4(shine(lit, point, hit.normal, ray, base), 1.0), NEAR / hit.depth);
}

fn raised_8(x: f32) -> f32 {
    let squared = x * x;
    let fourth = squared * squared;
    return fourth * fourth;
}

// The sky: its instance's frame is the camera's, its colour the zenith's.
@fragment
fn shade_sky_full(@builtin(position) position: vec4<f32>, lit: Lit) -> @location(0) vec4<f32> {
    let pixel = sample_in_tile(position, lit.corner.xy).pixel;
    if is_outside(pixel) {
        discard;
    }
    let place = pixel + 0.5;
    let ray = place.x * lit.ray_x + place.y * lit.ray_y + lit.ray_0;
    let unit = inverseSqrt(dot(ray, ray));
    let height = unit * dot(ray, lit.up.xyz);
    let rest = 1.0 - clamp(height, 0.0, 1.0);
    let horizon = lit.ambient;
    var color = mix(lit.color.rgb, horizon, rest * rest * rest);
    // Below the horizon: a dim ground, far away.
    color = mix(color, 0.6 * horizon, clamp(-3.0 * height, 0.0, 1.0));
    let near_sun = max(unit * dot(ray, lit.light.xyz), 0.0);
    // A wide glow and a narrow one: the 8th and the 256th power.
    let wide = raised_8(near_sun);
    let narrow = raised_8(raised_8(near_sun * near_sun * near_sun * near_sun));
    let glow = 0.12 * wide + 0.5 * narrow;
    return vec4(tone(color + select(0.0, glow, height > 0.0) * lit.sun.rgb), 1.0);
}
