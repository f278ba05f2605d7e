//! Asks for a passphrase on the terminal of this process, without showing what is typed.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::super::VaultError;
use super::passphrase::PASSPHRASE_BYTES_MAX;

/// The process's own terminal, wherever its standard input comes from.
const TERMINAL: &str = "/dev/tty";

/// Tells whether there is somebody who could be asked.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && open().is_ok()
}

/// Asks, and returns the line that is typed.
pub(super) fn ask(question: &str) -> Result<Zeroizing<String>, VaultError> {
    let answer = open().and_then(|terminal| ask_on(terminal, question));
    answer.map_err(|source| VaultError::Terminal { source })
}

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(TERMINAL)
}

fn ask_on(terminal: File, question: &str) -> io::Result<Zeroizing<String>> {
    let mut terminal = Quiet::new(terminal)?;
    terminal.file.write_all(question.as_bytes())?;
    let line = line(&mut terminal.file);
    terminal.file.write_all(b"\r\n")?;
    line
}

/// Reads bytes until the return key, with the keys that a terminal would have handled.
fn line(from: &mut impl Read) -> io::Result<Zeroizing<String>> {
    let stopped = || io::Error::from(io::ErrorKind::Interrupted);
    let mut typed = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX + 1));
    let mut key = [0; 1];
    loop {
        if from.read(&mut key)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match key {
            [b'\r' | b'\n'] => break,
            // Ctrl-C: the terminal sends no signal meanwhile.
            [0x03] => return Err(stopped()),
            // Ctrl-D and Ctrl-U.
            [0x04] if typed.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            [0x15] => typed.clear(),
            [0x08 | 0x7f] => erase(&mut typed),
            // The capacity is never exceeded: a buffer that grows leaves a copy behind.
            [byte] if typed.len() <= PASSPHRASE_BYTES_MAX => typed.push(byte),
            _ => {}
        }
    }
    let text = std::str::from_utf8(&typed).map_err(|_source| io::ErrorKind::InvalidData)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Takes the last character away, with all its bytes.
fn erase(typed: &mut Vec<u8>) {
    while let Some(byte) = typed.pop() {
        if byte & 0xc0 != 0x80 {
            break;
        }
    }
}

/// A terminal that shows nothing of what is typed and sends no signals, until this is dropped.
struct Quiet {
    file: File,
    before: Termios,
}

impl Quiet {
    fn new(file: File) -> io::Result<Self> {
        let before = tcgetattr(&file)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        // What was typed before the question is no answer to it.
        tcsetattr(&file, OptionalActions::Flush, &quiet)?;
        Ok(Self { file, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _gone = tcsetattr(&self.file, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    #[test]
    fn keys_that_mend_a_line_mend_it() {
        let typed = |keys: &[u8]| line(&mut io::Cursor::new(keys)).map(|line| line.to_string());
        assert_eq!(typed(b"correct horse\r").unwrap(), "correct horse");
        assert_eq!(typed("cafés\x7f\x7fe\n".as_bytes()).unwrap(), "cafe");
        assert_eq!(typed(b"\x7fwrong\x15right\n").unwrap(), "right");
        assert_eq!(typed(b"half\x03").unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(typed(b"\x04").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(typed(b"no end").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(typed(&[b'x'; 4096]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut long = vec![b'x'; 4096];
        long.push(b'\n');
        assert_eq!(typed(&long).unwrap().len(), PASSPHRASE_BYTES_MAX + 1);
    }

    #[test]
    fn a_terminal_shows_the_question_and_nothing_of_the_answer() {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
        let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        assert!(before.local_modes.contains(LocalModes::ECHO));
        let mut person = File::from(person);
        let kept = terminal.try_clone().unwrap();
        let asked = std::thread::spawn(move || ask_on(terminal, "Passphrase: "));
        let mut shown = vec![0; "Passphrase: ".len()];
        person.read_exact(&mut shown).unwrap();
        person.write_all(b"correct horse\n").unwrap();
        assert_eq!(asked.join().unwrap().unwrap().as_str(), "correct horse");
        let mut rest = [0; 64];
        let read = person.read(&mut rest).unwrap();
        shown.extend_from_slice(&rest[..read]);
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.starts_with("Passphrase: ") && !shown.contains("horse"), "{shown:?}");
        assert!(tcgetattr(&kept).unwrap().local_modes.contains(LocalModes::ECHO));
    }
}
