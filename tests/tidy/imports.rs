//! Which paths a Rust text mentions: in `use` trees and in expressions alike.

/// Returns every path in `code` (see [`crate::source::code`]) that begins with one of `roots`, with
/// groups unfolded: `use crate::{a, b::c}` mentions `crate::a` and `crate::b::c`.
pub(crate) fn mentions(code: &str, roots: &[&str]) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let goes_on = tokens.get(at + 1).is_some_and(|next| next == "::");
        let begins = at == 0 || tokens[at - 1] != "::";
        if goes_on && begins && roots.contains(&token.as_str()) {
            unfold(&tokens, at, &[], &mut found);
        }
    }
    found
}

/// Unfolds the tree that begins at `at` and returns where it ends.
fn unfold(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    out: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = unfold(tokens, at, &path, out);
                    let ends = |token: &String| token == "," || token == "}";
                    at += tokens[at..].iter().take_while(|token| !ends(token)).count();
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            Some(word) if is_word(word) => {
                path.push(word.to_owned());
                at += 1;
            }
            _ => break,
        }
        if tokens.get(at).map(String::as_str) != Some("::") {
            break;
        }
        at += 1;
    }
    out.push(path);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The module that a file is, from its crate's root: `plan/guard.rs` is `["plan", "guard"]`.
pub(crate) fn module(path_in_src: &str) -> Vec<&str> {
    let path = path_in_src.strip_suffix(".rs").unwrap_or(path_in_src);
    path.split('/').filter(|part| *part != "lib").collect()
}

/// The top-level module of its crate that a path leads to, if it leaves `module` at all.
pub(crate) fn top_module<'a>(module: &[&str], path: &'a [String]) -> Option<&'a str> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let target = match path.first().map(String::as_str) {
        Some("crate") => path.get(1),
        Some("super") if supers >= module.len() => path.get(supers),
        _ => None,
    };
    target.map(String::as_str)
}

#[test]
fn use_trees_and_expressions_are_unfolded() {
    let code = "use crate::{a, b::{c, d::*}, e as f}; fn g() { crate::h::i::<J>(super::super::k) }";
    let found: Vec<String> =
        mentions(code, &["crate", "super"]).iter().map(|path| path.join("::")).collect();
    let expect =
        ["crate::a", "crate::b::c", "crate::b::d", "crate::e", "crate::h::i", "super::super::k"];
    assert_eq!(found, expect);
}

#[test]
fn parents_are_followed_to_the_root() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<String>>();
    let check = |file: &str, of: &str, expect: Option<&str>| {
        assert_eq!(top_module(&module(file), &path(of)), expect, "{file} {of}");
    };
    check("plan.rs", "super::edge::arm", Some("edge"));
    check("plan/guard.rs", "super::Policy", None);
    check("plan/guard.rs", "super::super::edge", Some("edge"));
    check("plan/guard.rs", "crate::model::Fabric", Some("model"));
    check("plan/guard.rs", "self::row", None);
}
