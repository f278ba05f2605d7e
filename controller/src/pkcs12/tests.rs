//! Files that `openssl pkcs12 -export` 3.0.19 made of `tests/leaf.pem` and `tests/chain.pem`: with
//! its defaults (`modern`), `-legacy` (RC2 and 3DES), as Windows writes them (3DES throughout, 2000
//! passes: `windows`), with other ciphers and no MAC.

use rustls_pki_types::pem::PemObject;

use super::*;

const MODERN: &[u8] = include_bytes!("tests/modern.pfx");
const LEGACY: &[u8] = include_bytes!("tests/legacy.pfx");
const WINDOWS: &[u8] = include_bytes!("tests/windows.pfx");
const OTHER: &[u8] = include_bytes!("tests/other.pfx");
const PLAIN: &[u8] = include_bytes!("tests/plain.pfx");
const PASSWORD: &[u8] = include_bytes!("tests/password.pfx");
const ABOVE: &[u8] = include_bytes!("tests/above.pfx");

fn chain() -> Vec<CertificateDer<'static>> {
    let text = include_bytes!("tests/chain.pem");
    CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_openssl_and_windows_write_is_read_in_order_with_its_key() {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tests/leaf.pem")).unwrap();
    let cases = [
        ("modern", MODERN),
        ("legacy", LEGACY),
        ("windows", WINDOWS),
        ("other", OTHER),
        ("plain", PLAIN),
    ];
    for (name, file) in cases {
        let read = open(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read.chain, chain(), "{name}");
        assert_eq!(read.key.unwrap().secret_der(), key.secret_der(), "{name}");
    }
}

#[test]
fn certificates_without_a_key_are_read() {
    let read = open(ABOVE).unwrap();
    assert_eq!(read.chain, chain()[1..]);
    assert!(read.key.is_none());
}

#[test]
fn a_password_is_told_and_so_is_every_change_where_there_is_a_mac() {
    assert_eq!(open(PASSWORD).unwrap_err(), Pkcs12Error::Password);
    for file in [MODERN, WINDOWS] {
        let good = open(file).unwrap();
        for at in (0..file.len()).step_by(23) {
            let mut changed = file.to_vec();
            changed[at] ^= 1;
            if let Ok(read) = open(&changed) {
                // What is not under the MAC are lengths, and a parameter that says nothing.
                assert_eq!(read.chain, good.chain, "byte {at}");
            }
            assert!(open(&file[..at]).is_err(), "cut at {at}");
        }
    }
}

#[test]
fn bytes_of_any_kind_are_no_file() {
    for bytes in [&b""[..], b"MIIK", b"-----BEGIN CERTIFICATE-----", &[0x30, 0x80, 2, 1, 3, 0, 0]] {
        assert!(matches!(open(bytes), Err(Pkcs12Error::Malformed { .. })), "{bytes:?}");
    }
    assert_eq!(open(&[0; BYTES_MAX + 1]).unwrap_err(), Pkcs12Error::TooLarge);
}
