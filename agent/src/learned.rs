//! What was learned of a device, so that the next login wastes no round trip and no attempt.

use serde::{Deserialize, Serialize};

/// How a device lets in over SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Asks questions, one of which is for the password (EOS does, by default, nothing else).
    KeyboardInteractive,
    /// Takes the password with the request.
    Password,
}

/// What was learned of one device. All of it may be wrong after an upgrade: it decides what is
/// tried first, never what is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Learned {
    /// The authentication method that worked.
    pub method: Option<Method>,
    /// The key exchange that both sides agreed on.
    pub key_exchange: Option<String>,
    /// What the device calls itself in its prompts.
    pub host: Option<String>,
    /// Lines that were sent several at once got lost: it is spoken to line by line.
    pub line_by_line: bool,
}
