//! As much of DER (X.690) as PKCS #12 is made of: definite lengths, tags of one byte.

use super::Pkcs12Error;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]` around another value.
pub(super) const CONTEXT_0: u8 = 0xa0;
/// `[0]` in the place of an OCTET STRING's own tag.
pub(super) const CONTEXT_0_OCTETS: u8 = 0x80;

/// Values that follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(pub(super) &'a [u8]);

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

impl<'a> Der<'a> {
    /// Takes the next value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Value<'a>>, Pkcs12Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let value = value(self.0).ok_or(Pkcs12Error::Malformed { what: "a value" })?;
        self.0 = self.0.get(value.whole.len()..).unwrap_or_default();
        Ok(Some(value))
    }

    /// Takes the next value, which must have this tag, and returns its content.
    pub(super) fn take(&mut self, tag: u8, what: &'static str) -> Result<&'a [u8], Pkcs12Error> {
        match self.next()? {
            Some(value) if value.tag == tag => Ok(value.content),
            _ => Err(Pkcs12Error::Malformed { what }),
        }
    }

    /// Takes the next value, which must be a SEQUENCE, to read it in turn.
    pub(super) fn sequence(&mut self, what: &'static str) -> Result<Self, Pkcs12Error> {
        self.take(SEQUENCE, what).map(Der)
    }

    /// Takes a whole number from 0 to 2^31.
    pub(super) fn number(&mut self, what: &'static str) -> Result<u32, Pkcs12Error> {
        let digits = self.take(INTEGER, what)?;
        let small = digits.len() <= 4 && digits.first().is_some_and(|first| *first < 0x80);
        let number = digits.iter().fold(0, |number: u32, byte| (number << 8) | u32::from(*byte));
        small.then_some(number).ok_or(Pkcs12Error::Malformed { what })
    }
}

fn value(bytes: &[u8]) -> Option<Value<'_>> {
    let (tag, rest) = bytes.split_first()?;
    // Tags of several bytes have no place in what is read here.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let digits = long & 0x7f;
            // None: a length that is said by an end mark, which is BER.
            let (digits, rest) =
                rest.split_at_checked(digits).filter(|_| (1..=4).contains(&digits))?;
            let length = digits.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
            (length, rest)
        }
    };
    let content = rest.get(..length)?;
    let head = bytes.len() - rest.len();
    Some(Value { tag: *tag, content, whole: bytes.get(..head + length)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_one_after_another_and_to_their_end() {
        let long = [&[OCTETS, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        let bytes = [&[INTEGER, 1, 3][..], &long].concat();
        let mut der = Der(&bytes);
        assert_eq!(der.number("a number").unwrap(), 3);
        assert_eq!(der.take(OCTETS, "bytes").unwrap(), [7; 256]);
        assert!(der.next().unwrap().is_none());
        assert_eq!(Der(&bytes).next().unwrap().unwrap().whole, [INTEGER, 1, 3]);
    }

    #[test]
    fn what_is_cut_or_is_no_der_is_refused() {
        for bytes in [
            &[OCTETS][..],
            &[OCTETS, 2, 0],
            &[OCTETS, 0x80, 0, 0],
            &[OCTETS, 0x81],
            &[OCTETS, 0x85, 0, 0, 0, 0, 1, 0],
            &[OCTETS, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x3f, 1, 1, 0],
        ] {
            assert!(Der(bytes).next().is_err(), "{bytes:?}");
        }
        for number in [&[INTEGER, 0][..], &[INTEGER, 1, 0x80], &[INTEGER, 5, 1, 0, 0, 0, 0]] {
            assert!(Der(number).number("a number").is_err(), "{number:?}");
        }
    }
}
