//! The log: text on standard error, one line per event, without control characters.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The variable that says what is logged, for example `info,controller=debug`.
const FILTER: &str = "KEYTURN_LOG";

/// Starts the log with what `KEYTURN_LOG` says, else from `usual` on. Returns whether what it says
/// could be read; a second call changes nothing.
pub fn start(usual: &str) -> bool {
    let given = std::env::var(FILTER).unwrap_or_default();
    let filter = if given.is_empty() { usual } else { &given };
    let (filter, readable) = match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, true),
        Err(_source) => (EnvFilter::new(usual), false),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(ScrubbedStderr)
        .finish();
    // Whoever embeds the daemon may have a log of their own already.
    let _another = tracing::subscriber::set_global_default(log);
    readable
}

/// Writes events to standard error.
struct ScrubbedStderr;

impl<'a> MakeWriter<'a> for ScrubbedStderr {
    type Writer = Scrubbed<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Scrubbed(io::stderr())
    }
}

/// Takes one event per call, and takes its control characters out: what a device sent must not move
/// the cursor of whoever reads the log, nor make lines of its own in it.
struct Scrubbed<W>(W);

impl<W: Write> Write for Scrubbed<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut clean: String =
            line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        clean.push('\n');
        self.0.write_all(clean.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let mut log = Scrubbed(Vec::new());
        let event = "INFO device said \u{1b}[2J\r\nERROR forged\u{9b}1m\n";
        assert_eq!(log.write(event.as_bytes()).unwrap(), event.len());
        let text = String::from_utf8(log.0).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.trim_end_matches('\n').contains(char::is_control), "{text:?}");
    }
}
