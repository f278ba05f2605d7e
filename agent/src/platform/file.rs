//! The file's own types, and how they become a checked [`Platform`].

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::duration::Span;
use super::error::{PlatformError, Problem, nearest};
use super::graph::{Edge, ModeId, way};
use super::limits::{Limits, Lockout, LockoutScope};
use super::operation::{Answer, Operation, OperationKind, Step};
use super::pattern::Pattern;
use super::row;
use super::slot::{Slot, Template};
use super::{LoginPatterns, Mode, Platform, Ssh};

/// Algorithm names that the SSH library has beyond those it offers by itself.
const KEY_EXCHANGE: [&str; 6] = [
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group1-sha1",
];
const CIPHERS: [&str; 4] = ["aes128-gcm@openssh.com", "aes256-cbc", "aes192-cbc", "aes128-cbc"];
const MACS: [&str; 2] = ["hmac-sha1-etm@openssh.com", "hmac-sha1"];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PlatformFile {
    name: String,
    #[serde(default)]
    pipeline: bool,
    #[serde(default = "settle_default")]
    settle: Span,
    #[serde(default)]
    failures: Vec<Pattern>,
    continuation: Option<Pattern>,
    #[serde(default)]
    ssh: SshFile,
    login: LoginFile,
    limits: LimitsFile,
    modes: Vec<ModeFile>,
    #[serde(default)]
    edges: Vec<EdgeFile>,
    operations: BTreeMap<OperationKind, Spanned<OperationFile>>,
}

fn settle_default() -> Span {
    Span(Duration::from_millis(200))
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SshFile {
    #[serde(default)]
    exec: bool,
    #[serde(default)]
    key_exchange: Vec<Spanned<String>>,
    #[serde(default)]
    ciphers: Vec<Spanned<String>>,
    #[serde(default)]
    macs: Vec<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LoginFile {
    name: Pattern,
    password: Pattern,
    rejected: Pattern,
    locked: Pattern,
    expired: Pattern,
    wake: Pattern,
    pager: Pattern,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LimitsFile {
    password_length_min: usize,
    password_length_max: usize,
    #[serde(default)]
    password_forbidden: String,
    hash_kinds: Vec<String>,
    sessions_max: usize,
    command_max: Span,
    commit_timer: Option<Span>,
    lockout: Option<LockoutFile>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LockoutFile {
    failures_max: u32,
    window: Span,
    scope: LockoutScope,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ModeFile {
    name: Spanned<String>,
    prompt: Pattern,
    #[serde(default)]
    exclude: Vec<String>,
    exact: Option<Spanned<String>>,
    leave: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct EdgeFile {
    from: Spanned<String>,
    to: Spanned<String>,
    steps: Vec<Spanned<StepFile>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct OperationFile {
    mode: Option<Spanned<String>>,
    steps: Vec<Spanned<StepFile>>,
    #[serde(default)]
    rows: Vec<Spanned<Pattern>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StepFile {
    send: Template,
    #[serde(default)]
    each: bool,
    stdin: Option<Template>,
    to: Option<Spanned<String>>,
    expect: Option<Pattern>,
    #[serde(default)]
    failures: Vec<Pattern>,
    #[serde(default)]
    answers: Vec<AnswerFile>,
    #[serde(default)]
    commits: bool,
    time_max: Option<Span>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AnswerFile {
    prompt: Pattern,
    with: Template,
}

/// Parses and checks a platform file.
pub(super) fn parse(file: &str, text: &str) -> Result<Platform, PlatformError> {
    let source = Source { file, text };
    let raw: PlatformFile = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        source.wrong(offset, Problem::from_message(error.message()))
    })?;
    source.build(raw)
}

/// A file being checked: places problems in it.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn wrong(&self, offset: usize, problem: Problem) -> PlatformError {
        PlatformError::at(self.file, self.text, offset, problem)
    }

    fn expected(&self, offset: usize, key: &str, expected: String) -> PlatformError {
        self.wrong(offset, Problem { key: Some(key.to_owned()), expected, nearest: None })
    }

    fn build(&self, raw: PlatformFile) -> Result<Platform, PlatformError> {
        let PlatformFile { modes, edges, operations, failures, .. } = raw;
        let modes = self.modes(modes)?;
        let edges = self.edges(edges, &modes)?;
        let platform = Platform {
            name: raw.name,
            file: self.file.to_owned(),
            pipeline: raw.pipeline,
            settle: raw.settle.0,
            ssh: self.ssh(raw.ssh)?,
            login: raw.login.into(),
            limits: raw.limits.into(),
            failures: failures.into(),
            continuation: raw.continuation,
            operations: self.operations(operations, &modes)?,
            modes,
            edges,
        };
        self.check(&platform)?;
        Ok(platform)
    }

    fn ssh(&self, raw: SshFile) -> Result<Ssh, PlatformError> {
        Ok(Ssh {
            exec: raw.exec,
            key_exchange: self.names(raw.key_exchange, "key-exchange", &KEY_EXCHANGE)?,
            ciphers: self.names(raw.ciphers, "ciphers", &CIPHERS)?,
            macs: self.names(raw.macs, "macs", &MACS)?,
        })
    }

    fn names(
        &self,
        given: Vec<Spanned<String>>,
        key: &str,
        right: &[&str],
    ) -> Result<Vec<String>, PlatformError> {
        given.into_iter().map(|name| self.one_of(name, key, right)).collect()
    }

    fn one_of(
        &self,
        given: Spanned<String>,
        key: &str,
        right: &[&str],
    ) -> Result<String, PlatformError> {
        let offset = given.span().start;
        let name = given.into_inner();
        if right.contains(&name.as_str()) {
            return Ok(name);
        }
        let expected = format!("unknown name `{name}`, expected one of {}", right.join(", "));
        let nearest = nearest(&name, right.iter().copied());
        Err(self.wrong(offset, Problem { key: Some(key.to_owned()), expected, nearest }))
    }

    fn modes(&self, raw: Vec<ModeFile>) -> Result<Vec<Mode>, PlatformError> {
        let mut modes: Vec<Mode> = Vec::with_capacity(raw.len());
        for mode in raw {
            let offset = mode.name.span().start;
            let name = mode.name.into_inner();
            if modes.iter().any(|earlier| earlier.name == name) {
                return Err(self.expected(offset, "name", format!("mode `{name}` is given twice")));
            }
            let exact = mode.exact.map(|exact| self.exact(&exact)).transpose()?;
            modes.push(Mode {
                name,
                prompt: mode.prompt,
                exclude: mode.exclude.into(),
                exact,
                leave: mode.leave,
            });
        }
        Ok(modes)
    }

    /// Takes the host's name off a pattern, so that the rest is compiled once for all devices.
    fn exact(&self, exact: &Spanned<String>) -> Result<Pattern, PlatformError> {
        let behind = exact.get_ref().strip_prefix("^{host}");
        let pattern = behind.and_then(|behind| Pattern::new(&format!("^(?:{behind})")).ok());
        pattern.ok_or_else(|| {
            let expected = "expected an ASCII byte pattern that begins with `^{host}`";
            self.expected(exact.span().start, "exact", expected.to_owned())
        })
    }

    fn mode(&self, name: Spanned<String>, modes: &[Mode]) -> Result<ModeId, PlatformError> {
        let names: Vec<&str> = modes.iter().map(|mode| mode.name.as_str()).collect();
        let name = self.one_of(name, "mode", &names)?;
        Ok(ModeId(names.iter().position(|known| *known == name).unwrap_or_default()))
    }

    fn edges(&self, raw: Vec<EdgeFile>, modes: &[Mode]) -> Result<Vec<Edge>, PlatformError> {
        raw.into_iter()
            .map(|edge| {
                let to = self.mode(edge.to, modes)?;
                let mut steps = self.steps(edge.steps, modes)?;
                if let Some(last) = steps.last_mut() {
                    last.to = Some(to);
                }
                Ok(Edge { from: self.mode(edge.from, modes)?, to, steps })
            })
            .collect()
    }

    fn operations(
        &self,
        raw: BTreeMap<OperationKind, Spanned<OperationFile>>,
        modes: &[Mode],
    ) -> Result<BTreeMap<OperationKind, Operation>, PlatformError> {
        let mut operations = BTreeMap::new();
        for (kind, operation) in raw {
            let offset = operation.span().start;
            let operation = operation.into_inner();
            let rows = self.rows(operation.rows)?;
            let operation = Operation {
                mode: operation.mode.map(|mode| self.mode(mode, modes)).transpose()?,
                steps: self.steps(operation.steps, modes)?,
                rows,
            };
            let commits = operation.steps.iter().any(|step| step.commits);
            if kind.commits() && !commits {
                let expected = "expected a step with `commits = true`".to_owned();
                return Err(self.expected(offset, kind.as_str(), expected));
            }
            operations.insert(kind, operation);
        }
        Ok(operations)
    }

    fn rows(&self, raw: Vec<Spanned<Pattern>>) -> Result<Vec<Pattern>, PlatformError> {
        let mut rows = Vec::with_capacity(raw.len());
        for pattern in raw {
            let offset = pattern.span().start;
            let pattern = pattern.into_inner();
            for group in pattern.capture_names().flatten() {
                let group = Spanned::new(offset..offset, group.to_owned());
                self.one_of(group, "rows", &row::GROUPS)?;
            }
            rows.push(pattern);
        }
        Ok(rows)
    }

    fn steps(
        &self,
        raw: Vec<Spanned<StepFile>>,
        modes: &[Mode],
    ) -> Result<Vec<Step>, PlatformError> {
        raw.into_iter().map(|step| self.step(step, modes)).collect()
    }

    fn step(&self, raw: Spanned<StepFile>, modes: &[Mode]) -> Result<Step, PlatformError> {
        let offset = raw.span().start;
        let raw = raw.into_inner();
        if let Some(slot) = raw.send.slots().find(|slot| slot.is_per_account() && !raw.each) {
            let expected = format!("slot `{{{}}}` needs `each = true`", slot.as_str());
            return Err(self.expected(offset, "send", expected));
        }
        if raw.send.slots().any(|slot| matches!(slot, Slot::New | Slot::Enable)) {
            let expected = "a password in the clear goes into `stdin` or an answer, never a line";
            return Err(self.expected(offset, "send", expected.to_owned()));
        }
        let answers = raw.answers.into_iter();
        Ok(Step {
            send: raw.send,
            each: raw.each,
            stdin: raw.stdin,
            to: raw.to.map(|mode| self.mode(mode, modes)).transpose()?,
            expect: raw.expect,
            failures: raw.failures.into(),
            answers: answers.map(|a| Answer { prompt: a.prompt, with: a.with }).collect(),
            commits: raw.commits,
            time_max: raw.time_max.map(|span| span.0),
        })
    }

    /// Checks what only the whole file shows.
    fn check(&self, platform: &Platform) -> Result<(), PlatformError> {
        for kind in OperationKind::REQUIRED {
            if platform.operation(kind).is_none() {
                let expected = format!("expected an operation `{}`", kind.as_str());
                return Err(self.expected(self.text.len(), "operations", expected));
            }
        }
        let names = |id: ModeId| platform.mode(id).map_or("", |mode| mode.name.as_str());
        let starts = platform.operations.values().filter_map(|operation| operation.mode);
        for goal in starts {
            for from in (0..platform.modes.len()).map(ModeId) {
                if way(&platform.edges, from, goal).is_none() {
                    let (from, goal) = (names(from), names(goal));
                    let expected = format!("expected edges that lead from `{from}` to `{goal}`");
                    return Err(self.expected(self.text.len(), "edges", expected));
                }
            }
        }
        let needs_shell = platform.operations.values().flat_map(|operation| &operation.steps);
        if platform.continuation.is_none() && needs_shell.into_iter().any(|s| s.stdin.is_some()) {
            let expected = "expected `continuation`, since a step has `stdin`".to_owned();
            return Err(self.expected(0, "continuation", expected));
        }
        Ok(())
    }
}

impl From<LoginFile> for LoginPatterns {
    fn from(raw: LoginFile) -> Self {
        Self {
            name: raw.name,
            password: raw.password,
            rejected: raw.rejected,
            locked: raw.locked,
            expired: raw.expired,
            wake: raw.wake,
            pager: raw.pager,
        }
    }
}

impl From<LimitsFile> for Limits {
    fn from(raw: LimitsFile) -> Self {
        Self {
            password_length_min: raw.password_length_min,
            password_length_max: raw.password_length_max,
            password_forbidden: raw.password_forbidden,
            hash_kinds: raw.hash_kinds,
            sessions_max: raw.sessions_max,
            command_max: raw.command_max.0,
            commit_timer: raw.commit_timer.map_or(Duration::from_secs(300), |span| span.0),
            lockout: raw.lockout.map(|lockout| Lockout {
                failures_max: lockout.failures_max,
                window: lockout.window.0,
                scope: lockout.scope,
            }),
        }
    }
}
