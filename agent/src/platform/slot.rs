//! Slots: the only places where values, secret ones above all, enter a line.

use serde::de::{Deserialize, Deserializer, Error};
use zeroize::Zeroizing;

use super::error::nearest;

/// A place in a line that is filled when the line is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The account's name on the device.
    User,
    /// The new password itself.
    New,
    /// The new password's sha512-crypt hash (`$6$salt$hash`).
    NewSha512Crypt,
    /// The password that raises the session's privilege.
    Enable,
    /// The name of our configuration session on the device, with our prefix `kt-`.
    Session,
    /// The commit timer as `hh:mm:ss`.
    Timer,
    /// The commit timer in whole seconds.
    TimerSeconds,
    /// The commit timer in whole minutes, rounded up.
    TimerMinutes,
    /// The account's other words (privilege, role, shell) as read from the device's own line, each
    /// with a space before it; empty if there are none.
    Attributes,
    /// The number under which the device keeps the account.
    Index,
}

impl Slot {
    /// All slots with their spelling between braces.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::User, "user"),
        (Self::New, "new"),
        (Self::NewSha512Crypt, "new:sha512-crypt"),
        (Self::Enable, "enable"),
        (Self::Session, "session"),
        (Self::Timer, "timer"),
        (Self::TimerSeconds, "timer:seconds"),
        (Self::TimerMinutes, "timer:minutes"),
        (Self::Attributes, "attributes"),
        (Self::Index, "index"),
    ];

    /// Returns the slot's spelling between braces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(slot, _)| *slot == self).map_or("", |(_, name)| name)
    }

    /// Tells whether the slot's value belongs to one account, so that its line is sent per account.
    #[must_use]
    pub fn is_per_account(self) -> bool {
        matches!(
            self,
            Self::User | Self::New | Self::NewSha512Crypt | Self::Attributes | Self::Index
        )
    }
}

/// A line with slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(Slot),
}

/// Gives values for slots; the caller owns them.
pub trait Filling {
    /// Returns the value for a slot, or nothing if there is none.
    fn value(&self, slot: Slot) -> Option<Zeroizing<String>>;
}

/// Tells why a line cannot be sent. Never contains a value.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SlotError {
    /// There is no value for a slot of the line.
    #[error("fill slot `{{{0}}}`: there is no value for it")]
    Missing(&'static str),
    /// A value has a character that would end the line or start another one.
    #[error("fill slot `{{{0}}}`: its value has a control character")]
    ControlCharacter(&'static str),
}

impl Template {
    /// Parses a line; braces that do not enclose a lower-case word are text.
    ///
    /// # Errors
    /// Returns a message with the wrong slot, the right ones and the nearest of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, from_brace) = rest.split_at(open);
            let inside = from_brace.get(1..).unwrap_or_default();
            let name = inside.split_once('}').map(|(name, _)| name).filter(|name| names(name));
            let Some(name) = name else {
                push_text(&mut parts, &format!("{before}{{"));
                rest = inside;
                continue;
            };
            push_text(&mut parts, before);
            parts.push(Part::Slot(slot_named(name)?));
            rest = inside.get(name.len() + 1..).unwrap_or_default();
        }
        push_text(&mut parts, rest);
        Ok(Self { parts })
    }

    /// Returns the slots of the line, in order.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.parts.iter().filter_map(|part| match part {
            Part::Slot(slot) => Some(*slot),
            Part::Text(_) => None,
        })
    }

    /// Fills the slots.
    ///
    /// # Errors
    /// Returns which slot has no value, or one that must not be sent.
    pub fn fill(&self, filling: &dyn Filling) -> Result<Zeroizing<String>, SlotError> {
        let mut line = Zeroizing::new(String::with_capacity(256));
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Slot(slot) => {
                    let name = slot.as_str();
                    let value = filling.value(*slot).ok_or(SlotError::Missing(name))?;
                    if value.chars().any(char::is_control) {
                        return Err(SlotError::ControlCharacter(name));
                    }
                    line.push_str(&value);
                }
            }
        }
        Ok(line)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// Tells whether a text between braces is meant as a slot, rather than as shell or regex syntax.
fn names(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_:".contains(c))
}

fn slot_named(name: &str) -> Result<Slot, String> {
    if let Some((slot, _)) = Slot::ALL.iter().find(|(_, right)| *right == name) {
        return Ok(*slot);
    }
    let right: Vec<String> = Slot::ALL.iter().map(|(_, name)| format!("`{{{name}}}`")).collect();
    let near = nearest(name, Slot::ALL.iter().map(|(_, name)| *name))
        .map(|near| format!("; nearest is `{{{near}}}`"))
        .unwrap_or_default();
    Err(format!("unknown slot `{{{name}}}`, expected one of {}{near}", right.join(", ")))
}
