use std::fmt::Write as _;

use super::html::{escape, number, png_uri, words};
use super::overlay::{Overlay, SIDE_USUAL};
use super::paint::Painter;
use super::timeline::timeline;
use crate::clips::SynthError;
use crate::inspect::{Dataset, Rows};
use crate::lerobot::{Clip, EpisodeEntry, ImageChannel};

/// One clip of a contact sheet: what it says of itself, every annotation of some of its frames, its time line.
///
/// # Errors
/// [`SynthError::Read`].
pub fn clip(dataset: &Dataset, index: usize, frames: usize) -> Result<String, SynthError> {
    let clip = dataset.clip(index)?;
    let rows = dataset.rows(&clip);
    let shown = chosen(&clip, frames);
    let mut out = format!("<article class=clip>{}", head(&dataset.episodes[index], &clip));
    for (camera, name) in dataset.info.cameras.iter().enumerate() {
        let strips = strips(&rows, camera, &shown)
            .map_err(|message| SynthError::Read { path: dataset.dir.clone(), message })?;
        if camera == 0 {
            out.push_str(&strips);
        } else {
            let _ = write!(out, "<details><summary>camera “{}”</summary>{strips}</details>", escape(name));
        }
    }
    out.push_str(&timeline(&rows, &shown));
    out.push_str("</article>");
    Ok(out)
}

/// Clips that show what there is: of each outcome the first, then evenly spread ones.
pub fn pick(dataset: &Dataset, count: usize) -> Vec<usize> {
    let total = dataset.episodes.len();
    let first_of =
        |outcome: &String| dataset.episodes.iter().position(|entry| entry.facts.outcome == *outcome);
    let mut chosen: Vec<usize> = dataset.scenario().outcomes.iter().filter_map(first_of).collect();
    let impossible = dataset.episodes.iter().position(|entry| !entry.facts.links.violation.is_empty());
    chosen.extend(impossible);
    chosen.extend((0..count).map(|i| i * total / count.max(1)));
    let mut seen = std::collections::BTreeSet::new();
    chosen.retain(|index| *index < total && seen.insert(*index));
    chosen.truncate(count);
    chosen.sort_unstable();
    chosen
}

/// Rows to draw: evenly spread, moved to where something happens nearby.
fn chosen(clip: &Clip, count: usize) -> Vec<usize> {
    let count = count.clamp(1, clip.len);
    (0..count)
        .map(|i| {
            let (from, to) = (i * clip.len / count, (i + 1) * clip.len / count);
            let within = |frame: &usize| (from..to).contains(frame);
            let happens = clip.events.iter().map(|event| event.frame as usize).find(within);
            happens.unwrap_or((from + to) / 2).min(clip.len - 1)
        })
        .collect()
}

fn head(entry: &EpisodeEntry, clip: &Clip) -> String {
    let facts = &clip.facts;
    let mut tags = vec![
        ("split", facts.split.clone()),
        ("policy", words(&facts.policy)),
        ("seed", facts.seed.to_string()),
        ("rows", clip.len.to_string()),
        ("contacts", clip.contacts.len().to_string()),
        ("events", clip.events.len().to_string()),
        ("hash", entry.hash.chars().take(12).collect()),
    ];
    if !facts.outcome.is_empty() {
        tags.insert(0, ("outcome", words(&facts.outcome)));
    }
    if let (Some(parent), Some(frame)) = (facts.links.branch_parent, facts.links.branch_frame) {
        tags.push(("branch of", format!("{parent} at {frame}")));
    }
    if let Some(twin) = facts.links.pair {
        tags.push(("twin", format!("episode {twin}")));
    }
    if !facts.links.violation.is_empty() {
        tags.push(("impossible", words(&facts.links.violation)));
    }
    let tags: String = tags
        .iter()
        .map(|(name, value)| format!("<span class=tag><b>{name}</b> {}</span>", escape(value)))
        .collect();
    let caption = if facts.caption.is_empty() { "no caption" } else { &facts.caption };
    format!(
        "<h4>Episode {}</h4><p class=caption>{}</p><p class=tags>{tags}</p>",
        facts.index,
        escape(caption)
    )
}

/// A strip of the shown frames for each channel; what is not stored is left out.
fn strips(rows: &Rows<'_>, camera: usize, shown: &[usize]) -> Result<String, String> {
    let painter = Painter::new(*rows, camera, shown);
    let overlay = Overlay::new(*rows, camera);
    let mut out = String::from("<div class=strips>");
    for channel in ImageChannel::ALL {
        let Some(pixels) = strip(&painter, rows.side, channel, shown) else { continue };
        let (width, side) = (rows.side * shown.len(), rows.side);
        let over = if channel == ImageChannel::Rgb { overlays(&overlay, side, shown) } else { String::new() };
        let _ = write!(
            out,
            "<figure class=strip><figcaption>{}</figcaption><svg viewBox=\"0 0 {width} {side}\" role=img \
             aria-label=\"{} in frames {}\"><image href=\"{}\" width={width} height={side} />{over}{}</svg></figure>",
            escape(&label(channel, &painter)),
            words(channel.name()),
            shown.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
            png_uri(&pixels, width, side)?,
            gaps(side, shown.len()),
        );
    }
    out.push_str("</div>");
    Ok(out)
}

fn label(channel: ImageChannel, painter: &Painter<'_>) -> String {
    match channel {
        ImageChannel::Rgb => "rgb, boxes, poses, contacts, forces".to_owned(),
        ImageChannel::Depth => {
            let (near, far) = painter.depth;
            format!("depth, {}–{} m", number(f64::from(near)), number(f64::from(far)))
        }
        ImageChannel::FlowForward | ImageChannel::FlowBackward => {
            format!("{}, to {} px", words(channel.name()), number(f64::from(painter.flow)))
        }
        other => words(other.name()),
    }
}

/// The shown frames beside each other.
fn strip(painter: &Painter<'_>, side: usize, channel: ImageChannel, shown: &[usize]) -> Option<Vec<u8>> {
    let frames: Option<Vec<Vec<u8>>> = shown.iter().map(|t| painter.frame(channel, *t)).collect();
    let frames = frames?;
    let mut pixels = Vec::with_capacity(side * side * 3 * shown.len());
    for y in 0..side {
        for frame in &frames {
            pixels.extend(&frame[y * side * 3..(y + 1) * side * 3]);
        }
    }
    Some(pixels)
}

/// Lines between frames.
fn gaps(side: usize, frames: usize) -> String {
    (1..frames)
        .map(|i| {
            let width = 1.4 * side as f64 / SIDE_USUAL;
            let x = (i * side) as f64 - width / 2.0;
            format!("<rect class=gap x={x} y=0 width={width} height={side} />")
        })
        .collect()
}

fn overlays(overlay: &Overlay<'_>, side: usize, shown: &[usize]) -> String {
    let unit = overlay.unit();
    let mut out = String::new();
    for (i, t) in shown.iter().enumerate() {
        let _ = write!(
            out,
            "<svg x={} y=0 width={side} height={side} viewBox=\"0 0 {side} {side}\" style=\"--unit:{unit}px\">{}<text \
             class=at x={unit} y={}>{t}</text></svg>",
            i * side,
            overlay.frame(*t),
            side as f64 - 2.0 * unit,
        );
    }
    out
}
