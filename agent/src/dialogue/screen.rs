//! The screen: raw bytes in, plain lines out.
//!
//! Escape sequences and control characters are taken out, `\r\r\n` and `\r\n` become one line end,
//! and a bare `\r` before more text begins a new line (NX-OS prints its prompt after one, shells
//! redraw with it). Every byte is handled by itself, so that the text does not depend on how the
//! stream was cut.

/// The longest line, in bytes, before the reply is given up.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// The longest reply to one line, in raw bytes, before it is given up.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024;
/// How much room is kept between replies.
const KEPT_BYTES: usize = 512;
/// The longest escape sequence that is still one.
const SEQUENCE_BYTES_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    Control(usize),
    Command(usize),
    CommandEscape(usize),
}

/// Plain text that was not consumed yet, and what it was made from.
#[derive(Debug)]
pub(super) struct Screen {
    text: Vec<u8>,
    state: State,
    pending_return: bool,
    line_bytes: usize,
    raw_bytes: usize,
    noisy: bool,
    overflow: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::new(),
            state: State::Ground,
            pending_return: false,
            line_bytes: 0,
            raw_bytes: 0,
            noisy: false,
            overflow: false,
        }
    }

    /// Takes bytes as they came; drops them once a cap is passed.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.raw_bytes += 1;
            if self.raw_bytes > REPLY_BYTES_MAX || self.line_bytes > LINE_BYTES_MAX {
                self.overflow = true;
                return;
            }
            self.take(*byte);
        }
    }

    /// Returns the plain text.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Tells whether bytes came that are no text.
    pub(super) fn is_noisy(&self) -> bool {
        self.noisy
    }

    /// Tells whether a reply or a line was longer than it may be.
    pub(super) fn is_over(&self) -> bool {
        self.overflow
    }

    /// Takes the first `count` bytes of the text away and starts counting anew.
    pub(super) fn consume(&mut self, count: usize) {
        self.text.drain(..count.min(self.text.len()));
        // A thousand sessions that wait must not each keep room for their longest reply.
        self.text.shrink_to(KEPT_BYTES);
        self.raw_bytes = self.text.len();
        self.line_bytes = self.text.iter().rev().take_while(|byte| **byte != b'\n').count();
        self.noisy = false;
        self.overflow = false;
    }

    fn take(&mut self, byte: u8) {
        match self.state {
            State::Ground => self.ground(byte),
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Control(0),
                    b']' | b'P' | b'^' | b'_' => State::Command(0),
                    0x20..=0x2f => State::Escape,
                    _ => State::Ground,
                };
            }
            State::Control(length) => {
                let ends = (0x40..=0x7e).contains(&byte) || length > SEQUENCE_BYTES_MAX;
                self.state = if ends { State::Ground } else { State::Control(length + 1) };
            }
            State::Command(length) => {
                self.state = match byte {
                    0x07 => State::Ground,
                    0x1b => State::CommandEscape(length),
                    _ if length > SEQUENCE_BYTES_MAX => State::Ground,
                    _ => State::Command(length + 1),
                };
            }
            State::CommandEscape(length) => {
                self.state = if byte == b'\\' { State::Ground } else { State::Command(length + 1) };
            }
        }
    }

    fn ground(&mut self, byte: u8) {
        match byte {
            0x1b => self.state = State::Escape,
            b'\r' => self.pending_return = true,
            b'\n' => {
                self.pending_return = false;
                self.end_line();
            }
            0x08 | 0x7f => self.rub_out(),
            b'\t' | b' '..=b'~' => {
                if self.pending_return {
                    self.pending_return = false;
                    if self.line_bytes > 0 {
                        self.end_line();
                    }
                }
                self.text.push(byte);
                self.line_bytes += 1;
            }
            // XON, XOFF, NUL and BEL are ordinary on terminals.
            0x00 | 0x07 | 0x11 | 0x13 => {}
            _ => self.noisy = true,
        }
    }

    fn end_line(&mut self) {
        self.text.push(b'\n');
        self.line_bytes = 0;
    }

    fn rub_out(&mut self) {
        if self.line_bytes > 0 {
            self.text.pop();
            self.line_bytes -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: &str) {
        let mut screen = Screen::new();
        screen.push(bytes);
        assert_eq!(String::from_utf8_lossy(screen.text()), expect, "{bytes:?}");
        for cut in 0..bytes.len() {
            let mut screen = Screen::new();
            screen.push(&bytes[..cut]);
            screen.push(&bytes[cut..]);
            assert_eq!(String::from_utf8_lossy(screen.text()), expect, "{bytes:?} cut at {cut}");
        }
    }

    #[test]
    fn the_text_has_no_control_characters() {
        check(b"a\r\nb\r\r\nc\nd", "a\nb\nc\nd");
        check(b"\rTEST-12345# ", "TEST-12345# ");
        check(b"old text\rnew", "old text\nnew");
        check(b"\x1b[?2004hroot@vm:~# \x1b[?2004l\r", "root@vm:~# ");
        check(b"\x1b]0;title\x07x\x1b]0;t\x1b\\y", "xy");
        check(b"\x1b[?1h\x1b=\x1b[mtext\x1b[K", "text");
        check(b"ab\x08c", "ac");
        check(b"\x08\x08a\n\x08b", "a\nb");
        check(b"a\0\x07\x11\x13b\xff\xfe", "ab");
        check(b"\x1b(Bx", "x");
    }

    #[test]
    fn a_reply_or_a_line_that_never_ends_is_given_up() {
        let mut screen = Screen::new();
        screen.push(&[b'x'; LINE_BYTES_MAX + 2]);
        assert!(screen.is_over());
        let mut screen = Screen::new();
        for _ in 0..=REPLY_BYTES_MAX / 64 {
            screen.push(&[b"x".repeat(63).as_slice(), b"\n"].concat());
        }
        assert!(screen.is_over());
        assert!(screen.text().len() <= REPLY_BYTES_MAX);
    }

    #[test]
    fn bytes_that_are_no_text_are_noted() {
        let mut screen = Screen::new();
        screen.push(b"ok");
        assert!(!screen.is_noisy());
        screen.push(b"\xf0");
        assert!(screen.is_noisy());
        screen.consume(2);
        assert!(!screen.is_noisy());
    }
}
