use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const ZERO: &str = "00000000-0000-0000-0000-000000000000";

fn named(group: &str, fabric: &str, profile: &str, device: Option<&str>) -> SecretName {
    let fabric = FabricId::new(ZERO, group, fabric).unwrap();
    let device = device.map(|device| ResourceName::new(device).unwrap());
    name(&fabric, &ProfileName::new(profile).unwrap(), device.as_ref())
}

fn check(group: &str, fabric: &str, profile: &str, device: Option<&str>, expect: &str) {
    let name = named(group, fabric, profile, device);
    assert!(name.as_str().len() <= NAME_CHARACTERS_MAX);
    assert_eq!(name.as_str(), format!("{ZERO}-{expect}"));
}

// The hashes were computed apart from this code, with Python's hashlib.
#[test]
fn names_have_the_documents_shape() {
    check(
        "exampleRG",
        "exampleFabric",
        "admin",
        None,
        "exampleRG-exampleFabric-admin-devicePassword-bf00a999",
    );
    check(
        "exampleRG",
        "exampleFabric",
        "TelcoRO14",
        None,
        "exampleRG-exampleFabric-TelcoRO14-devicePassword-c07ac0bc",
    );
    check(
        "exampleRG",
        "exampleFabric",
        "admin",
        Some("ce-01"),
        "exampleRG-exampleFabric-admin-devicePassword-199ba327",
    );
    check(
        "exampleRG",
        "exampleFabric",
        "admin",
        Some("ce-02"),
        "exampleRG-exampleFabric-admin-devicePassword-8d794bea",
    );
}

#[test]
fn illegal_characters_become_hyphens_one_each() {
    check("a_b.c(d)", "lab_1", "admin", None, "a-b-c-d--lab-1-admin-devicePassword-6f3dac01");
    check("Grün-東京", "lab_1", "telco_ro", None, "Gr-n----lab-1-telco-ro-devicePassword-1583925d");
}

#[test]
fn names_are_cut_only_when_they_are_over_127_characters() {
    // 59 characters are left for group and fabric beside `admin`.
    let (group, fabric) = ("g".repeat(29), "f".repeat(30));
    check(
        &group,
        &fabric,
        "admin",
        None,
        &format!("{group}-{fabric}-admin-devicePassword-f6ef1904"),
    );
    assert_eq!(named(&group, &fabric, "admin", None).as_str().len(), 127);
    // One more on either side.
    check(
        &"g".repeat(30),
        &fabric,
        "admin",
        None,
        &format!("{group}-{fabric}-admin-devicePassword-8671fefb"),
    );
    check(
        &group,
        &"f".repeat(31),
        "admin",
        None,
        &format!("{group}-{fabric}-admin-devicePassword-7039ec11"),
    );
    // A short part leaves its room to the long one.
    check(
        "rg",
        &"f".repeat(128),
        "admin",
        None,
        &format!("rg-{}-admin-devicePassword-4e4736ae", "f".repeat(57)),
    );
    check(
        &"g".repeat(90),
        "lab",
        "admin",
        None,
        &format!("{}-lab-admin-devicePassword-bd74cc95", "g".repeat(56)),
    );
    // The longest inputs that there are.
    check(
        &"g".repeat(90),
        &"f".repeat(128),
        &"u".repeat(32),
        None,
        &format!(
            "{}-{}-{}-devicePassword-29dc5565",
            "g".repeat(16),
            "f".repeat(16),
            "u".repeat(32)
        ),
    );
}

#[test]
fn names_that_read_the_same_differ_by_their_hash() {
    let pairs = [
        (named("a-b", "cde", "admin", None), named("a", "b-cde", "admin", None)),
        (named("a_b", "cde", "admin", None), named("a-b", "cde", "admin", None)),
        (named("rg", "lab", "admin", None), named("rg", "lab", "admin", Some("ce-01"))),
        (named("rg", "lab", "admin", Some("ce-01")), named("rg", "lab", "admin", Some("ce-02"))),
        (
            named(&"g".repeat(89), "lab", "admin", None),
            named(&"g".repeat(90), "lab", "admin", None),
        ),
        // Ids compare without ASCII case only, so these are two fabrics.
        (named("grün", "lab", "admin", None), named("grÜn", "lab", "admin", None)),
    ];
    for (one, other) in pairs {
        let head = |name: &SecretName| name.as_str()[..name.as_str().len() - 8].to_owned();
        assert_eq!(head(&one), head(&other));
        assert_ne!(one, other);
    }
}

#[test]
fn inputs_that_differ_in_case_only_give_one_name() {
    let lower = named("rg", "lab", "admin", Some("ce-01"));
    let upper = named("RG", "LAB", "ADMIN", Some("CE-01"));
    assert_ne!(lower.as_str(), upper.as_str());
    assert_eq!(lower, upper);
    assert_eq!(lower.cmp(&upper), Ordering::Equal);
    assert_eq!(HashSet::from([lower, upper]).len(), 1);
}

#[test]
fn only_legal_names_are_read_back() {
    let name = named("rg", "lab", "admin", None);
    let json = serde_json::to_string(&name).unwrap();
    assert_eq!(serde_json::from_str::<SecretName>(&json).unwrap(), name);
    for text in ["", "a b", "a/b", "é", &"a".repeat(128)] {
        assert_eq!(SecretName::try_from(text.to_owned()).unwrap_err(), NameError, "{text}");
    }
}

#[test]
fn two_secrets_of_one_name_are_found_before_they_are_made() {
    let fabric = FabricId::new(ZERO, "rg", "lab").unwrap();
    let profile = ProfileName::new("admin").unwrap();
    let devices: Vec<ResourceName> =
        (0..200_000).map(|n| ResourceName::new(&format!("ce-{n}")).unwrap()).collect();
    let few = devices.iter().take(100).map(|device| (&profile, Some(device)));
    assert_eq!(check_distinct(&fabric, few.clone().chain(few)), Ok(()));
    let error = check_distinct(&fabric, devices.iter().map(|device| (&profile, Some(device))));
    let error = error.unwrap_err();
    assert!(error.first.starts_with("admin of ce-"), "{error}");
    assert_ne!(error.first, error.second);
}

proptest! {
    #[test]
    fn names_are_always_legal_and_depend_on_their_inputs_alone(
        group in "[\\p{L}0-9_.()-]{0,89}[a-zA-Z0-9_]",
        fabric in "[a-zA-Z][a-zA-Z0-9_-]{2,127}",
        profile in "[a-zA-Z][a-zA-Z0-9_-]{0,31}",
        device in proptest::option::of("[a-zA-Z][a-zA-Z0-9_-]{2,127}"),
    ) {
        let one = named(&group, &fabric, &profile, device.as_deref());
        let text = one.as_str().to_owned();
        prop_assert!((1..=NAME_CHARACTERS_MAX).contains(&text.len()));
        prop_assert!(text.chars().all(is_legal));
        let again = named(&group, &fabric, &profile, device.as_deref());
        prop_assert_eq!(&text, again.as_str());
        let upper = |text: &str| text.to_ascii_uppercase();
        let other = named(&upper(&group), &upper(&fabric), &upper(&profile), device.as_deref());
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(SecretName::try_from(text).unwrap(), one);
    }

    #[test]
    fn other_inputs_give_other_names(
        one in ("[a-c-]{1,4}", "[a-c][a-c-]{2,4}", "[a-c]{1,2}"),
        other in ("[a-c-]{1,4}", "[a-c][a-c-]{2,4}", "[a-c]{1,2}"),
    ) {
        let name = |(group, fabric, profile): &(String, String, String)| {
            named(group, fabric, profile, None)
        };
        prop_assert_eq!(one == other, name(&one) == name(&other));
    }
}

#[test]
fn every_probe_has_a_name_of_its_own() {
    let fabric = FabricId::new(ZERO, "exampleRG", "exampleFabric").unwrap();
    let (one, other) = (probe(&fabric, "1"), probe(&fabric, "2"));
    assert_ne!(one, other);
    assert!(one.as_str().contains("-keyturn-probe-devicePassword-"), "{one}");
    assert_eq!(one, probe(&fabric, "1"));
}
