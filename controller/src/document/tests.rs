use super::*;

const TEXT: &str = "title = \"lab\"
[limits]
length = 24
flags = [true, 7]
[[devices]]
name = \
                    \"é\", x = 1
";

fn check(text: &str, expect: &str) {
    let read = || -> Result<(), DocumentError> {
        let mut top =
            parse("lab.toml", text)?.table("the file", &["title", "limits", "devices"])?;
        if let Some(limits) = top.optional("limits") {
            let mut limits = limits.table("limits", &["length", "flags"])?;
            limits.required("length", "a length")?.number("a length", 1, 32)?;
            if let Some(flags) = limits.optional("flags") {
                for flag in flags.list("a list of flags")? {
                    flag.boolean()?;
                }
            }
        }
        for device in top.optional("devices").map_or(Ok(Vec::new()), |d| d.list("devices"))? {
            let mut device = device.table("a device", &["name", "role"])?;
            device.required("name", "a name")?.text("a name")?;
            if let Some(role) = device.optional("role") {
                role.choice("a role", &[("CE", 1), ("ToR", 2)])?;
            }
        }
        Ok(())
    };
    assert_eq!(read().map_err(|error| error.to_string()), Err(expect.to_owned()));
}

#[test]
fn errors_name_place_key_expected_and_got() {
    check(
        TEXT,
        "read lab.toml, line 6, column 11: expected TOML, got unexpected key or value, expected \
         newline, `#`",
    );
    let cases = [
        (
            "[limits]\nlength = 99",
            "line 2, column 10, key `limits.length`: expected a length, 1 to 32, got 99",
        ),
        (
            "[limits]\nlength = -1",
            "line 2, column 10, key `limits.length`: expected a length, 1 to 32, got -1",
        ),
        (
            "[limits]\nlength = 1.5",
            "line 2, column 10, key `limits.length`: expected a length, 1 to 32, got a number \
             with a point",
        ),
        (
            "[limits]\nflags = []",
            "line 1, column 1, key `limits.length`: expected a length, got nothing: the key is \
             missing",
        ),
        ("limits = 3", "line 1, column 10, key `limits`: expected a table: limits, got 3"),
        (
            "[limits]\nlength = 3\nflags = [true,\n  7]",
            "line 4, column 3, key `limits.flags[1]`: expected true or false, got 7",
        ),
        (
            "[limits]\nlenght = 3",
            "line 2, column 1, key `limits.lenght`: expected a key of limits, got `lenght`; did \
             you mean `length`?",
        ),
        (
            "[limits]\nzzz = 3",
            "line 2, column 1, key `limits.zzz`: expected a key of limits, got `zzz`",
        ),
        (
            "[[devices]]\nname = \"a\"\n\n[[devices]]\nname = 1979-05-27",
            "line 5, column 8, key `devices[1].name`: expected a name, got a date or time",
        ),
        (
            "[[devices]]\nname = \"a\"\n\n[[devices]]\nrole = \"CE\"",
            "line 4, column 1, key `devices[1].name`: expected a name, got nothing: the key is \
             missing",
        ),
        (
            "[[devices]]\nname = \"a\"\nrole = \"TOR\"",
            "line 3, column 8, key `devices[0].role`: expected a role, got `TOR`; did you mean \
             `ToR`?",
        ),
        ("\"a b\" = 1", "line 1, column 1, key `\"a b\"`: expected a key of the file, got `a b`"),
    ];
    for (text, expect) in cases {
        check(text, &format!("read lab.toml, {expect}"));
    }
}

#[test]
fn columns_count_characters() {
    check(
        "[[devices]]\nname = \"a\"\n\"é\" = 1",
        "read lab.toml, line 3, column 1, key `devices[0].\"é\"`: expected a key of a device, got \
         `é`",
    );
    let value = parse("f", "a = { \"é\" = 1, b = 2 }").unwrap();
    let error = value.table("it", &["a"]).unwrap().optional("a").unwrap().table("a", &["é"]);
    assert_eq!((error.as_ref().unwrap_err().line(), error.unwrap_err().column()), (1, 16));
}

#[test]
fn a_hint_lists_the_right_names() {
    let error = parse("f", "naem = 1").unwrap().table("it", &["name", "role"]).unwrap_err();
    assert_eq!(error.nearest(), Some("name"));
    assert_eq!(error.hint(), Some("use one of `name`, `role`"));
}

#[test]
fn a_file_with_passwords_never_shows_a_value() {
    const SECRET: &str = "Canary-Pass.77";
    let texts = [
        format!("admin = {SECRET}"),
        format!("admin = \"{SECRET}"),
        format!("admin = \"{SECRET}\" x"),
        format!("admin = '{SECRET}'\nadmin = '{SECRET}'"),
        format!("admin = [\"{SECRET}\"]"),
        SECRET.to_owned(),
    ];
    for text in texts {
        let read = |text: &str| {
            let mut table = parse_secret("p", text)?.table("it", &["admin"])?;
            table.required("admin", "x")?.boolean()
        };
        let error = read(&text).unwrap_err();
        let all = format!("{error} {error:?} {:?}", error.hint());
        assert!(!all.contains("Canary"), "{all}");
    }
    let value = parse_secret("p", "admin = 'Canary-Pass.77'").unwrap();
    let admin = value.table("it", &["admin"]).unwrap().optional("admin").unwrap();
    assert_eq!(
        admin.unexpected("a password").to_string(),
        "read p, line 1, column 9, key `admin`: expected a password, got another text"
    );
}

#[test]
fn texts_of_any_depth_and_shape_are_read_or_refused() {
    let texts = [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        "\u{feff}a = 1".to_owned(),
        "a = 9223372036854775808".to_owned(),
        "\0".to_owned(),
    ];
    for text in texts {
        let _read_or_refused = parse("f", &text).map(|_value| ());
    }
}
