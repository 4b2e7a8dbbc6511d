use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::config::{FRAME_BYTES, FRAME_SIDE};
use crate::data::error::DataError;

/// Decodes the frames of `video` whose numbers are in `wanted` (rising), as 64 × 64 of what `seen` (left, top, width,
/// height) shows, one after the other.
///
/// # Errors
/// [`DataError::NoVideoDecoder`] if there is no such program, [`DataError::Damaged`] with its last words, or if the video
/// ends early.
pub fn decode(ffmpeg: &Path, video: &Path, seen: [u32; 4], wanted: &[usize]) -> Result<Vec<u8>, DataError> {
    let damaged = |message: String| DataError::Damaged { path: video.to_owned(), message };
    let [left, top, width, height] = seen;
    let filter = format!("crop={width}:{height}:{left}:{top},scale={FRAME_SIDE}:{FRAME_SIDE}:flags=area");
    std::fs::metadata(video).map_err(|source| DataError::Read { path: video.to_owned(), source })?;
    let mut process = Command::new(ffmpeg)
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(video)
        .args(["-an", "-vf", &filter, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| missing(ffmpeg, video, source))?;
    let frames = process.stdout.take().map(|mut stdout| pick(&mut stdout, wanted));
    let output = process.wait_with_output().map_err(|error| damaged(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
    let frames = frames.unwrap_or_default();
    let found = frames.len() / FRAME_BYTES;
    // Closing the pipe after the last frame wanted makes the program fail, which is no fault.
    if found < wanted.len() {
        return Err(damaged(
            format!("{found} of {} frames could be decoded {said}", wanted.len()).trim_end().to_owned(),
        ));
    }
    Ok(frames)
}

/// The frames of `wanted` from a stream of frames, as far as it goes.
fn pick(stream: &mut impl std::io::Read, wanted: &[usize]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(wanted.len() * FRAME_BYTES);
    let mut frame = vec![0; FRAME_BYTES];
    let mut next = 0;
    for number in wanted {
        while next <= *number {
            if stream.read_exact(&mut frame).is_err() {
                return frames;
            }
            next += 1;
        }
        frames.extend_from_slice(&frame);
    }
    frames
}

fn missing(ffmpeg: &Path, video: &Path, source: std::io::Error) -> DataError {
    if source.kind() == ErrorKind::NotFound {
        DataError::NoVideoDecoder { path: video.to_owned(), program: ffmpeg.to_owned() }
    } else {
        DataError::Read { path: PathBuf::from(ffmpeg), source }
    }
}
