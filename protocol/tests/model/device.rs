//! A device with one account, the agent's commands on their way to it, and what comes back.

use crate::flat::{SETS_MAX, Set};
use crate::flaw::Flaw;

/// A password of somebody else.
pub(crate) const FOREIGN: Set = SETS_MAX + 1;
/// What a change leaves behind that was mangled on its way: nobody's password.
pub(crate) const GARBLED: Set = SETS_MAX + 2;
/// Refused logins that lock the account.
pub(crate) const LOCKOUT: u8 = 3;

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Device {
    /// Whether it rolls an unconfirmed change back.
    pub(crate) has_timer: bool,
    pub(crate) running: Set,
    pub(crate) startup: Set,
    /// What the running configuration falls back to when the commit timer fires; 0: it is not
    /// armed.
    pub(crate) checkpoint: Set,
    /// Our refused logins in this window.
    pub(crate) failures: u8,
}

/// A command that has left the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Command {
    pub(crate) what: What,
    pub(crate) set: Set,
    /// Whether somebody else's password may be overwritten: an operator has approved.
    pub(crate) overwrite: bool,
    /// Whether the controller still waits for its reply.
    pub(crate) current: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    /// Change the password, under the commit timer where there is one.
    Set,
    /// The same; its reply came too early and is gone.
    AnsweredSet,
    /// Log in.
    Login,
    /// Confirm the commit timer, save, and read both configurations back.
    Save,
    /// Read both configurations.
    Read,
}

impl What {
    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::Set | Self::AnsweredSet)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reply {
    Applied,
    Refused,
    /// Nothing was changed, and whether that is because of a foreign password.
    NotSent {
        foreign: bool,
    },
    LoginOk,
    LoginRefused,
    LoginNotSent,
    ReadBack {
        running: Set,
        startup: Set,
    },
}

/// What becomes of a command. All but the first are faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// Carried out and answered truly.
    Done,
    /// Never arrives.
    Lost,
    /// The agent stops before it changes anything.
    NotSent,
    /// Refused, truly.
    Refused,
    /// Says yes, changes nothing.
    LieYes,
    /// Says no, changes (and refuses a login with the right password).
    LieNo,
    /// Says yes, changes later.
    EarlyYes,
    /// Says no, changes later.
    EarlyNo,
    /// Sets something else than what was sent.
    Garbled,
    /// Confirms, but cannot save.
    DiskFull,
    /// Carried out twice: the second time later, for nobody.
    Repeated,
}

impl Device {
    pub(crate) fn new(has_timer: bool) -> Self {
        Self { has_timer, running: 1, startup: 1, checkpoint: 0, failures: 0 }
    }

    pub(crate) fn reboot(&mut self) {
        self.running = self.startup;
        self.checkpoint = 0;
    }

    pub(crate) fn timer_fires(&mut self) {
        self.running = self.checkpoint;
        self.checkpoint = 0;
    }

    /// Every password that the device holds somewhere.
    pub(crate) fn holds(&self) -> impl Iterator<Item = Set> {
        [self.running, self.startup, self.checkpoint].into_iter().filter(|set| *set != 0)
    }

    /// Carries a command out and answers it.
    pub(crate) fn take(
        &mut self,
        command: Command,
        fate: Fate,
        flaw: Option<Flaw>,
    ) -> Option<Reply> {
        match (command.what, fate) {
            (_, Fate::Lost) => None,
            (What::Set, Fate::NotSent) => Some(Reply::NotSent { foreign: false }),
            (What::Set, Fate::LieYes | Fate::EarlyYes) => Some(Reply::Applied),
            (What::Set, Fate::Refused | Fate::EarlyNo) => Some(Reply::Refused),
            (What::Set | What::AnsweredSet, _) => self.change(command, fate, flaw),
            (What::Login, Fate::NotSent) => Some(Reply::LoginNotSent),
            (What::Login, _) => Some(self.log_in(command.set, fate)),
            (What::Save, Fate::LieNo) => {
                self.save(fate, flaw);
                Some(Reply::Refused)
            }
            (What::Save, _) => {
                self.save(fate, flaw);
                Some(match flaw {
                    Some(Flaw::SaveTrustedUnread) => {
                        Reply::ReadBack { running: command.set, startup: command.set }
                    }
                    _ => self.read(),
                })
            }
            (What::Read, _) => Some(self.read()),
        }
    }

    fn read(&self) -> Reply {
        Reply::ReadBack { running: self.running, startup: self.startup }
    }

    /// The agent compares first, and overwrites nobody else's password unasked.
    fn change(&mut self, command: Command, fate: Fate, flaw: Option<Flaw>) -> Option<Reply> {
        let answered = command.what == What::AnsweredSet;
        if self.running >= FOREIGN && !command.overwrite {
            return (!answered).then_some(Reply::NotSent { foreign: true });
        }
        if self.has_timer && self.checkpoint == 0 && flaw != Some(Flaw::ConfirmUnverified) {
            self.checkpoint = self.running;
        }
        self.running = if fate == Fate::Garbled { GARBLED } else { command.set };
        let reply = if fate == Fate::LieNo { Reply::Refused } else { Reply::Applied };
        (!answered).then_some(reply)
    }

    fn log_in(&mut self, set: Set, fate: Fate) -> Reply {
        if self.running == set && fate != Fate::LieNo {
            self.failures = 0;
            return Reply::LoginOk;
        }
        self.failures = LOCKOUT.min(self.failures + 1);
        Reply::LoginRefused
    }

    fn save(&mut self, fate: Fate, flaw: Option<Flaw>) {
        if flaw != Some(Flaw::SaveUnconfirmed) {
            self.checkpoint = 0;
        }
        if fate != Fate::DiskFull {
            self.startup = self.running;
        }
    }
}
