use cubecl::client::Graph;
use cubecl::server::ServerError;

use super::context::Context;

/// Times that launches are made one by one before they are recorded: kernels are compiled in the first.
const WARM_UP_RUNS: usize = 2;

/// A row of launches that a device can make again at one call, if it knows how to (CUDA does); it saves what each launch
/// costs the processor.
#[derive(Default)]
pub struct Recording {
    state: State,
    runs: usize,
}

#[derive(Default)]
enum State {
    #[default]
    NotYet,
    Impossible,
    Made(Graph),
}

impl Recording {
    /// Does `work`, which must launch the same kernels on the same buffers each time, take nothing but what lies in these,
    /// and lead to the same if it is done twice.
    #[allow(unsafe_code, reason = "replaying a graph needs its buffers to be there still")]
    pub fn run(&mut self, context: &Context, work: impl Fn()) {
        if self.is_due() {
            self.state = record(context, &work).map_or(State::Impossible, State::Made);
        }
        if let State::Made(graph) = &self.state {
            // SAFETY: whoever holds this recording holds the buffers of its launches.
            if unsafe { graph.replay() }.is_ok() {
                return;
            }
            self.state = State::Impossible;
        }
        // After a failed recording or replay, too: these leave buffers that refuse to be read until they are written.
        work();
        self.runs += 1;
    }

    /// Whether the next [`run`](Self::run) records, which wants a [turn alone](Context::alone).
    pub fn is_due(&self) -> bool {
        matches!(self.state, State::NotYet) && self.runs >= WARM_UP_RUNS
    }

    /// Whether launches are made again at one call.
    pub fn is_made(&self) -> bool {
        matches!(self.state, State::Made(_))
    }
}

fn record(context: &Context, work: &impl Fn()) -> Result<Graph, ServerError> {
    let client = context.client();
    client.graph_prepare()?;
    // What the device allocates for these launches it allocates here: nothing may be while it records.
    work();
    context.wait();
    if let Err(refused) = client.start_capture() {
        // Ends what was prepared.
        let _ = client.stop_capture();
        return Err(refused);
    }
    work();
    client.stop_capture()
}
