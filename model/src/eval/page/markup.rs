use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};

/// `text` with what HTML gives a meaning to spelled out.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A picture of `width × height` RGB pixels as a data URI; empty if it cannot be encoded.
pub fn png_uri(pixels: &[u8], width: usize, height: usize) -> String {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    match encoder.write_image(pixels, width as u32, height as u32, ExtendedColorType::Rgb8) {
        Ok(()) => format!("data:image/png;base64,{}", STANDARD.encode(bytes)),
        Err(_) => String::new(),
    }
}

/// A number with as many digits as one reads.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        size if size >= 1e-3 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

/// A number, or a dash.
pub fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// A share in per cent, or a dash.
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |share| format!("{:.0}%", 100.0 * share))
}

/// `snake_case` as words.
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A table: its caption, its columns' names, and rows with a name (markup) and cells (text).
pub fn table(caption: &str, columns: &[String], rows: &[(String, Vec<String>)]) -> String {
    let head: String = columns.iter().map(|name| format!("<th scope=col>{}</th>", escape(name))).collect();
    let cell = |text: &String| {
        let class = if text == "–" { " class=none" } else { "" };
        format!("<td{class}>{}</td>", escape(text))
    };
    let body: String = rows
        .iter()
        .map(|(name, cells)| {
            format!("<tr><th scope=row>{name}</th>{}</tr>", cells.iter().map(cell).collect::<String>())
        })
        .collect();
    format!(
        "<div class=wide><table><caption>{}</caption><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody>\
         </table></div>",
        escape(caption)
    )
}

/// A name with its colour before it.
pub fn keyed(name: &str) -> String {
    format!("<span class=key style=\"--c:var(--{})\"></span>{}", escape(name), escape(&words(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_is_never_markup() {
        assert_eq!(escape("<script>\"a\" & 'b'"), "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;");
        let table = table("a<b", &["<i>".to_owned()], &[("x".to_owned(), vec!["<b>".to_owned()])]);
        assert!(!table.contains("<i>") && !table.contains("<b>") && table.contains("a&lt;b"));
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 123.4, 12.34, 3.126, 0.0126, 0.00126, -0.5];
        assert_eq!(numbers.map(number), ["0", "123", "12.3", "3.13", "0.013", "0.0013", "-0.50"]);
        assert_eq!((optional(None), percent(Some(0.256))), ("–".to_owned(), "26%".to_owned()));
    }
}
