//! Bech32 (BIP 173) without its limit on length.

use zeroize::Zeroizing;

const CHARACTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

const CHECK_LENGTH: usize = 6;

/// Returns the bytes of a text with this prefix (lower case); `None` if it is none.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mixed = text.bytes().any(|b| b.is_ascii_lowercase())
        && text.bytes().any(|b| b.is_ascii_uppercase());
    let text = Zeroizing::new(text.to_ascii_lowercase());
    let data = text.strip_prefix(prefix)?.strip_prefix('1')?;
    if mixed || data.len() < CHECK_LENGTH {
        return None;
    }
    let value = |byte: u8| CHARACTERS.iter().position(|known| *known == byte);
    let values = data.bytes().map(|byte| u8::try_from(value(byte)?).ok());
    let values = Zeroizing::new(values.collect::<Option<Vec<u8>>>()?);
    let checked = spread(prefix).chain(values.iter().copied());
    if polymod(checked) != 1 {
        return None;
    }
    to_bytes(values.get(..values.len() - CHECK_LENGTH)?)
}

/// Returns the text of bytes, in lower case.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut values = to_fives(bytes);
    let zeros = [0; CHECK_LENGTH];
    let check = polymod(spread(prefix).chain(values.iter().copied()).chain(zeros)) ^ 1;
    values.extend((0..CHECK_LENGTH).rev().map(|at| low_five(check >> (5 * at))));
    let characters = values.iter().filter_map(|value| CHARACTERS.get(usize::from(*value)));
    format!("{prefix}1{}", characters.map(|byte| char::from(*byte)).collect::<String>())
}

/// The prefix as it enters the check.
fn spread(prefix: &str) -> impl Iterator<Item = u8> + '_ {
    let (high, low) = (prefix.bytes().map(|byte| byte >> 5), prefix.bytes().map(|byte| byte & 31));
    high.chain(std::iter::once(0)).chain(low)
}

fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |check: u32, value| {
        let top = check >> 25;
        let shifted = (check & 0x01ff_ffff) << 5 ^ u32::from(value);
        let chosen = GENERATOR.iter().enumerate().filter(|(at, _)| top >> at & 1 == 1);
        chosen.fold(shifted, |check, (_at, generator)| check ^ generator)
    })
}

fn low_five(value: u32) -> u8 {
    u8::try_from(value & 31).unwrap_or(0)
}

/// Joins groups of five bits; `None` if more than padding is left over.
fn to_bytes(fives: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(fives.len() * 5 / 8));
    let (mut bits, mut count) = (0_u32, 0_u32);
    for five in fives {
        bits = (bits << 5 | u32::from(*five)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    let rest = bits & ((1 << count) - 1);
    (count < 5 && rest == 0).then_some(bytes)
}

fn to_fives(bytes: &[u8]) -> Vec<u8> {
    let mut fives = Vec::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in bytes {
        bits = (bits << 8 | u32::from(*byte)) & 0xfff;
        count += 8;
        while count >= 5 {
            count -= 5;
            fives.push(low_five(bits >> count));
        }
    }
    if count > 0 {
        fives.push(low_five(bits << (5 - count)));
    }
    fives
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification_are_read_and_written() {
        // https://c2sp.org/age, "The X25519 recipient type".
        let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
        let bytes = decode("age", recipient).unwrap();
        assert_eq!(encode("age", &bytes), recipient);
        let identity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        assert_eq!(*decode("age-secret-key-", identity).unwrap(), vec![0x42; 32]);
    }

    #[test]
    fn any_length_comes_back_and_any_changed_character_does_not() {
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37)).collect();
            assert_eq!(*decode("age", &encode("age", &bytes)).unwrap(), bytes);
        }
        let text = encode("age", &[7; 32]);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'q' { b'p' } else { b'q' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(decode("age", &changed).is_none(), "{changed}");
            assert!(decode("age", &text[..at]).is_none(), "cut at {at}");
        }
        let mut mixed = text.clone();
        mixed.replace_range(4..5, &text[4..5].to_ascii_uppercase());
        assert!(decode("age", &mixed).is_none() || text.as_bytes()[4].is_ascii_digit());
        assert!(decode("age", "age1é").is_none());
    }
}
