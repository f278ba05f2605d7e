//! The table in `credential.table`: representative states of every phase, and what each event does
//! to them. `UPDATE_TABLE=1 cargo test -p protocol` writes it anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;
use std::mem::discriminant;
use std::path::Path;

use super::super::{Credential, Event, Label, Phase, Transition};
use super::reach::BUDGET;
use crate::id::{Epoch, PasswordSet};
use crate::report::{Match, Reason};

const ONE: PasswordSet = PasswordSet(1);
const TWO: PasswordSet = PasswordSet(2);
const THREE: PasswordSet = PasswordSet(3);

const HEADER: &str = "\
The state machine of one secret: what every event does to representative states of every phase.
Numbers are password sets; 1 worked before, 2 is the wanted one. `=>` is followed by the next phase,
the durable writes in brackets, the effect once they are durable, and the fields that change.
Events that mean nothing in a state change nothing and are listed last.
Rewrite this file by: UPDATE_TABLE=1 cargo test -p protocol table
";

#[test]
fn the_table_is_the_one_that_was_reviewed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/credential/credential.table");
    let table = render();
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    if reviewed != table {
        panic!("{} differs:\n{}", path.display(), difference(&reviewed, &table));
    }
}

#[test]
fn the_table_has_every_phase_and_every_event() {
    let phases: HashSet<_> =
        states().iter().map(|(_name, state)| discriminant(&state.phase)).collect();
    assert_eq!(phases.len(), 11);
    let kinds: HashSet<_> = events().iter().map(|(_name, event)| discriminant(event)).collect();
    assert_eq!(kinds.len(), 24);
}

fn render() -> String {
    let mut text = HEADER.to_owned();
    for (name, state) in states() {
        let _infallible = writeln!(
            text,
            "\n{}\n    {}",
            format!("{} {name}", label_of(state.phase)).trim_end(),
            fields(&state)
        );
        let mut meaningless: Vec<String> = Vec::new();
        for (event_name, event) in events() {
            match state.step(event) {
                Ok(transition) => {
                    let line = row(&state, &event_name, &transition);
                    let _infallible = writeln!(text, "{line}");
                }
                Err(_meaningless) => meaningless.push(event_name),
            }
        }
        wrap(&mut text, &meaningless);
    }
    text
}

fn row(was: &Credential, event: &str, transition: &Transition) -> String {
    let writes: Vec<String> = transition.writes.iter().map(plain).collect();
    let writes = format!("[{}]", writes.join(" "));
    let (phase, effect) = (label_of(transition.next.phase), plain(&transition.effect));
    let changes = changes(was, &transition.next);
    format!("  {event:<27} => {phase:<11} {writes:<23} {effect:<11} {changes}")
        .trim_end()
        .to_owned()
}

fn wrap(text: &mut String, names: &[String]) {
    let mut line = String::from("  -");
    for name in names {
        if line.len() + name.len() > 96 {
            let _infallible = writeln!(text, "{line}");
            line = String::from("   ");
        }
        line.push_str(&format!(" {name};"));
    }
    let _infallible = writeln!(text, "{}", line.trim_end_matches(';'));
}

/// A value as Rust prints it, without the brackets around numbers.
fn plain(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").replace("PasswordSet(", " ").replace(['(', ')'], "").replace("  ", " ")
}

fn label_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Settled => "Settled",
        Phase::Staged => "Staged",
        Phase::Exposed => "Exposed",
        Phase::Waiting => "Waiting",
        Phase::Quiet => "Quiet",
        Phase::Probing => "Probing",
        Phase::Verifying(ONE) => "Verifying 1",
        Phase::Verifying(_) => "Verifying 2",
        Phase::Saving(ONE) => "Saving 1",
        Phase::Saving(TWO) => "Saving 2",
        Phase::Saving(_) => "Saving 3",
        Phase::BackOff => "BackOff",
        Phase::Drift => "Drift",
        Phase::Held => "Held",
    }
}

fn parts(state: &Credential) -> BTreeMap<&'static str, String> {
    let set = |set: Option<PasswordSet>| set.map_or("none".to_owned(), |set| set.to_string());
    let labels = state.labels.iter().map(|(set, label)| format!("{set}:{label:?}"));
    let tried = state.tried.iter().map(ToString::to_string);
    BTreeMap::from([
        ("current", set(state.current)),
        ("wanted", state.desired.to_string()),
        ("pending", set(state.pending)),
        ("labels", labels.collect::<Vec<_>>().join(" ")),
        ("tried", tried.collect::<Vec<_>>().join("+")),
        ("attempts", state.attempts.to_string()),
        ("retries", state.retries.to_string()),
        ("epoch", state.epoch.0.to_string()),
        ("reconcile", state.reconcile.to_string()),
        ("reason", state.reason.map_or("none".to_owned(), |reason| format!("{reason:?}"))),
    ])
}

fn fields(state: &Credential) -> String {
    let unset = ["none", "0", "", "false"];
    let parts = parts(state).into_iter();
    let set = parts.filter(|(name, value)| *name != "epoch" && !unset.contains(&value.as_str()));
    set.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

fn changes(was: &Credential, next: &Credential) -> String {
    let (was, next) = (parts(was), parts(next));
    let changed = next.into_iter().filter(|(name, value)| was.get(name) != Some(value));
    let named = changed.map(|(name, value)| {
        let value = if value.is_empty() { "none".to_owned() } else { value };
        format!("{name} {value}")
    });
    named.collect::<Vec<_>>().join(", ")
}

/// Phase by phase; what is not said is as after an adoption of set 1.
fn states() -> Vec<(&'static str, Credential)> {
    let settled = record(Phase::Settled, &[(ONE, Label::Saved)]);
    let given_up = Credential {
        desired: TWO,
        ..record(Phase::Settled, &[(ONE, Label::Saved), (TWO, Label::Retired)])
    };
    let rotated = Credential {
        desired: TWO,
        current: Some(TWO),
        ..record(Phase::Settled, &[(ONE, Label::Retired), (TWO, Label::Saved)])
    };
    let mut states = vec![("in sync", settled), ("rotated", rotated), ("given up", given_up)];
    states.extend(open_states());
    states.extend(doubtful_states());
    states.extend(closed_states());
    states
}

fn open_states() -> Vec<(&'static str, Credential)> {
    let staged = open(Phase::Staged, Label::Saved, Label::Staged);
    let exposed = open(Phase::Exposed, Label::Saved, Label::Exposed);
    let overwriting = Credential { reconcile: true, ..staged.clone() };
    let once_more =
        Credential { phase: Phase::Staged, ..open(Phase::Quiet, Label::Exposed, Label::Staged) };
    let again =
        Credential { phase: Phase::Exposed, ..open(Phase::Quiet, Label::Exposed, Label::Exposed) };
    let waiting = Credential { phase: Phase::Waiting, ..exposed.clone() };
    vec![
        ("from settled", staged),
        ("from doubt", once_more),
        ("over a foreign password", overwriting),
        ("from settled", exposed),
        ("again", again),
        ("", waiting),
    ]
}

fn doubtful_states() -> Vec<(&'static str, Credential)> {
    let quiet = open(Phase::Quiet, Label::Saved, Label::Exposed);
    let probing = Credential { phase: Phase::Probing, ..quiet.clone() };
    let early = Credential { reason: Some(Reason::NotQuiet), ..probing.clone() };
    let spent = Credential { tried: [TWO].into(), attempts: BUDGET, ..probing.clone() };
    let refused = Credential { tried: [ONE, TWO].into(), ..spent.clone() };
    let unanswered = Credential { reason: Some(Reason::ConnectionLost), ..refused.clone() };
    let verifying = |set, reason| Credential {
        phase: Phase::Verifying(set),
        tried: [set].into(),
        attempts: 1,
        reason,
        ..probing.clone()
    };
    let last = Credential { retries: 0, ..verifying(ONE, None) };
    let patrol = Credential {
        phase: Phase::Verifying(ONE),
        tried: [ONE].into(),
        attempts: 1,
        ..record(Phase::Settled, &[(ONE, Label::Saved)])
    };
    let saving = Credential {
        phase: Phase::Saving(TWO),
        current: Some(TWO),
        ..open(Phase::Quiet, Label::Exposed, Label::Exposed)
    };
    vec![
        ("with an operation", quiet.clone()),
        ("without an operation", Credential { pending: None, retries: 0, ..quiet }),
        ("after quiet", probing.clone()),
        ("before quiet", early),
        ("with a spent budget", spent),
        ("with every candidate refused", refused),
        ("with every candidate tried, one without an answer", unanswered),
        ("after quiet", verifying(TWO, None)),
        ("before quiet", verifying(TWO, Some(Reason::NotQuiet))),
        ("with retries left", verifying(ONE, None)),
        ("without retries", last),
        ("on patrol", patrol),
        ("", saving.clone()),
        (
            "given up",
            Credential {
                phase: Phase::Saving(ONE),
                current: Some(ONE),
                pending: None,
                retries: 0,
                ..saving
            },
        ),
    ]
}

fn closed_states() -> Vec<(&'static str, Credential)> {
    let doubt = Credential {
        pending: None,
        retries: 0,
        attempts: 1,
        ..open(Phase::BackOff, Label::Saved, Label::Exposed)
    };
    let drift = Credential { phase: Phase::Drift, attempts: 0, ..doubt.clone() };
    let held = Credential { phase: Phase::Held, ..record(Phase::Held, &[(ONE, Label::Saved)]) };
    vec![
        ("adopted", Credential::adopted(ONE, Epoch(1))),
        ("after an operation", doubt.clone()),
        ("with an operation", Credential { pending: Some(TWO), retries: 1, ..doubt }),
        ("", drift),
        ("", held),
    ]
}

fn record(phase: Phase, labels: &[(PasswordSet, Label)]) -> Credential {
    Credential {
        phase,
        current: Some(ONE),
        labels: labels.iter().copied().collect(),
        ..Credential::adopted(ONE, Epoch(1))
    }
}

fn open(phase: Phase, one: Label, two: Label) -> Credential {
    Credential {
        desired: TWO,
        pending: Some(TWO),
        retries: 1,
        ..record(phase, &[(ONE, one), (TWO, two)])
    }
}

fn events() -> Vec<(String, Event)> {
    let reason = Reason::TimedOut;
    let mut events = vec![
        Event::Begin { set: ONE, retries: 1 },
        Event::Begin { set: TWO, retries: 1 },
        Event::Begin { set: THREE, retries: 1 },
        Event::Adopt { set: THREE },
        Event::Cancel,
        Event::Expose,
        Event::Send,
        Event::Applied,
        Event::NotSent(reason),
        Event::Unsure(reason),
        Event::Restarted(Epoch(1)),
        Event::Restarted(Epoch(2)),
        Event::QuietOver,
        Event::Probe { budget: BUDGET, preferred: None },
        Event::Probe { budget: BUDGET, preferred: Some(ONE) },
        Event::LoginOk,
        Event::LoginRefused,
        Event::LoginLost,
        Event::LoginNotSent,
        Event::Retry { window_over: false },
        Event::Retry { window_over: true },
        Event::Rebooted,
        Event::Close,
        Event::Hold,
        Event::Release,
        Event::Reconcile { set: THREE },
        Event::Replaced { bootstrap: THREE, set: PasswordSet(4) },
        Event::Purge(ONE),
        Event::Purge(TWO),
    ];
    let read_backs = [
        (Match::Set(ONE), Match::Set(ONE)),
        (Match::Set(ONE), Match::Set(TWO)),
        (Match::Set(ONE), Match::NotRead),
        (Match::Set(TWO), Match::Set(TWO)),
        (Match::Set(TWO), Match::Set(ONE)),
        (Match::Set(TWO), Match::Foreign),
        (Match::Foreign, Match::Set(ONE)),
        (Match::Absent, Match::Absent),
        (Match::NotRead, Match::NotRead),
    ];
    let read_back = |(running, startup)| Event::ReadBack { running, startup };
    let after_quiet = 13;
    events.splice(after_quiet..after_quiet, read_backs.map(read_back));
    events.into_iter().map(|event| (name_of(event), event)).collect()
}

fn name_of(event: Event) -> String {
    let version = |seen: Match| match seen {
        Match::Set(set) => set.to_string(),
        other => format!("{other:?}"),
    };
    match event {
        Event::Begin { set, .. } => format!("Begin {set}"),
        Event::Adopt { set } => format!("Adopt {set}"),
        Event::NotSent(_) => "NotSent".to_owned(),
        Event::Unsure(_) => "Unsure".to_owned(),
        Event::Restarted(epoch) => format!("Restarted, epoch {}", epoch.0),
        Event::ReadBack { running, startup } => {
            format!("ReadBack {} / {}", version(running), version(startup))
        }
        Event::Probe { preferred: None, .. } => "Probe".to_owned(),
        Event::Probe { preferred: Some(set), .. } => format!("Probe, {set} first"),
        Event::Retry { window_over: false } => "Retry in the window".to_owned(),
        Event::Retry { window_over: true } => "Retry after the window".to_owned(),
        Event::Reconcile { set } => format!("Reconcile {set}"),
        Event::Replaced { bootstrap, set } => format!("Replaced, has {bootstrap} wants {set}"),
        Event::Purge(set) => format!("Purge {set}"),
        event => format!("{event:?}"),
    }
}

/// The lines that differ, each under the block that it is in.
fn difference(reviewed: &str, table: &str) -> String {
    let rows = |text: &str| -> BTreeSet<String> {
        let mut block = String::new();
        let mut rows = BTreeSet::new();
        for line in text.lines() {
            if !line.starts_with(' ') {
                block = line.to_owned();
            }
            rows.insert(format!("{block} |{line}"));
        }
        rows
    };
    let (reviewed, table) = (rows(reviewed), rows(table));
    let gone = reviewed.difference(&table).map(|row| format!("- {row}"));
    let new = table.difference(&reviewed).map(|row| format!("+ {row}"));
    let mut lines: Vec<String> = gone.chain(new).collect();
    lines.sort_by_key(|line| line.get(2..).unwrap_or_default().to_owned());
    lines.join("\n")
}
