//! A session on a device: a command line, or single commands where the platform is better driven
//! by them.

mod ending;

use std::sync::Arc;
use std::time::Duration;

use protocol::report::{Reason, Stop};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Task;
use super::accounts::{Change, Values};
use super::observe::Rows;
use super::stop::{refused, stop, time_over, while_doing, while_running};
use crate::dialogue::{After, Line, Manner, Reply, scrub};
use crate::learned::Learned;
use crate::platform::{ModeId, Operation, OperationKind, Platform, Slot, Step, rows};
use crate::transport::{
    Connection, ConnectionKind, Conversation, ConversationError, OpenError, Wire, leave,
};

/// The longest wait for the first prompt.
const GREETING_MAX: Duration = Duration::from_secs(20);
/// The longest that leaving a serial line may take.
const LEAVE_MAX: Duration = Duration::from_secs(20);
/// The longest wait for a device to take our good-bye.
const LOGOUT_MAX: Duration = Duration::from_secs(3);
/// How often a reply with noise in it is read again.
const READINGS_MAX: usize = 3;
/// Ends a here-document; no line of ours is it.
const HERE_END: &str = "KT-END";

/// An open session.
pub(super) struct Session {
    connection: Box<dyn Connection>,
    conversation: Option<Conversation>,
    deadline: Instant,
    platform: Arc<Platform>,
    type_ahead_is_lost: bool,
}

/// One command with what its reply must be.
struct Command<'p> {
    text: Zeroizing<String>,
    stdin: Vec<Zeroizing<String>>,
    hide: Vec<Zeroizing<String>>,
    step: &'p Step,
}

/// Whose lines an operation's `each` steps are.
pub(super) enum Each<'a> {
    /// Nobody's: the operation has no such step.
    None,
    /// Those of accounts whose passwords are to be set.
    Changes(&'a [Change<'a>]),
    /// Those of accounts that are to be read: their names, and numbers where devices have them.
    Read(&'a [(String, Option<String>)]),
}

impl Session {
    /// Opens a session on a connection and makes it fit for a program.
    pub(super) async fn open(
        task: &Task<'_>,
        mut connection: Box<dyn Connection>,
    ) -> Result<Self, Stop> {
        let platform = Arc::clone(&task.platform);
        let deadline = task.deadline;
        let network = connection.kind() == ConnectionKind::Network;
        if platform.ssh.exec && network {
            remember(task, connection.learned()).await;
            let type_ahead_is_lost = false;
            let conversation = None;
            return Ok(Self { connection, conversation, deadline, platform, type_ahead_is_lost });
        }
        let stream = connection.shell().await;
        let stream = stream.map_err(|error| while_running("open a command line", &error))?;
        let learned = connection.learned();
        let manner = Manner {
            pipeline: platform.pipeline && network && !learned.line_by_line,
            settle: platform.settle * if network { 1 } else { 2 },
            host: learned.host.clone(),
        };
        let wire = Wire::new(stream, !network);
        let conversation = Conversation::new(wire, Arc::clone(&platform), manner);
        let mut session = Self {
            connection,
            conversation: Some(conversation),
            deadline,
            platform,
            type_ahead_is_lost: false,
        };
        if let Err(stop) = session.greet(task, !network).await {
            session.close().await;
            return Err(stop);
        }
        Ok(session)
    }

    async fn greet(&mut self, task: &Task<'_>, wake: bool) -> Result<(), Stop> {
        const DOING: &str = "come to the command line";
        let time_max = self.time(GREETING_MAX, DOING)?;
        if let Some(conversation) = &mut self.conversation {
            let greeting = conversation.greet(wake, time_max).await;
            let greeting = greeting.map_err(|error| while_doing(DOING, &error))?;
            if self.platform.login.expired.is_match(greeting.text().as_bytes()) {
                let detail = "the device wants the password to be changed first";
                return Err(stop(Reason::AuthenticationRefused, detail));
            }
        }
        let values = Values::general("", Duration::ZERO);
        self.perform(OperationKind::Prepare, &values, &Each::None).await?;
        remember(task, self.learned()).await;
        Ok(())
    }

    /// Returns what this session has taught.
    pub(super) fn learned(&self) -> Learned {
        let mut learned = self.connection.learned();
        learned.line_by_line |= self.type_ahead_is_lost;
        if let Some(host) = self.conversation.as_ref().and_then(|c| c.dialogue().host()) {
            learned.host = Some(host.to_owned());
        }
        learned
    }

    /// Returns the time for something, within the job's own; nothing is begun after its end.
    fn time(&self, time_max: Duration, doing: &str) -> Result<Duration, Stop> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(time_over(doing)),
            left => Ok(left.min(time_max)),
        }
    }

    /// Tells what kind of connection the session is on.
    pub(super) fn kind(&self) -> ConnectionKind {
        self.connection.kind()
    }

    /// Tells whether the platform has an operation.
    pub(super) fn has(&self, kind: OperationKind) -> bool {
        self.platform.operation(kind).is_some()
    }

    /// Carries an operation out and returns its replies; none where the platform lacks it.
    pub(super) async fn perform(
        &mut self,
        kind: OperationKind,
        values: &Values<'_>,
        each: &Each<'_>,
    ) -> Result<Vec<Reply>, Stop> {
        let platform = Arc::clone(&self.platform);
        let Some(operation) = platform.operation(kind) else { return Ok(Vec::new()) };
        let commands = commands(operation, values, each, kind.as_str())?;
        self.reach(operation.mode, kind.as_str()).await?;
        self.run(&commands, kind.as_str()).await
    }

    /// Stages the change, calls `before_commit`, and sends the lines that put it in force. The
    /// error says whether any of these was sent.
    pub(super) async fn set_passwords(
        &mut self,
        values: &Values<'_>,
        changes: &[Change<'_>],
        before_commit: impl FnOnce(),
    ) -> Result<(), (bool, Stop)> {
        const DOING: &str = "set-passwords";
        let platform = Arc::clone(&self.platform);
        let Some(operation) = platform.operation(OperationKind::SetPasswords) else {
            return Err((false, stop(Reason::BadJob, "the platform cannot set passwords")));
        };
        let each = Each::Changes(changes);
        let mut staging =
            commands(operation, values, &each, DOING).map_err(|stop| (false, stop))?;
        let place = staging.iter().position(|command| command.step.commits);
        let committing = staging.split_off(place.unwrap_or(staging.len()));
        self.reach(operation.mode, DOING).await.map_err(|stop| (false, stop))?;
        self.run(&staging, DOING).await.map_err(|stop| (false, stop))?;
        // Its lines and hashes are not kept while the device takes its time to commit.
        drop(staging);
        // Checked immediately before the byte that commits: after its deadline a job changes
        // nothing any more, whatever happened to the controller in between.
        self.time(Duration::MAX, DOING).map_err(|stop| (false, stop))?;
        before_commit();
        self.run(&committing, DOING).await.map_err(|stop| (true, stop))?;
        Ok(())
    }

    /// Reads rows; again where something was mixed into the reply.
    pub(super) async fn read(
        &mut self,
        kind: OperationKind,
        values: &Values<'_>,
        each: &Each<'_>,
    ) -> Result<Rows, Stop> {
        let platform = Arc::clone(&self.platform);
        let Some(operation) = platform.operation(kind) else { return Ok(Rows::default()) };
        let mut text = String::new();
        for _ in 0..READINGS_MAX {
            let replies = self.perform(kind, values, each).await?;
            text = replies.iter().map(Reply::text).collect::<Vec<_>>().join("\n");
            if !replies.iter().any(|reply| reply.noisy) {
                break;
            }
        }
        Ok(Rows(rows(&operation.rows, &text)))
    }

    /// Goes to a mode.
    async fn reach(&mut self, goal: Option<ModeId>, doing: &str) -> Result<(), Stop> {
        let here = self.conversation.as_ref().and_then(|c| c.dialogue().mode());
        let (Some(goal), Some(here)) = (goal, here) else { return Ok(()) };
        if here == goal {
            return Ok(());
        }
        let platform = Arc::clone(&self.platform);
        let way = platform.way(here, goal).ok_or_else(|| {
            stop(Reason::UnexpectedOutput, &format!("{doing}: no way to the mode it needs"))
        })?;
        let values = Values::general("", Duration::ZERO);
        let mut commands = Vec::with_capacity(way.len());
        for step in way {
            commands.push(Command::fill(step, &values, doing)?);
        }
        self.run(&commands, doing).await.map(drop)
    }

    async fn run(&mut self, commands: &[Command<'_>], doing: &str) -> Result<Vec<Reply>, Stop> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let left = self.time(Duration::MAX, doing)?;
        match &mut self.conversation {
            Some(conversation) => {
                let mut mode = conversation.dialogue().mode();
                let mut lines = Vec::with_capacity(commands.len());
                for command in commands {
                    command.lines(&self.platform, left, &mut mode, &mut lines);
                }
                let said = conversation.say(lines).await;
                self.type_ahead_is_lost |= said.as_ref().is_err_and(is_loss);
                said.map_err(|error| while_doing(doing, &error))
            }
            None => self.execute(commands, doing).await,
        }
    }

    /// Runs each command by itself.
    async fn execute(&mut self, commands: &[Command<'_>], doing: &str) -> Result<Vec<Reply>, Stop> {
        let mut replies = Vec::with_capacity(commands.len());
        for command in commands {
            let time_max = command.step.time_max.unwrap_or(self.platform.limits.command_max);
            let until = Instant::now() + self.time(time_max, doing)?;
            let stdin = command.input();
            let reply =
                self.connection.exec(&command.text, stdin.as_ref().map(|s| s.as_bytes()), until);
            let reply = reply.await.map_err(|error| while_running(doing, &error))?;
            let text = String::from_utf8_lossy(&reply.output).replace('\r', "");
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let status = reply.status.unwrap_or(0);
            command.check(&self.platform, &lines, status).map_err(|said| refused(doing, &said))?;
            replies.push(Reply { lines, mode: None, noisy: false });
        }
        Ok(replies)
    }

    /// Logs out and closes the connection. A serial line is left at its login prompt.
    pub(super) async fn close(mut self) {
        if let Some(conversation) = self.conversation.take() {
            match self.connection.kind() {
                ConnectionKind::Network => log_out(&self.platform, conversation).await,
                ConnectionKind::Line => {
                    let mut wire = conversation.into_wire();
                    let left = tokio::time::timeout(LEAVE_MAX, leave(&mut wire, &self.platform));
                    if !matches!(left.await, Ok(Ok(()))) {
                        tracing::warn!("a line could not be left at its login prompt");
                    }
                }
            }
        }
        self.connection.close().await;
    }
}

/// Says the platform's good-bye without waiting for a reply: closing ends the session too.
async fn log_out(platform: &Platform, conversation: Conversation) {
    let values = Values::general("", Duration::ZERO);
    let Some(operation) = platform.operation(OperationKind::Logout) else { return };
    let mut wire = conversation.into_wire();
    for step in &operation.steps {
        let Ok(line) = step.send.fill(&values) else { continue };
        let mut bytes = Zeroizing::new(line.as_bytes().to_vec());
        bytes.push(b'\r');
        let written = tokio::time::timeout(LOGOUT_MAX, wire.write(&bytes)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::debug!("a device did not take our good-bye");
        }
    }
}

/// Tells whether a failure can come from lines that were lost because they were sent ahead.
fn is_loss(error: &ConversationError) -> bool {
    use crate::dialogue::DialogueError::{OutOfStep, TimedOut, WrongMode};
    matches!(
        error,
        ConversationError::Dialogue(TimedOut { .. } | OutOfStep { .. } | WrongMode { .. })
    )
}

/// Remembers what a session has taught.
pub(super) async fn remember(task: &Task<'_>, learned: Learned) {
    if let Err(error) = task.kit.ledger.learn(&task.job.device, learned).await {
        tracing::warn!(device = %task.job.device.name(), %error, "nothing was learned");
    }
}

/// Fills the steps of an operation.
fn commands<'p>(
    operation: &'p Operation,
    values: &Values<'_>,
    each: &Each<'_>,
    doing: &str,
) -> Result<Vec<Command<'p>>, Stop> {
    let mut commands = Vec::new();
    for step in &operation.steps {
        match each {
            Each::Changes(changes) if step.each => {
                for change in *changes {
                    let values = Values { change: Some(change), ..*values };
                    commands.push(Command::fill(step, &values, doing)?);
                }
            }
            Each::Read(accounts) if step.each => {
                for (user, index) in *accounts {
                    let (user, index) = (Some(user.as_str()), index.as_deref());
                    let values = Values { user, index, ..*values };
                    commands.push(Command::fill(step, &values, doing)?);
                }
            }
            Each::None if step.each => {}
            _ => {
                let mut command = Command::fill(step, values, doing)?;
                if let Each::Changes(changes) = each {
                    command.add_input(values, changes, doing)?;
                }
                commands.push(command);
            }
        }
    }
    Ok(commands)
}

impl<'p> Command<'p> {
    fn fill(step: &'p Step, values: &Values<'_>, doing: &str) -> Result<Self, Stop> {
        let text = step
            .send
            .fill(values)
            .map_err(|error| stop(Reason::BadJob, &format!("{doing}: failed to {error}")))?;
        let hide = values.change.map(|change| Zeroizing::new(change.hash.to_string()));
        Ok(Self { text, stdin: Vec::new(), hide: hide.into_iter().collect(), step })
    }

    /// Adds a line of standard input for each account.
    fn add_input(
        &mut self,
        values: &Values<'_>,
        changes: &[Change<'_>],
        doing: &str,
    ) -> Result<(), Stop> {
        let Some(template) = &self.step.stdin else { return Ok(()) };
        for change in changes {
            let values = Values { change: Some(change), ..*values };
            let line = template
                .fill(&values)
                .map_err(|error| stop(Reason::BadJob, &format!("{doing}: failed to {error}")))?;
            self.hide.push(Zeroizing::new(change.hash.to_string()));
            if template.slots().any(|slot| slot == Slot::New) {
                self.hide.push(Zeroizing::new(change.password.expose().to_owned()));
            }
            self.stdin.push(line);
        }
        Ok(())
    }

    fn input(&self) -> Option<Zeroizing<String>> {
        self.step.stdin.as_ref()?;
        let mut input = Zeroizing::new(String::new());
        for line in &self.stdin {
            input.push_str(line);
            input.push('\n');
        }
        Some(input)
    }

    /// Checks the output of a single command. Returns what the device said to refuse it.
    fn check(&self, platform: &Platform, lines: &[String], status: u32) -> Result<(), String> {
        let failures = || platform.failures.iter().chain(self.step.failures.iter());
        let refusal = lines
            .iter()
            .find(|line| failures().any(|pattern| pattern.is_match(line.trim_end().as_bytes())));
        let all = lines.join("\n");
        let confirmed =
            self.step.expect.as_ref().is_none_or(|expect| expect.is_match(all.as_bytes()));
        match refusal {
            Some(line) => Err(scrub(line, &self.hide)),
            None if status != 0 => Err(format!("status {status}: {}", scrub(&all, &self.hide))),
            None if !confirmed => Err(scrub(&all, &self.hide)),
            None => Ok(()),
        }
    }

    /// Makes the lines of a command for a command line; standard input becomes a here-document.
    fn lines(
        &self,
        platform: &Platform,
        left: Duration,
        mode: &mut Option<ModeId>,
        lines: &mut Vec<Line>,
    ) {
        let time_max = self.step.time_max.unwrap_or(platform.limits.command_max).min(left);
        if self.step.to.is_some() {
            *mode = self.step.to;
        }
        let after = mode.map_or(After::AnyMode, After::Mode);
        let hiding = |line: Line| self.hide.iter().fold(line, |line, s| line.hiding(s.clone()));
        let checked =
            |line: Line| line.checked(self.step.expect.clone(), Arc::clone(&self.step.failures));
        if self.step.stdin.is_none() {
            let line = Line::new(self.text.clone(), after, time_max);
            lines.push(hiding(checked(line)));
            return;
        }
        let opening = Zeroizing::new(format!("{} <<'{HERE_END}'", self.text.as_str()));
        lines.push(hiding(Line::new(opening, After::Continuation, time_max)));
        for input in &self.stdin {
            lines.push(hiding(Line::new(input.clone(), After::Continuation, time_max)));
        }
        let end = Zeroizing::new(HERE_END.to_owned());
        lines.push(hiding(checked(Line::new(end, after, time_max))));
    }
}

/// Says why a session that was open is lost, for a fresh login that failed.
pub(super) fn login_failed(error: &OpenError) -> Stop {
    let reason = match error.reason() {
        Reason::AuthenticationRefused => Reason::NotApplied,
        other => other,
    };
    stop(reason, &format!("the fresh login failed: {error}"))
}
