//! A link between an agent and a controller: frames both ways.
//!
//! The built-in agent's link is a pair of channels inside the process; it carries the very same
//! messages that a remote agent's WebSocket does.

use protocol::frame::{FromAgent, ToAgent};
use tokio::sync::mpsc;

/// How many frames may wait in each direction before their sender waits.
const FRAMES_MAX: usize = 1024;

/// The controller's end.
#[derive(Debug)]
pub struct Link {
    /// What the controller says.
    pub to_agent: mpsc::Sender<ToAgent>,
    /// What the agent says.
    pub from_agent: mpsc::Receiver<FromAgent>,
}

/// The agent's end.
#[derive(Debug)]
pub struct AgentEnd {
    /// What the controller says.
    pub frames: mpsc::Receiver<ToAgent>,
    /// What the agent says.
    pub out: mpsc::Sender<FromAgent>,
}

/// Makes both ends of a link inside this process.
#[must_use]
pub fn pair() -> (Link, AgentEnd) {
    let (to_agent, frames) = mpsc::channel(FRAMES_MAX);
    let (out, from_agent) = mpsc::channel(FRAMES_MAX);
    (Link { to_agent, from_agent }, AgentEnd { frames, out })
}
