use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on standard error for `total` things called `unit`; where that is no terminal it draws nothing, so
/// callers also print a line now and then.
pub fn bar(total: u64, unit: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit} · {{msg}} · {{elapsed}} (ends in {{eta}})");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

/// A progress bar of `parts` that says nothing of them but how many percent are done.
pub fn share_bar(parts: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}% · {msg} · {elapsed}");
    ProgressBar::new(parts).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Prints `line` where there is no terminal to draw a bar on.
pub fn line_if_hidden(bar: &ProgressBar, line: &str) {
    if bar.is_hidden() {
        eprintln!("{line}");
    }
}
