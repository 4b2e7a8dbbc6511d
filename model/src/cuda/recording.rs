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
        if let State::Made(graph) = &self.state {
            // SAFETY: whoever holds this recording holds the buffers of its launches.
            if unsafe { graph.replay() }.is_ok() {
                return;
            }
            self.state = State::Impossible;
        }
        if matches!(self.state, State::NotYet) && self.runs >= WARM_UP_RUNS {
            // Whether or not it can be recorded, the work has been done once.
            self.state = record(context, &work).map_or(State::Impossible, State::Made);
            return;
        }
        work();
        self.runs += 1;
    }

    /// Whether launches are made again at one call.
    pub fn is_made(&self) -> bool {
        matches!(self.state, State::Made(_))
    }
}

fn record(context: &Context, work: &impl Fn()) -> Result<Graph, ServerError> {
    let client = context.client();
    let prepared = client.graph_prepare();
    work();
    prepared?;
    context.wait();
    if let Err(refused) = client.start_capture() {
        // Ends what was prepared.
        let _ = client.stop_capture();
        return Err(refused);
    }
    work();
    client.stop_capture()
}
