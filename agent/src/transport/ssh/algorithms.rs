//! Which algorithms are offered: the modern ones, what this device took last time first, and after
//! them what its platform file adds.

use std::borrow::Cow;

use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::{Preferred, cipher, kex, mac};

use crate::learned::Learned;
use crate::platform::Platform;

/// Names in the key exchange list that are no key exchange; they stay last.
const EXTENSIONS: [kex::Name; 4] = [
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// Returns what to offer to a device whose host key is pinned: no other kind of key is asked for,
/// since a server with several keys would else show another one than the pinned.
pub(super) fn preferred(pinned: &PublicKey, platform: &Platform, learned: &Learned) -> Preferred {
    let modern = Preferred::DEFAULT;
    Preferred {
        kex: Cow::Owned(key_exchange(&modern, platform, learned)),
        key: Cow::Owned(host_keys(pinned)),
        cipher: Cow::Owned(with_extra(&modern.cipher, &platform.ssh.ciphers, |name| {
            cipher::Name::try_from(name).ok()
        })),
        mac: Cow::Owned(with_extra(&modern.mac, &platform.ssh.macs, |name| {
            mac::Name::try_from(name).ok()
        })),
        ..modern
    }
}

fn key_exchange(modern: &Preferred, platform: &Platform, learned: &Learned) -> Vec<kex::Name> {
    let plain: Vec<kex::Name> =
        modern.kex.iter().filter(|name| !EXTENSIONS.contains(name)).copied().collect();
    let parse = |name: &str| kex::Name::try_from(name).ok();
    let mut names = with_extra(&plain, &platform.ssh.key_exchange, parse);
    let known = learned.key_exchange.as_deref().and_then(parse);
    if let Some(place) = known.and_then(|known| names.iter().position(|name| *name == known)) {
        let known = names.remove(place);
        names.insert(0, known);
    }
    names.extend(EXTENSIONS);
    names
}

fn with_extra<T: Copy + PartialEq>(
    modern: &[T],
    extra: &[String],
    parse: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let mut names = modern.to_vec();
    for name in extra.iter().filter_map(|name| parse(name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn host_keys(pinned: &PublicKey) -> Vec<Algorithm> {
    match pinned.algorithm() {
        Algorithm::Rsa { .. } => [Some(HashAlg::Sha512), Some(HashAlg::Sha256), None]
            .into_iter()
            .map(|hash| Algorithm::Rsa { hash })
            .collect(),
        other => vec![other],
    }
}
