use std::io::{BufRead as _, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::config::FrameSize;
use crate::data::error::DataError;

/// Decodes the frames of `video` whose numbers are in `wanted` (rising), of `size` with what `seen` (left, top, width,
/// height) shows, one after the other. They are counted by time, `fps` a second, however many the file itself has.
///
/// # Errors
/// [`DataError::NoVideoDecoder`] if there is no such program, [`DataError::Damaged`] with its last words, or if the video
/// ends early.
pub fn decode(
    ffmpeg: &Path,
    video: &Path,
    (seen, fps, size): ([u32; 4], f64, FrameSize),
    wanted: &[usize],
) -> Result<Vec<u8>, DataError> {
    let damaged = |message: String| DataError::Damaged { path: video.to_owned(), message };
    let [left, top, width, height] = seen;
    let side = size.side();
    let filter = format!("fps={fps},crop={width}:{height}:{left}:{top},scale={side}:{side}:flags=area");
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
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    let (frames, said) = std::thread::scope(|scope| {
        // Read while the frames are: a program with much to say would wait for its reader.
        let said = scope.spawn(|| stderr.map(last_line).unwrap_or_default());
        let frames = stdout.map(|mut stdout| pick(&mut stdout, wanted, size.bytes())).unwrap_or_default();
        (frames, said.join().unwrap_or_default())
    });
    process.wait().map_err(|error| damaged(error.to_string()))?;
    let found = frames.len() / size.bytes();
    // Closing the pipe after the last frame wanted makes the program fail, which is no fault.
    if found < wanted.len() {
        return Err(damaged(
            format!("{found} of {} frames could be decoded {said}", wanted.len()).trim_end().to_owned(),
        ));
    }
    Ok(frames)
}

/// The last line of a stream that is read to its end.
fn last_line(stream: impl Read) -> String {
    let lines = BufReader::new(stream).split(b'\n').map_while(Result::ok);
    lines.last().map(|line| String::from_utf8_lossy(&line).trim_end().to_owned()).unwrap_or_default()
}

/// The frames of `wanted` from a stream of frames of `bytes` each, as far as it goes.
fn pick(stream: &mut impl Read, wanted: &[usize], bytes: usize) -> Vec<u8> {
    let mut frames = Vec::with_capacity(wanted.len() * bytes);
    let mut frame = vec![0; bytes];
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

#[cfg(all(test, unix))]
#[allow(clippy::expect_used, clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const SIZE: FrameSize = FrameSize::Px64;

    /// More than a pipe holds, before and after the frames.
    #[test]
    fn a_decoder_that_complains_at_length_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (program, video) = (dir.path().join("ffmpeg"), dir.path().join("a.mp4"));
        let complain = "i=0; while [ $i -lt 9000 ]; do echo 'deprecated pixel format' >&2; i=$((i+1)); done";
        let frames = format!("head -c {} /dev/zero", 2 * SIZE.bytes());
        let script = format!("#!/bin/sh\n{complain}\n{frames}\n{complain}\necho 'no more' >&2\n");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(&video, "").unwrap();
        let (done, result) = mpsc::channel();
        std::thread::spawn(move || {
            let decoded = |wanted: &[usize]| decode(&program, &video, ([0, 0, 1, 1], 10.0, SIZE), wanted);
            done.send([decoded(&[0, 1]), decoded(&[0, 5])]).unwrap();
        });
        let [all, some] = result.recv_timeout(Duration::from_secs(60)).expect("it waits for its reader");
        assert_eq!(all.unwrap(), vec![0; 2 * SIZE.bytes()]);
        let message = some.unwrap_err().to_string();
        assert!(message.contains("1 of 2 frames could be decoded no more"), "{message}");
    }
}
