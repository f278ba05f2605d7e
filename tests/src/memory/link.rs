//! The link between the controller and the agent, with the director's hand on every frame.

use std::sync::Arc;

use agent::link::{AgentEnd, Link, pair};
use protocol::frame::{FromAgent, ToAgent};
use serde::Serialize;
use tokio::sync::mpsc;

use super::director::{Act, Director, Place};
use super::papers::Papers;

/// Makes a link on which every frame passes the director, and notes what goes over it.
pub(super) fn watched(director: &Arc<Director>, papers: &Papers) -> (Link, AgentEnd) {
    let (Link { to_agent, from_agent }, agent) = pair();
    let (controller, AgentEnd { frames, out }) = pair();
    tokio::spawn(relay(frames, to_agent, Place::ToAgent, Arc::clone(director), papers.clone()));
    tokio::spawn(relay(from_agent, out, Place::FromAgent, Arc::clone(director), papers.clone()));
    (controller, agent)
}

async fn relay<F: Frame>(
    mut from: mpsc::Receiver<F>,
    to: mpsc::Sender<F>,
    place: Place,
    director: Arc<Director>,
    papers: Papers,
) {
    while let Some(frame) = from.recv().await {
        papers.note(&serde_json::to_string(&frame).unwrap_or_default());
        let times = match director.enter(place, &frame.describe()).await {
            Act::Fail => 0,
            Act::DoTwice => 2,
            Act::Do | Act::Suffer(..) | Act::LoseAnswer | Act::Never => 1,
        };
        for _ in 0..times {
            if to.send(frame.clone()).await.is_err() {
                return;
            }
        }
        director.leave(place);
    }
}

trait Frame: Serialize + Clone + Send + 'static {
    fn describe(&self) -> String;
}

impl Frame for ToAgent {
    fn describe(&self) -> String {
        match self {
            Self::Welcome { .. } => "Welcome".to_owned(),
            Self::Prepare(job) => format!("Prepare {:?}", job.work),
            Self::Commit { .. } => "Commit".to_owned(),
            Self::Forget { .. } => "Forget".to_owned(),
        }
    }
}

impl Frame for FromAgent {
    fn describe(&self) -> String {
        match self {
            Self::Hello { .. } => "Hello".to_owned(),
            Self::Prepared { .. } => "Prepared".to_owned(),
            Self::Report { report, .. } => {
                let text = format!("{report:?}");
                text.split(' ').next().unwrap_or_default().to_owned()
            }
        }
    }
}
