//! What is read before anybody is known: certificates, sealed files, what a vault asks for.

use std::io::{Cursor, Read};
use std::sync::LazyLock;

use controller::age::{self, Identity, Recipient};
use controller::key_vault::{Challenge, Objection};
use controller::pkcs12;
use controller::vault::EmbeddedVault;
use controller::vault::contract::clock;
use controller::vault::key::KeySource;
use tokio::runtime::Runtime;

/// The identity that everything here is sealed to; no other one is in use anywhere.
pub const IDENTITY: &str =
    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

/// The recipient of the same.
pub const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

/// What a vault asks for, in the forms that are taken.
pub const CHALLENGES: [&str; 2] = [
    "Bearer authorization=\"https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47\", \
     resource=\"https://vault.azure.net\"",
    "Bearer authorization_uri=https://login.example/72f988bf-86f1-41af-91ab-2d7cd011db47, \
     scope=https://azure.net/.default",
];

/// The host that tokens would be sent to.
const HOST: &str = "kv.vault.azure.net";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
});

fn identities() -> Vec<Identity> {
    Identity::parse_all(IDENTITY).expect("an identity")
}

/// Seals a text to the identity.
#[must_use]
pub fn sealed(text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let recipients: Vec<Recipient> =
        identities().iter().map(|identity| identity.recipient().clone()).collect();
    let mut sealer = age::seal(&recipients, Vec::new()).expect("a recipient");
    sealer.write_all(text).expect("memory");
    sealer.finish().expect("memory")
}

/// Files of PKCS #12 as OpenSSL and Windows write them.
#[must_use]
pub fn archives() -> Vec<Vec<u8>> {
    let files: [&[u8]; 5] = [
        include_bytes!("../../../controller/src/pkcs12/tests/modern.pfx"),
        include_bytes!("../../../controller/src/pkcs12/tests/legacy.pfx"),
        include_bytes!("../../../controller/src/pkcs12/tests/windows.pfx"),
        include_bytes!("../../../controller/src/pkcs12/tests/plain.pfx"),
        include_bytes!("../../../controller/src/pkcs12/tests/above.pfx"),
    ];
    files.map(<[u8]>::to_vec).to_vec()
}

/// Content of backups that begin as a right one does.
pub const BACKUPS: [&str; 2] = [
    "keyturn-vault-backup 1\n{\"key\":\"0000000000000000000000000000000000000000000000000000000000000000\",\
     \"created\":1,\"values\":0,\"bytes\":0,\"digest\":\
     \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}\n",
    "keyturn-vault-backup 1\n{}\nSQLite format 3\0",
];

/// Reads certificates and a key.
#[must_use]
pub fn pkcs12(bytes: &[u8]) -> bool {
    match pkcs12::open(bytes) {
        Ok(read) => {
            assert!(!read.chain.is_empty());
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Opens a sealed file, to its end. The file's key is random, so that nothing opens that was changed.
#[must_use]
pub fn age(bytes: &[u8]) -> bool {
    let Ok(mut opened) = age::open(&identities(), bytes) else { return false };
    let mut text = Vec::new();
    opened.read_to_end(&mut text).is_ok()
}

/// Reads recipients and identities.
#[must_use]
pub fn recipients(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let recipient = text.trim().parse::<Recipient>();
    if let Ok(recipient) = &recipient {
        let again: Recipient = recipient.to_string().parse().expect("what was written is read");
        assert_eq!(again.to_string(), recipient.to_string());
    }
    recipient.is_ok() || Identity::parse_all(text).is_ok()
}

/// Restores a backup whose content is anything: there is no vault afterwards, or a whole one.
#[must_use]
pub fn backup(bytes: &[u8]) -> bool {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (file, key) = (dir.path().join("vault.db"), dir.path().join("vault.key"));
    let source = KeySource::File(key);
    let from = Cursor::new(sealed(bytes));
    let restored = EmbeddedVault::restore(&file, &source, identities(), from, clock());
    let restored = RUNTIME.block_on(restored);
    assert_eq!(restored.is_ok(), file.exists());
    let left = std::fs::read_dir(dir.path()).expect("a directory of our own").count();
    assert!(restored.is_ok() || left == 0, "something is left");
    restored.is_ok()
}

/// Reads what a vault asks for, and decides whether it gets a token.
#[must_use]
pub fn challenge(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(challenge) = Challenge::parse(text) else { return false };
    let tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    match challenge.check(HOST, Some(tenant), None) {
        Ok(()) => {
            assert!(text.to_ascii_lowercase().contains(tenant), "{text}");
            true
        }
        Err(Objection::Tenant | Objection::Resource) => false,
    }
}
