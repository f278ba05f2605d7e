//! What prompts look like on this very device, as far as it has shown them.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::reader::{Cue, When};
use crate::platform::{ModeId, Pattern, Platform};

/// The shortest prompt of a mode without a pattern of its own that is remembered word for word.
/// A bare `# ` could begin any line.
const LITERAL_CHARS_MIN: usize = 4;

/// What a cue stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Mode(ModeId),
    Question(usize),
    Continuation,
    Pager,
    LoggedOut,
}

/// Cues, and what each stands for.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub(super) cues: Arc<[Cue]>,
    pub(super) heard: Arc<[Heard]>,
}

/// The prompts of one device.
#[derive(Debug)]
pub(super) struct Prompts {
    platform: Arc<Platform>,
    host: Option<String>,
    /// By mode: the prompt as it is on this device, if that is known.
    exact: Vec<Option<Cue>>,
    /// The cues for an ordinary line, until something new is learned.
    usual: Option<Watch>,
}

impl Prompts {
    pub(super) fn new(platform: Arc<Platform>, host: Option<String>) -> Self {
        let exact = vec![None; platform.modes().len()];
        let mut prompts = Self { platform, host: None, exact, usual: None };
        if let Some(host) = host {
            prompts.remember_host(host);
        }
        prompts
    }

    pub(super) fn platform(&self) -> &Platform {
        &self.platform
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Tells whether this device's own prompts are known, so that replies can be told apart even
    /// when several lines were sent at once.
    pub(super) fn are_exact(&self) -> bool {
        self.exact.iter().any(Option::is_some)
    }

    /// Notes a prompt that the device showed.
    pub(super) fn learn(&mut self, mode: ModeId, line: &str) {
        let Some(known) = self.platform.mode(mode) else { return };
        let Some(exact) = self.exact.get(mode.index()) else { return };
        if exact.as_ref().is_some_and(|exact| exact.fits(line.as_bytes()).is_some()) {
            return;
        }
        if known.exact.is_some() {
            if let Some(host) = known.host_in(line.as_bytes()) {
                self.remember_host(host);
            }
            return;
        }
        let literal = line.trim_end();
        if literal.len() >= LITERAL_CHARS_MIN
            && let Some(place) = self.exact.get_mut(mode.index())
        {
            let (literal, exclude) = (Arc::from(literal), Arc::new([]));
            *place = Some(Cue { literal, pattern: None, exclude, when: When::AtOnce });
            self.usual = None;
        }
    }

    fn remember_host(&mut self, host: String) {
        let literal: Arc<str> = Arc::from(host.as_str());
        let exact = self.platform.modes().iter().map(|mode| {
            let (literal, pattern) = (Arc::clone(&literal), Some(mode.exact.clone()?));
            Some(Cue { literal, pattern, exclude: Arc::clone(&mode.exclude), when: When::AtOnce })
        });
        self.exact = exact.collect();
        self.host = Some(host);
        self.usual = None;
    }

    /// Returns what to look for after an ordinary line.
    pub(super) fn usual(&mut self) -> Watch {
        let known = self.usual.take().unwrap_or_else(|| self.watch(&[], false));
        self.usual = Some(known.clone());
        known
    }

    /// Returns what to look for: questions first, then prompts, exact ones before general ones.
    pub(super) fn watch(&self, answers: &[(Pattern, Zeroizing<String>)], continues: bool) -> Watch {
        let (mut cues, mut heard) = (Vec::new(), Vec::new());
        let mut add = |cue: Cue, stands_for: Heard| {
            cues.push(cue);
            heard.push(stands_for);
        };
        for (index, (question, _)) in answers.iter().enumerate() {
            add(Cue::settled(question), Heard::Question(index));
        }
        add(Cue::settled(&self.platform.login.pager), Heard::Pager);
        add(Cue::settled(&self.platform.login.name), Heard::LoggedOut);
        if let (true, Some(continuation)) = (continues, &self.platform.continuation) {
            add(Cue::settled(continuation), Heard::Continuation);
        }
        for ((id, _), exact) in self.platform.modes_with_ids().zip(&self.exact) {
            if let Some(cue) = exact.clone() {
                add(cue, Heard::Mode(id));
            }
        }
        for (id, mode) in self.platform.modes_with_ids() {
            let mut cue = Cue::settled(&mode.prompt);
            cue.exclude = Arc::clone(&mode.exclude);
            add(cue, Heard::Mode(id));
        }
        Watch { cues: cues.into(), heard: heard.into() }
    }
}
