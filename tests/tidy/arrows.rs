//! Who may import whom: crates, and the modules within them.

use crate::source::{self, File};
use crate::{catches, holds, imports, passes};

/// Each crate, and which of ours it may depend on. The controller's two are optional: the built-in
/// agent, and the demo's simulated world.
const CRATES: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("agent", &["protocol"]),
    ("fixtures", &["protocol"]),
    ("controller", &["protocol", "agent", "fixtures"]),
    ("tests", &["protocol", "agent", "fixtures", "controller"]),
];

const OURS: [&str; 4] = ["protocol", "agent", "controller", "fixtures"];

/// What `protocol` may not even depend on: it does nothing but compute.
const NOT_IN_PROTOCOL: &[&str] =
    &["tokio", "tokio-util", "russh", "rustix", "reqwest", "axum", "hyper", "sqlx", "rand"];

/// The tree of the controller's program: it alone imports edges, the agent and the simulated world.
const PROGRAM: &[&str] = &["main.rs", "main/"];

/// The modules of the controller's library, and after each the others that it may import: only such
/// as stand above it, so that there are no circles.
const CONTROLLER: &str = "
    age:
    agents:
    data_dir:
    error:
    pkcs12:
    trust:
    remote: error trust
    identity: error remote
    key_vault: error identity remote
    kubernetes: error remote trust
    kv2: error remote
    client: error trust
    disk: error
    document: error
    duration: error
    naming: error
    reference: document error identity key_vault pkcs12 remote
    inventory: document duration error naming reference
    store: disk error
    template: document error
    vault: age disk error key_vault kubernetes kv2 naming remote
    rollback: disk error naming store vault
    generate: error template
    model: inventory naming
    clock: model
    audit: model
    auditor: audit data_dir disk error
    access: disk duration error model naming trust
    journal: error model store
    plan: model naming
    config: access data_dir document duration error identity kubernetes kv2 plan reference remote
    remote_vault: clock config error identity key_vault kubernetes kv2 remote vault
    key_source: clock config reference remote vault
    offline: age audit auditor clock config disk error journal key_source model naming reference remote_vault rollback store vault
    cli: age audit client config data_dir document duration error inventory offline vault
    execute: agents audit auditor error generate inventory journal model naming plan rollback template vault
    service: age agents audit auditor error execute inventory journal model naming plan rollback store template vault
    daemon: access agents audit auditor clock config data_dir disk error execute identity inventory key_source model plan reference remote remote_vault rollback service store template vault
    edge: access age audit auditor clock error inventory model naming plan reference rollback service vault
";

/// The same for the agent.
const AGENT: &str = "
    hash:
    learned:
    link:
    platform:
    dialogue: platform
    ledger: learned platform
    site: platform
    transport: dialogue learned platform
    driver: dialogue hash learned ledger platform transport
    worker: driver ledger link
";

/// One line of a drawing.
struct Module<'a> {
    name: &'a str,
    may_import: Vec<&'a str>,
}

fn drawing(text: &str) -> Vec<Module<'_>> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, may)| Module {
            name: name.trim(),
            may_import: may.split_whitespace().collect(),
        })
        .collect()
}

fn depends_as_drawn(path: &str, text: &str) -> Vec<String> {
    let folder = path.split('/').next().unwrap_or_default();
    let Some((_name, allowed)) = CRATES.iter().find(|(name, _allowed)| *name == folder) else {
        return vec![format!("{path}: `{folder}` is no crate of the drawing")];
    };
    let manifest: toml::Table = toml::from_str(text).unwrap();
    let mut offences = Vec::new();
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let names = manifest.get(kind).and_then(toml::Value::as_table);
        for name in names.into_iter().flat_map(toml::Table::keys).map(String::as_str) {
            let ours = OURS.contains(&name) && !allowed.contains(&name);
            if ours || (folder == "protocol" && NOT_IN_PROTOCOL.contains(&name)) {
                offences.push(format!("{path}: `{folder}` may not depend on `{name}`"));
            }
        }
    }
    // The whole from outside is nothing but tests, which end by a panic: it has a list of its own.
    let own_lints = folder == "tests" && text.contains("[lints.clippy]");
    if !own_lints && !text.contains("[lints]\nworkspace = true") {
        offences.push(format!("{path}: does not take the lints of the workspace"));
    }
    offences
}

/// The built-in agent and the simulated world are known to the program alone.
fn knows_no_hands(path: &str, text: &str) -> Vec<String> {
    let Some(in_src) = path.strip_prefix("controller/src/") else { return Vec::new() };
    if is_program(in_src) {
        return Vec::new();
    }
    let code = source::without_tests(&source::code(text));
    let mentioned = imports::mentions(&code, &["agent", "fixtures"]);
    let offence = |path_in_code: Vec<String>| {
        format!("{path}: only the program may import `{}`", path_in_code.join("::"))
    };
    mentioned.into_iter().map(offence).collect()
}

fn is_program(in_src: &str) -> bool {
    PROGRAM.iter().any(|part| in_src == *part || (part.ends_with('/') && in_src.starts_with(part)))
}

/// A simulator that read the driver's platform files would agree with its mistakes.
fn knows_no_platform_file(path: &str, text: &str) -> Vec<String> {
    let marks = ["agent/", "platforms/", "agent::"];
    source::lines_where(path, text, |line| marks.iter().any(|mark| line.contains(mark)))
        .map(|line| format!("{line}: the simulated world knows nothing of the agent"))
        .collect()
}

fn imports_as_drawn(crate_name: &str, modules: &str, path: &str, text: &str) -> Vec<String> {
    let modules = drawing(modules);
    let root = format!("{crate_name}/src/");
    let own = imports::module(path.strip_prefix(root.as_str()).unwrap_or(path));
    let Some(module) = modules.iter().find(|module| own.first() == Some(&module.name)) else {
        return vec![format!("{path}: not in the drawing of `{crate_name}`")];
    };
    let code = source::without_tests(&source::code(text));
    let mentioned = imports::mentions(&code, &["crate", "super"]);
    let targets = mentioned.iter().filter_map(|path| imports::top_module(&own, path));
    let is_module = |target: &&str| modules.iter().any(|module| module.name == *target);
    let wrong = targets
        .filter(is_module)
        .filter(|target| *target != module.name && !module.may_import.contains(target));
    wrong.map(|target| format!("{path}: `{}` may not import `{target}`", module.name)).collect()
}

fn is_module_of(crate_name: &str, file: &File) -> bool {
    let root = format!("{crate_name}/src/");
    file.path.strip_prefix(root.as_str()).is_some_and(|in_src| {
        file.is_rust() && in_src != "lib.rs" && !is_program(in_src) && !source::is_test(in_src)
    })
}

#[test]
fn crates_depend_as_drawn() {
    let is_manifest = |file: &File| file.path.split('/').nth(1) == Some("Cargo.toml");
    holds(is_manifest, depends_as_drawn);
    let check = |folder: &str, dependency: &str| {
        let text = format!("[dev-dependencies]\n{dependency} = \"1\"\n[lints]\nworkspace = true\n");
        let path = format!("{folder}/Cargo.toml");
        catches(depends_as_drawn, &path, &text, &format!("may not depend on `{dependency}`"));
    };
    check("protocol", "agent");
    check("protocol", "tokio");
    check("agent", "controller");
    check("agent", "fixtures");
    check("fixtures", "agent");
    catches(depends_as_drawn, "agent/Cargo.toml", "[dependencies]\n", "lints");
}

#[test]
fn only_the_program_knows_the_agent_and_the_simulated_world() {
    holds(|file| file.is_rust() && file.path.starts_with("controller/src/"), knows_no_hands);
    catches(knows_no_hands, "controller/src/execute.rs", "use agent::worker;", "agent::worker");
    catches(
        knows_no_hands,
        "controller/src/edge.rs",
        "fn a() { fixtures::lab() }",
        "fixtures::lab",
    );
    passes(knows_no_hands, "controller/src/main.rs", "use agent::worker;");
    passes(knows_no_hands, "controller/src/a.rs", "use crate::agent::A; fn a(b: job::agent) {}");
}

#[test]
fn the_simulated_world_knows_nothing_of_the_agent() {
    holds(|file| file.path.starts_with("fixtures/"), knows_no_platform_file);
    let planted = "const EOS: &str = include_str!(\"../../agent/src/a\");";
    catches(knows_no_platform_file, "fixtures/src/device.rs", planted, "nothing of the agent");
}

#[test]
fn modules_import_as_drawn() {
    for (crate_name, modules) in [("controller", CONTROLLER), ("agent", AGENT)] {
        let rule = |path: &str, text: &str| imports_as_drawn(crate_name, modules, path, text);
        holds(|file| is_module_of(crate_name, file), rule);
    }
    let rule = |path: &str, text: &str| imports_as_drawn("controller", CONTROLLER, path, text);
    let check = |path: &str, planted: &str, says: &str| catches(rule, path, planted, says);
    check(
        "controller/src/plan.rs",
        "use crate::{model, edge::arm};",
        "`plan` may not import `edge`",
    );
    check("controller/src/plan/guard.rs", "use super::super::store::A;", "may not import `store`");
    check("controller/src/service.rs", "fn a() { crate::edge::b() }", "may not import `edge`");
    check("controller/src/surprise.rs", "", "not in the drawing");
    let tests = "#[cfg(test)]\nmod tests { use crate::store; }";
    passes(rule, "controller/src/plan.rs", tests);
}

#[test]
fn the_drawings_have_no_circles() {
    for modules in [CONTROLLER, AGENT] {
        let modules = drawing(modules);
        for (at, module) in modules.iter().enumerate() {
            let is_above = |other: &&str| modules[..at].iter().any(|above| above.name == *other);
            let wrong: Vec<_> = module.may_import.iter().filter(|other| !is_above(other)).collect();
            assert!(wrong.is_empty(), "{} imports {wrong:?}, which is not above it", module.name);
        }
    }
}
