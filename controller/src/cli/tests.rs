//! What the command line takes, and what it does not.

use clap::{CommandFactory, Parser};

use super::args::{Command, DeviceCommand, FabricCommand};
use super::{ClientCommand, Keyturn};

fn parse(line: &str) -> Result<Keyturn, String> {
    let words = std::iter::once("keyturn").chain(line.split_whitespace());
    Keyturn::try_parse_from(words).map_err(|error| error.to_string())
}

#[test]
fn the_definition_is_sound() {
    Keyturn::command().debug_assert();
}

#[test]
fn the_verbs_that_operators_know_are_taken() {
    let lines = [
        "serve",
        "serve --data-dir /tmp/x --listen 127.0.0.1:0 --config c.toml --check",
        "--data-dir /tmp/x serve",
        "fabric apply -f fabric.toml",
        "fabric apply --file fabric.toml --passwords-stdin --no-wait",
        "fabric list -o json",
        "fabric show lab",
        "fabric show --resource-group g --resource-name lab",
        "fabric plan --request resync",
        "fabric rotate-password --ids /subscriptions/x --no-wait",
        "fabric rotate-password -g g --network-fabric-name lab",
        "fabric resync-password",
        "fabric lock-fabric --action Lock --lock-type Administrative",
        "fabric lock-fabric --action unlock",
        "fabric lock-fabric --action lock --lock-type configuration",
        "fabric commit-configuration -g g --resource-name lab",
        "fabric commit-configuration --commit-stage rollback",
        "fabric upgrade --action Start --version 2.0.0",
        "fabric upgrade --action complete",
        "fabric delete lab",
        "fabric list --deleted",
        "fabric purge lab --force",
        "retention show lab --deleted",
        "retention purge -g g --resource-name lab",
        "retention release lab --device ce-01",
        "secret show --device ce-01 --user admin --deleted-from lab",
        "device delete ce-01",
        "device list --fabric lab -g g",
        "device list --bootstrap",
        "device upgrade ce-01 --version 2.0.0",
        "device reboot ce-01 --reboot-type GracefulRebootWithoutZTP --no-wait",
        "device reboot --ids /a /b --reboot-type ungracefulrebootwithztp",
        "device show ce-01",
        "device resync-password --ids /subscriptions/x",
        "device resync-password ce-02 --server https://h:1 --ca c --token-file t",
        "device update-admin-state --resource-name ce-01 -g g --state Disable",
        "device update-admin-state ce-01 --state rma",
        "token create --role operator",
        "token create --role secret-reader --name ci --fabric /subscriptions/x --expires 12h",
        "token list",
        "token revoke 0123456789ab",
        "secret show --device ce-01 --user admin -o table",
        "vault rekey",
        "vault backup --to b.age --recipient age1x --recipient age1y --server https://h:1",
        "vault restore --from b.age --identity-file id --data-dir /tmp/new",
        "vault accept-restored --despite-loss",
        "vault rekey --config c.toml --new-passphrase --data-dir /tmp/x",
        "vault rekey --new-passphrase-file /run/p --to-key-file /etc/keyturn/key",
        "operation list",
        "operation show 1",
        "operation wait 1",
    ];
    for line in lines {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn what_contradicts_itself_is_refused_with_a_reason() {
    let lines = [
        ("fabric apply", "--file"),
        ("fabric show lab --ids /x", "cannot be used with"),
        ("token create --role owner", "possible values"),
        ("token create --role reader --expires 90", "unit"),
        ("fabric upgrade --action Start", "--version"),
        ("fabric show --ids /x --resource-name lab", "cannot be used with"),
        ("device update-admin-state ce-01", "--state"),
        ("device update-admin-state ce-01 --state Quarantine", "possible values"),
        ("secret show --device ce-01", "--user"),
        ("vault backup --to b.age", "--recipient"),
        ("vault restore --from b.age", "--identity-file"),
        ("vault rekey --new-passphrase --new-passphrase-file p", "cannot be used with"),
        ("fabric rotate-pasword", "rotate-password"),
        ("serve --listen nowhere", "invalid"),
    ];
    for (line, wanted) in lines {
        let error = parse(line).map(|_parsed| line).unwrap_err();
        assert!(error.contains(wanted), "{line}: {error}");
    }
}

#[test]
fn no_command_takes_a_password() {
    fn check(command: &clap::Command) {
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            let takes_text = argument.get_action().takes_values();
            assert!(!(takes_text && name.contains("password")), "{} {name}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Keyturn::command());
}

#[test]
fn names_may_stand_alone() {
    let parsed = parse("fabric rotate-password lab").unwrap();
    let Command::Client(ClientCommand::Fabric { command: FabricCommand::RotatePassword(on) }) =
        parsed.command
    else {
        panic!("another command");
    };
    assert_eq!(on.target.fabric.as_deref(), Some("lab"));
    let parsed = parse("device show ce-01").unwrap();
    let Command::Client(ClientCommand::Device { command: DeviceCommand::Show(target) }) =
        parsed.command
    else {
        panic!("another command");
    };
    assert_eq!(target.device.as_deref(), Some("ce-01"));
}
