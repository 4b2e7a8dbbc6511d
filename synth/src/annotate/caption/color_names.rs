/// The everyday word for a linear colour.
pub fn color_name(color_linear: [f32; 3]) -> &'static str {
    let [red, green, blue] = color_linear.map(to_srgb);
    let value = red.max(green).max(blue);
    let least = red.min(green).min(blue);
    let chroma = value - least;
    if value < 0.16 {
        return "black";
    }
    if chroma < 0.10 || chroma / value < 0.16 {
        return match value {
            value if value > 0.85 => "white",
            value if value > 0.30 => "grey",
            _ => "black",
        };
    }
    let hue = if value == red {
        (60.0 * (green - blue) / chroma).rem_euclid(360.0)
    } else if value == green {
        120.0 + 60.0 * (blue - red) / chroma
    } else {
        240.0 + 60.0 * (red - green) / chroma
    };
    of_hue(hue, chroma / value, value)
}

fn of_hue(hue: f32, saturation: f32, value: f32) -> &'static str {
    match hue {
        // Dark or dull orange is brown, light red is pink.
        hue if (14.0..48.0).contains(&hue) && (value < 0.62 || saturation < 0.45) => {
            if value > 0.72 {
                "beige"
            } else {
                "brown"
            }
        }
        hue if !(12.0..345.0).contains(&hue) => {
            if saturation < 0.5 && value > 0.7 {
                "pink"
            } else {
                "red"
            }
        }
        hue if hue < 42.0 => "orange",
        hue if hue < 68.0 => "yellow",
        hue if hue < 160.0 => "green",
        hue if hue < 195.0 => "turquoise",
        hue if hue < 255.0 => "blue",
        hue if hue < 295.0 => "purple",
        _ => "pink",
    }
}

/// From linear light to how it is seen (sRGB), 0 to 1.
fn to_srgb(linear: f32) -> f32 {
    let linear = linear.clamp(0.0, 1.0);
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_colours_have_their_names() {
        let known = [
            ([0.8, 0.02, 0.02], "red"),
            ([0.02, 0.5, 0.05], "green"),
            ([0.02, 0.08, 0.7], "blue"),
            ([0.85, 0.65, 0.02], "yellow"),
            ([0.9, 0.22, 0.03], "orange"),
            ([0.02, 0.5, 0.5], "turquoise"),
            ([0.25, 0.03, 0.6], "purple"),
            ([0.9, 0.2, 0.5], "pink"),
            ([0.12, 0.05, 0.02], "brown"),
            ([0.9, 0.9, 0.9], "white"),
            ([0.2, 0.2, 0.2], "grey"),
            ([0.005, 0.005, 0.005], "black"),
        ];
        for (color, name) in known {
            assert_eq!(color_name(color), name, "{color:?}");
        }
    }
}
