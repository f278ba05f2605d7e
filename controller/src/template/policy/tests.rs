use super::*;
use crate::error::Fault;

const SAFE: &str = ALPHABET;

fn profile() -> ProfileName {
    ProfileName::new("admin").unwrap()
}

fn platform(name: &str, lengths: (usize, usize), allowed: &str) -> PlatformLimits {
    PlatformLimits {
        platform: name.to_owned(),
        length_min: lengths.0,
        length_max: lengths.1,
        allowed: allowed.to_owned(),
        first_letter_only: false,
        hash_kinds: vec!["sha512-crypt".to_owned()],
    }
}

fn check(policy: &PasswordPolicy, platforms: &[&PlatformLimits], error: &str, hint: &str) {
    let got = policy.fit(&profile(), platforms).unwrap_err();
    let lead = "fit the password policy of profile `admin` to";
    assert_eq!((got.to_string(), got.hint()), (format!("{lead} {error}"), hint.to_owned()));
    assert_eq!(got.fault(), Fault::Operator);
}

#[test]
fn the_default_policy_fits_what_every_known_device_takes() {
    let tightest = platform("any", (16, 25), SAFE);
    let rules = PasswordPolicy::default().fit(&profile(), &[&tightest]).unwrap();
    assert_eq!((rules.length(), rules.first().len(), rules.rest().len()), (24, 52, 65));
    assert!(rules.required().len() >= 3);
    assert!((144.0..144.3).contains(&rules.entropy_bits()), "{}", rules.entropy_bits());
}

#[test]
fn an_empty_intersection_names_profile_platform_and_numbers() {
    let policy = PasswordPolicy::default();
    check(
        &policy,
        &[&platform("old-ios", (1, 16), SAFE)],
        "platform `old-ios`: the policy makes 24 characters, the platform takes 1 to 16",
        "set `length` in the policy of `admin` to 1 to 16, or the limits in the platform's file",
    );
    check(
        &policy,
        &[&platform("pins", (1, 64), "0123456789")],
        "platform `pins`: the policy requires the class `upper`, of which 0 of 10 characters left \
         are",
        "take `upper` out of `require` in the policy of `admin`, or allow such characters",
    );
    let digits = PasswordPolicy { required: Vec::new(), ..policy.clone() };
    check(
        &digits,
        &[&platform("pins", (1, 64), "0123456789")],
        "platform `pins`: the first character must be a letter, and 0 of 10 characters left are",
        "exclude fewer letters in the policy of `admin`",
    );
    check(
        &digits,
        &[&platform("hex", (1, 64), "0123456789abcdef")],
        "platform `hex`: 24 characters out of 16 carry 94.6 bits, 128 are needed",
        "set `length` in the policy of `admin` to 33 or more",
    );
    check(
        &PasswordPolicy { letter_first: false, ..digits.clone() },
        &[&platform("none", (1, 64), "§¶é")],
        "platform `none`: 24 characters out of 0 carry 0.0 bits, 128 are needed",
        "exclude fewer characters in the policy of `admin`",
    );
}

#[test]
fn platforms_that_leave_nothing_only_together_are_all_named() {
    let policy = PasswordPolicy { required: Vec::new(), length: 64, ..PasswordPolicy::default() };
    let one = platform("one", (1, 64), "abcdefghi01234567");
    let other = platform("other", (1, 64), "hijklmnop01234567");
    let third = platform("third", (1, 64), SAFE);
    assert!(policy.fit(&profile(), &[&one, &third]).is_ok());
    check(
        &PasswordPolicy { required: vec![CharacterClass::Lower], length: 39, ..policy },
        &[&one, &other, &third],
        "platforms `one`, `other`, `third` together: 39 characters out of 10 carry 127.2 bits, \
         128 are needed",
        "set `length` in the policy of `admin` to 40 or more",
    );
}

#[test]
fn a_platform_may_ask_for_a_letter_first() {
    let policy = PasswordPolicy { letter_first: false, ..PasswordPolicy::default() };
    let free = platform("free", (8, 64), SAFE);
    let strict = PlatformLimits { first_letter_only: true, ..platform("strict", (8, 64), SAFE) };
    assert_eq!(policy.fit(&profile(), &[&free]).unwrap().first().len(), 65);
    assert_eq!(policy.fit(&profile(), &[&free, &strict]).unwrap().first().len(), 52);
}

#[test]
fn excluded_characters_are_left_out() {
    let policy = PasswordPolicy { excluded: "0O1lI-".to_owned(), ..PasswordPolicy::default() };
    let rules = policy.fit(&profile(), &[]).unwrap();
    assert_eq!((rules.first().len(), rules.rest().len()), (49, 59));
    assert!(!rules.admit("Il1-aaaaaaaaaaaaaaaaaaaa"));
}

fn rules(length: usize, first: &str, rest: &str, required: &[CharacterClass]) -> PasswordRules {
    let (first, rest) = (first.to_owned(), rest.to_owned());
    PasswordRules { length, first, rest, required: required.to_vec() }
}

/// Counts by trying every text.
fn counted(rules: &PasswordRules) -> usize {
    let mut texts: Vec<String> = rules.first.chars().map(String::from).collect();
    for _ in 1..rules.length {
        let longer = |text: &String| -> Vec<String> {
            rules.rest.chars().map(|c| format!("{text}{c}")).collect()
        };
        texts = texts.iter().flat_map(longer).collect();
    }
    texts.iter().filter(|text| rules.admit(text)).count()
}

#[test]
fn entropy_is_the_logarithm_of_the_number_of_passwords() {
    use CharacterClass::{Digit, Lower, Symbol, Upper};
    let cases = [
        rules(1, "a", "ab", &[]),
        rules(4, "ab", "abAB01", &[]),
        rules(4, "abA", "abAB01.", &[Lower]),
        rules(4, "abA", "abAB01.", &[Upper, Lower, Digit]),
        rules(5, "abA", "abA0.", &[Upper, Lower, Digit, Symbol]),
        rules(4, "ab", "aA0.", &[Upper, Lower, Digit, Symbol]),
    ];
    for case in cases {
        let expect = (counted(&case) as f64).log2();
        assert!((case.entropy_bits() - expect).abs() < 1e-9, "{case:?}: {expect}");
    }
    // Too short for its classes: no password at all.
    assert!(rules(2, "aA", "aA0.", &[Upper, Lower, Digit]).entropy_bits() < 1.0);
}

#[test]
fn the_longest_policy_is_computed_without_overflow() {
    let policy = PasswordPolicy { length: 256, ..PasswordPolicy::default() };
    let bits = policy.fit(&profile(), &[]).unwrap().entropy_bits();
    assert!((1541.0..1542.0).contains(&bits), "{bits}");
}
