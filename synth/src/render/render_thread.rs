use std::collections::VecDeque;

use bevy::render::render_resource::Buffer;
use crossbeam::channel::{Receiver, Sender};

use super::RenderError;
use super::headless::{Headless, Submitted};
use super::tile_batch::TileBatch;

/// A pass to draw.
pub struct Work {
    pub batch: TileBatch,
    /// A buffer that was read, to be used again.
    pub buffer: Option<Buffer>,
}

/// Draws what comes, and replies with passes that can be read, in order. The device always has the next pass before the
/// last one is waited for; a driver that draws on the processor is through by then, so there is nothing to hold back.
pub fn draw_until_closed(
    mut headless: Headless,
    requests: &Receiver<Work>,
    replies: &Sender<Result<Submitted, RenderError>>,
) {
    let mut under_way: VecDeque<Submitted> = VecDeque::new();
    loop {
        let work = if under_way.is_empty() { requests.recv().ok() } else { requests.try_recv().ok() };
        let reply = match (work, under_way.pop_front()) {
            (Some(work), oldest) => {
                under_way.extend(oldest);
                match headless.submit(work.batch, work.buffer) {
                    Ok(pass) => under_way.push_back(pass),
                    Err(error) => {
                        let _ = replies.send(Err(error));
                        return;
                    }
                }
                if !headless.is_processor() {
                    continue;
                }
                under_way.pop_front()
            }
            (None, oldest) => oldest,
        };
        // Nothing to draw and nothing under way: the handle is gone.
        let Some(pass) = reply else { return };
        let waited = headless.wait(&pass);
        if replies.send(waited.map(|()| pass)).is_err() {
            return;
        }
    }
}
