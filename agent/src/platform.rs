//! Platforms: a device type is a TOML file, parsed and checked here.
//!
//! A platform file says how a device's prompts look (modes), how to get from one mode to another
//! (edges), what its refusals look like, and which lines carry out each operation. Secrets enter a
//! line only through typed slots ([`Slot`]); a file with an unknown slot, key, mode or operation is
//! refused when it is loaded, with its line, what was expected and the nearest right name. This
//! module is pure: it takes texts and gives [`Platform`]s.

mod duration;
mod error;
mod file;
mod graph;
mod limits;
mod operation;
mod pattern;
mod row;
mod slot;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use error::PlatformError;
pub use graph::ModeId;
pub use limits::{Limits, Lockout, LockoutScope};
pub use operation::{Answer, Operation, OperationKind, Step};
pub use pattern::Pattern;
pub use row::{Row, rows};
pub use slot::{Filling, Slot, SlotError, Template};

use graph::Edge;

/// The platform files that are part of the agent: file name and text.
const BUILT_IN: [(&str, &str); 3] = [
    ("arista-eos.toml", include_str!("../platforms/arista-eos.toml")),
    ("opengear.toml", include_str!("../platforms/opengear.toml")),
    ("linux.toml", include_str!("../platforms/linux.toml")),
];

/// One device type: everything that the driver knows about it.
#[derive(Debug)]
pub struct Platform {
    /// The name by which an inventory refers to it.
    pub name: String,
    /// The file that it was read from, for messages.
    pub file: String,
    /// Several lines may be sent at once, their replies being checked afterwards.
    pub pipeline: bool,
    /// How long a prompt that was not learned yet must stand last before it counts.
    pub settle: std::time::Duration,
    /// How the device is spoken to over SSH.
    pub ssh: Ssh,
    /// How its login looks on a serial line.
    pub login: LoginPatterns,
    /// What the device takes.
    pub limits: Limits,
    /// Looked for in every line of the reply to a line that was sent.
    pub failures: Arc<[Pattern]>,
    /// The prompt of a shell that waits for the rest of a here-document, if the device has one.
    pub continuation: Option<Pattern>,
    modes: Vec<Mode>,
    edges: Vec<Edge>,
    operations: BTreeMap<OperationKind, Operation>,
}

/// A state of the device's command line, known by its prompt.
#[derive(Debug)]
pub struct Mode {
    /// The name that edges and operations refer to.
    pub name: String,
    /// The general prompt pattern; its group `host` is what the device calls itself.
    pub prompt: Pattern,
    /// Texts that a prompt of this mode does not contain.
    pub exclude: Arc<[String]>,
    /// What follows the host's name in the prompt, once that name is known. It must be prefix-free:
    /// no prompt of this mode may be the beginning of another one.
    pub exact: Option<Pattern>,
    /// The line that leaves a stranger's (or our own crashed) session found in this mode on a
    /// serial line. Never one that commits.
    pub leave: Option<String>,
}

/// How a platform is spoken to over SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// Every line is a command of its own on an exec channel; no shell, no prompts.
    pub exec: bool,
    /// Key exchange methods offered after the modern ones.
    pub key_exchange: Vec<String>,
    /// Ciphers offered after the modern ones.
    pub ciphers: Vec<String>,
    /// MACs offered after the modern ones.
    pub macs: Vec<String>,
}

/// How a login looks on a serial line or a console.
#[derive(Debug, Clone)]
pub struct LoginPatterns {
    /// Asks for the user's name.
    pub name: Pattern,
    /// Asks for the password.
    pub password: Pattern,
    /// Says that name and password do not fit.
    pub rejected: Pattern,
    /// Says that the account is locked.
    pub locked: Pattern,
    /// Says that the password must be changed before anything else.
    pub expired: Pattern,
    /// Asks for a key before the login prompt appears.
    pub wake: Pattern,
    /// Holds a long reply back until a key is pressed.
    pub pager: Pattern,
}

impl Platform {
    /// Parses and checks the text of one platform file.
    ///
    /// # Errors
    /// Returns where the file is wrong (line and key), what was expected and the nearest right name.
    pub fn parse(file: &str, text: &str) -> Result<Self, PlatformError> {
        file::parse(file, text)
    }

    /// Returns the modes, in the file's order.
    #[must_use]
    pub fn modes(&self) -> &[Mode] {
        &self.modes
    }

    /// Returns one mode.
    #[must_use]
    pub fn mode(&self, id: ModeId) -> Option<&Mode> {
        self.modes.get(id.0)
    }

    /// Returns the modes with their ids, in the file's order.
    pub fn modes_with_ids(&self) -> impl Iterator<Item = (ModeId, &Mode)> {
        self.modes.iter().enumerate().map(|(index, mode)| (ModeId(index), mode))
    }

    /// Returns the mode called `name`.
    #[must_use]
    pub fn mode_named(&self, name: &str) -> Option<ModeId> {
        self.modes.iter().position(|mode| mode.name == name).map(ModeId)
    }

    /// Returns the mode whose general prompt pattern fits `line`, if exactly one does.
    #[must_use]
    pub fn mode_of_prompt(&self, line: &[u8]) -> Option<ModeId> {
        let mut fitting = self.modes.iter().enumerate().filter(|(_, mode)| mode.fits(line));
        match (fitting.next(), fitting.next()) {
            (Some((index, _)), None) => Some(ModeId(index)),
            _ => None,
        }
    }

    /// Returns the operation, if the platform has it.
    #[must_use]
    pub fn operation(&self, kind: OperationKind) -> Option<&Operation> {
        self.operations.get(&kind)
    }

    /// Finds the shortest way between two modes, as the steps of the edges on it.
    #[must_use]
    pub fn way(&self, from: ModeId, to: ModeId) -> Option<Vec<&Step>> {
        graph::way(&self.edges, from, to)
    }
}

impl Mode {
    /// Tells whether a line, taken alone, looks like a prompt of this mode.
    #[must_use]
    pub fn fits(&self, line: &[u8]) -> bool {
        self.prompt.is_match(line)
            && !self.exclude.iter().any(|text| contains(line, text.as_bytes()))
    }

    /// Returns what the device calls itself in a prompt of this mode.
    #[must_use]
    pub fn host_in(&self, line: &[u8]) -> Option<String> {
        let host = self.prompt.captures(line)?.name("host")?;
        String::from_utf8(host.as_bytes().to_vec()).ok()
    }
}

/// Tells whether `text` occurs in `line`.
fn contains(line: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && line.windows(text.len()).any(|window| window == text)
}

/// All platforms that an agent knows, by name.
#[derive(Debug, Clone)]
pub struct Platforms {
    by_name: BTreeMap<String, Arc<Platform>>,
}

impl Platforms {
    /// Returns the platforms that are part of the agent.
    ///
    /// # Errors
    /// Returns [`PlatformError`] if one of them is wrong, which a test excludes.
    pub fn built_in() -> Result<Self, PlatformError> {
        let mut platforms = Self { by_name: BTreeMap::new() };
        for (file, text) in BUILT_IN {
            platforms.take(file, text)?;
        }
        Ok(platforms)
    }

    /// Takes a site's own file: one with a name that is known already replaces that platform.
    /// Returns the file that was replaced, for the log.
    ///
    /// # Errors
    /// Returns [`PlatformError`] where the file is wrong; then nothing is changed.
    pub fn take(&mut self, file: &str, text: &str) -> Result<Option<String>, PlatformError> {
        let platform = Platform::parse(file, text)?;
        let name = platform.name.clone();
        Ok(self.by_name.insert(name, Arc::new(platform)).map(|replaced| replaced.file.clone()))
    }

    /// Returns the platform called `name`.
    ///
    /// # Errors
    /// Returns the unknown name with the nearest known one.
    pub fn find(&self, name: &str) -> Result<Arc<Platform>, PlatformError> {
        self.by_name.get(name).cloned().ok_or_else(|| PlatformError::Unknown {
            name: name.to_owned(),
            nearest: error::nearest(name, self.by_name.keys().map(String::as_str)),
        })
    }

    /// Returns all platforms, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Platform>> {
        self.by_name.values()
    }
}
