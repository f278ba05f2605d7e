//! Lines that make the device end the session by itself: a reboot.

use std::sync::Arc;
use std::time::Duration;

use protocol::report::{Reason, Stop};
use tokio::time::{Instant, sleep};

use super::{Command, Each, Session, commands};
use crate::dialogue::DialogueError;
use crate::driver::accounts::Values;
use crate::driver::stop::{bad_job, refused, stop, while_doing, while_running};
use crate::platform::OperationKind;
use crate::transport::{ConversationError, OpenError};

/// How long after its last line a device may take to end the session. What reboots says good-bye
/// within seconds; who waits longer would take an idle session's end, or a fault's, for it.
const END_MAX: Duration = Duration::from_secs(30);
/// How often a connection without a command line is asked whether it is still there.
const ASK: Duration = Duration::from_millis(250);

impl Session {
    /// Carries out an operation whose last line ends the session, and waits for that end. Calls
    /// `before_commit` right before the first line that commits; the error says whether that was.
    pub(in crate::driver) async fn end_by(
        &mut self,
        kind: OperationKind,
        values: &Values<'_>,
        before_commit: impl FnOnce(),
    ) -> Result<(), (bool, Stop)> {
        let doing = kind.as_str();
        let unsent = |stop: Stop| (false, stop);
        let platform = Arc::clone(&self.platform);
        let operation = platform.operation(kind);
        let operation = operation.ok_or_else(|| unsent(not_supported(doing)))?;
        let mut staging = commands(operation, values, &Each::None, doing).map_err(unsent)?;
        let place = staging.iter().position(|command| command.step.commits);
        let mut committing = staging.split_off(place.unwrap_or(staging.len()));
        let last = committing.pop();
        let last = last.ok_or_else(|| unsent(bad_job("no line of the operation commits")))?;
        self.reach(operation.mode, doing).await.map_err(unsent)?;
        self.run(&staging, doing).await.map_err(unsent)?;
        // As with passwords: after its deadline a job changes nothing any more.
        self.time(Duration::MAX, doing).map_err(unsent)?;
        before_commit();
        self.run(&committing, doing).await.map_err(|stop| (true, stop))?;
        self.say_last(&last, doing).await.map_err(|stop| (true, stop))
    }

    /// Sends the line that ends the session, and expects that end.
    async fn say_last(&mut self, last: &Command<'_>, doing: &str) -> Result<(), Stop> {
        let until = Instant::now() + END_MAX;
        let platform = Arc::clone(&self.platform);
        let line = self.kind() == crate::transport::ConnectionKind::Line;
        let Some(conversation) = &mut self.conversation else {
            return self.execute_last(last, until, doing).await;
        };
        let (mut lines, mut mode) = (Vec::new(), conversation.dialogue().mode());
        last.lines(&platform, END_MAX, &mut mode, &mut lines);
        let said = match conversation.say(lines).await {
            Err(ConversationError::Dialogue(DialogueError::Closed { .. })) => return Ok(()),
            Err(error @ ConversationError::Write(_)) => return Err(while_doing(doing, &error)),
            Err(error @ ConversationError::Dialogue(DialogueError::Refused { .. })) => {
                return Err(while_doing(doing, &error));
            }
            // What a system says that goes down need not look like a reply.
            Err(error) => while_doing(doing, &error),
            Ok(_replies) => not_ended(doing),
        };
        let login = line.then_some(&platform.login.name);
        if conversation.ends(login, until).await { Ok(()) } else { Err(said) }
    }

    /// The same for a single command: it may return before the connection ends, or be cut with it.
    async fn execute_last(
        &mut self,
        last: &Command<'_>,
        until: Instant,
        doing: &str,
    ) -> Result<(), Stop> {
        match self.connection.exec(&last.text, None, until).await {
            Ok(reply) => {
                let text = String::from_utf8_lossy(&reply.output).replace('\r', "");
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                let checked = last.check(&self.platform, &lines, reply.status.unwrap_or(0));
                checked.map_err(|said| refused(doing, &said))?;
            }
            Err(OpenError::Lost(_)) => {}
            Err(error) => return Err(while_running(doing, &error)),
        }
        while self.connection.is_open() {
            if Instant::now() >= until {
                return Err(not_ended(doing));
            }
            sleep(ASK).await;
        }
        Ok(())
    }
}

fn not_ended(doing: &str) -> Stop {
    stop(Reason::TimedOut, &format!("{doing}: the device did not end the session"))
}

fn not_supported(doing: &str) -> Stop {
    stop(Reason::NotSupported, &format!("the platform has no lines for `{doing}`"))
}
