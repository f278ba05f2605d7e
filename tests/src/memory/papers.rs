//! Everything that is written where no secret may be, and the search for secrets in it.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Which of our own words are heard.
const TARGETS: &str = "off,agent=trace,controller=trace,protocol=trace";

/// Collects log lines, journals, frames, errors: all that may go into a bug report.
#[derive(Clone, Debug, Default)]
pub struct Papers(Arc<Mutex<String>>);

impl Papers {
    fn text(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a text.
    pub fn note(&self, text: &str) {
        let mut all = self.text();
        all.push_str(text);
        all.push('\n');
    }

    /// Takes everything out.
    #[must_use]
    pub fn take(&self) -> String {
        std::mem::take(&mut self.text())
    }

    /// Hears everything that our crates log on this thread, at every level, until the guard is
    /// dropped.
    #[must_use]
    pub fn hear(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(TARGETS))
            .with_ansi(false)
            .without_time()
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

impl<'a> MakeWriter<'a> for Papers {
    type Writer = Pen<'a>;

    fn make_writer(&'a self) -> Pen<'a> {
        Pen(self)
    }
}

/// Writes log lines into [`Papers`].
#[derive(Debug)]
pub struct Pen<'a>(&'a Papers);

impl io::Write for Pen<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.text().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All passwords that were ever generated or adopted in one world, and all hashes of them that
/// were sent to its device.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Arc<Mutex<BTreeSet<String>>>);

impl Secrets {
    /// Remembers one more.
    pub fn learn(&self, secret: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(secret) {
            all.insert(secret.to_owned());
        }
    }

    /// Remembers the hashes in a line that a device was sent.
    pub(super) fn learn_hashes(&self, line: &str) {
        let word = |c: char| c.is_ascii_alphanumeric() || "$./".contains(c);
        for (at, _) in line.match_indices("$6$") {
            let rest = &line[at..];
            self.learn(&rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())]);
        }
    }

    /// Returns the lines of a text that contain a secret, with the secrets blotted out.
    #[must_use]
    pub fn find_in(&self, text: &str) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<&String> = all.iter().filter(|secret| text.contains(*secret)).collect();
        if found.is_empty() {
            return Vec::new();
        }
        let leaks = text.lines().filter(|line| found.iter().any(|secret| line.contains(*secret)));
        let blot = |line: &str| {
            found.iter().fold(line.to_owned(), |line, secret| line.replace(*secret, "<SECRET>"))
        };
        leaks.map(blot).collect()
    }
}
