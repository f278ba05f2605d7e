use std::collections::HashSet;

use protocol::id::ProfileName;

use super::*;
use crate::template::{CharacterClass, PasswordPolicy, PlatformLimits, SecretsTemplate};

const SAMPLES: usize = 4_000;

fn profile() -> ProfileName {
    ProfileName::new("admin").unwrap()
}

fn rules(policy: &PasswordPolicy, platforms: &[PlatformLimits]) -> PasswordRules {
    policy.fit(&profile(), &platforms.iter().collect::<Vec<_>>()).unwrap()
}

fn platform(lengths: (usize, usize), allowed: &str, first_letter_only: bool) -> PlatformLimits {
    PlatformLimits {
        platform: "x".to_owned(),
        length_min: lengths.0,
        length_max: lengths.1,
        allowed: allowed.to_owned(),
        first_letter_only,
        hash_kinds: Vec::new(),
    }
}

#[test]
fn passwords_satisfy_the_policy_and_every_platform() {
    let loose = PasswordPolicy { letter_first: false, ..PasswordPolicy::default() };
    let all = CharacterClass::ALL.to_vec();
    let symbols = PasswordPolicy { required: all, length: 30, ..loose.clone() };
    let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHJKLM";
    let cases = [
        (PasswordPolicy::default(), platform((16, 25), &format!("{letters}0123456789?!$"), true)),
        (loose.clone(), platform((24, 24), &format!("{letters}01._-"), true)),
        (symbols, platform((1, 99), &format!("{letters}0_"), false)),
        (
            PasswordPolicy { excluded: "abc".to_owned(), length: 200, ..loose },
            platform((200, 256), &format!("{letters}789"), false),
        ),
    ];
    for (policy, platform) in cases {
        let rules = rules(&policy, std::slice::from_ref(&platform));
        for _ in 0..SAMPLES / 4 {
            let password = password(&rules).unwrap();
            let text = password.expose();
            assert!(rules.admit(text));
            assert!((platform.length_min..=platform.length_max).contains(&text.len()));
            assert_eq!(text.len(), policy.length);
            assert!(text.chars().all(|c| platform.allowed.contains(c)));
            assert!(!text.chars().any(|c| policy.excluded.contains(c)));
            assert!(policy.required.iter().all(|class| text.chars().any(|c| class.has(c))));
            let letter_first = policy.letter_first || platform.first_letter_only;
            assert!(!letter_first || text.starts_with(|c: char| c.is_ascii_alphabetic()));
        }
    }
}

#[test]
fn every_profile_of_the_built_in_template_gets_passwords_that_no_one_else_has() {
    let template = SecretsTemplate::builtin().unwrap();
    let mut seen = HashSet::new();
    for profile in &template.profiles {
        let rules = rules(&profile.policy, &[]);
        for _ in 0..50 {
            assert!(seen.insert(password(&rules).unwrap().expose().to_owned()));
        }
    }
    assert_eq!(seen.len(), 22 * 50);
}

/// Chi-square of how often each character came, over its degrees of freedom.
fn unevenness(counts: &[usize]) -> f64 {
    let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    let sum: f64 = counts.iter().map(|count| (*count as f64 - mean).powi(2) / mean).sum();
    sum / (counts.len() - 1) as f64
}

#[test]
fn no_character_is_likelier_than_another() {
    let policy = PasswordPolicy { required: Vec::new(), ..PasswordPolicy::default() };
    let rules = rules(&policy, &[]);
    let mut first = vec![0; rules.first().len()];
    let mut rest = vec![0; rules.rest().len()];
    for _ in 0..SAMPLES {
        let password = password(&rules).unwrap();
        let (head, tail) = password.expose().split_at(1);
        first[rules.first().find(head).unwrap()] += 1;
        tail.chars().for_each(|c| rest[rules.rest().find(c).unwrap()] += 1);
    }
    // For 51 and 64 degrees of freedom a value over 2 comes less than once in 100,000 runs; a
    // remainder of 256 by 65 would give over 20 for the later characters.
    assert!(unevenness(&first) < 2.0, "{first:?}");
    assert!(unevenness(&rest) < 2.0, "{rest:?}");
}

#[test]
fn values_that_would_favour_some_characters_are_rejected() {
    // 256 = 3 × 65 + 61: 195 to 255 must not be taken.
    let policy = PasswordPolicy { letter_first: false, required: vec![], ..Default::default() };
    let rules = rules(&policy, &[]);
    let mut next = [255, 195, 254, 0, 194, 64, 65, 129, 130].into_iter().cycle();
    let password = draw(&rules, |bytes| {
        bytes.fill_with(|| next.next().unwrap());
        Ok(())
    });
    let expect: String = "A--A-A".chars().cycle().take(24).collect();
    assert_eq!(password.unwrap().expose(), expect);
}

#[test]
fn a_candidate_without_a_required_class_is_thrown_away_whole() {
    let rules = rules(&PasswordPolicy::default(), &[]);
    // A candidate of `A` only, then one with all classes.
    let second = [0_u8, 26, 52].into_iter().chain([1; 21]);
    let mut next = [0_u8; 24].into_iter().chain(second).chain([0; 83]);
    let password = draw(&rules, |bytes| {
        bytes.fill_with(|| next.next().unwrap());
        Ok(())
    });
    assert_eq!(password.unwrap().expose(), "Aa0BBBBBBBBBBBBBBBBBBBBB");
}

#[test]
fn a_generator_that_fails_or_is_stuck_makes_no_password() {
    let rules = rules(&PasswordPolicy::default(), &[]);
    let failed = draw(&rules, |_| Err(GenerateError::Generator)).unwrap_err();
    assert_eq!(failed, GenerateError::Generator);
    let stuck = draw(&rules, |bytes| {
        bytes.fill(7);
        Ok(())
    });
    assert_eq!(stuck.unwrap_err(), GenerateError::Rules);
}
