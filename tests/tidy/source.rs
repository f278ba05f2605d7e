//! The files of the repository, and Rust text without what is no code.

use std::path::{Path, PathBuf};

/// The longest file that is read; nothing that is kept by hand is longer.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A text file of the repository.
#[derive(Debug)]
pub(crate) struct File {
    /// The path from the top, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }
}

pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Whether a path is that of a test: a file under `tests/`, or a module `tests`.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Returns the names at the top that are no part of the repository.
pub(crate) fn ignored() -> Vec<String> {
    let text = std::fs::read_to_string(top().join(".gitignore")).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix('/'));
    names.map(|name| name.trim_end_matches('/').to_owned()).chain([".git".to_owned()]).collect()
}

/// Reads all text files of the repository, in the order of their paths.
pub(crate) fn repository() -> Vec<File> {
    let (top, ignored) = (top(), ignored());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&top).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !ignored.contains(&name) {
            read(&top, &entry.path(), &mut files);
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn read(top: &Path, path: &Path, files: &mut Vec<File>) {
    let about = path.symlink_metadata().unwrap();
    if about.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            read(top, &entry.unwrap().path(), files);
        }
    } else if about.is_file() && about.len() <= BYTES_MAX {
        // Binary files have no rules.
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let path = path.strip_prefix(top).unwrap().to_string_lossy().replace('\\', "/");
        files.push(File { path, text });
    }
}

/// Returns Rust text with comments and the contents of literals blanked; lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = blank_to(&chars, at);
        if end > at {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Returns the end of the comment or literal that begins at `at`, or `at`.
fn blank_to(chars: &[char], at: usize) -> usize {
    let next = |ahead: usize| chars.get(at + ahead).copied();
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == Some('/') => find(chars, at, |rest| rest[0] == '\n'),
        '/' if next(1) == Some('*') => block_comment(chars, at),
        '"' => quoted(chars, at + 1, '"'),
        'r' if !in_word => raw(chars, at, 1),
        'b' | 'c' if !in_word && next(1) == Some('r') => raw(chars, at, 2),
        '\'' if next(1) == Some('\\') || next(2) == Some('\'') => quoted(chars, at + 1, '\''),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, is_it: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| is_it(&chars[*at..])).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0_usize, from);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of a raw string whose hashes begin `prefix` characters after `at`, or `at`.
fn raw(chars: &[char], at: usize, prefix: usize) -> usize {
    let hashes = chars[at + prefix..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + prefix + hashes) != Some(&'"') {
        return at;
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    let end = find(chars, at + prefix + hashes + 1, |rest| rest.starts_with(&close));
    (end + close.len()).min(chars.len())
}

/// Returns code with the modules and functions that only tests have blanked. Takes the result of
/// [`code`].
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    while let Some(from) = out.find(MARK) {
        let length = item_length(&out[from..]);
        let blank: String =
            out[from..from + length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(from..from + length, &blank);
    }
    out
}

/// The bytes of the first item: to its `;`, or to the end of its braces.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Returns `path:line: ` for each line of `text` that `is_it`.
pub(crate) fn lines_where<'a>(
    path: &'a str,
    text: &'a str,
    is_it: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = String> + 'a {
    let numbered = (1..).zip(text.lines());
    numbered
        .filter(move |(_number, line)| is_it(line))
        .map(move |(number, line)| format!("{path}:{number}: {}", line.trim()))
}

#[test]
fn comments_and_literals_are_no_code() {
    let text =
        "a(\"x // \\\" y\") // b\n/* c /* d */ e */ f('\\'', b'\"', 'g') r#\"h \" \"# 'static";
    let expect = "a(           )     \n                  f(    , b   ,    )           'static";
    assert_eq!(code(text), expect);
}

#[test]
fn test_modules_are_cut_out() {
    let text =
        "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { c() } }\n#[cfg(test)]\nmod d;\nfn e() {}";
    let code = without_tests(text);
    assert!(code.contains("fn a") && code.contains("fn e"));
    assert!(!code.contains("fn b") && !code.contains("mod d"));
}

#[test]
fn the_repository_is_found_whole() {
    let files = repository();
    let has = |path: &str| files.iter().any(|file| file.path == path);
    assert!(has("protocol/src/credential.rs") && has("tests/tidy.rs") && has("Cargo.toml"));
    assert!(!files.iter().any(|file| file.path.starts_with("target/")));
}
