//! `--ids` with several values: the same command for each.

use super::{
    ArchiveCommand, ClientCommand, DeviceCommand, FabricCommand, LegacyCommand, RetentionCommand,
};

impl ClientCommand {
    /// Returns a command for each resource that is named, in their order; this one alone where none
    /// or one is.
    pub(in crate::cli) fn split(mut self) -> Vec<Self> {
        let ids = match self.ids() {
            Some(ids) if ids.len() > 1 => std::mem::take(ids),
            _ => return vec![self],
        };
        let of = |id: String| {
            let mut one = self.clone();
            if let Some(ids) = one.ids() {
                ids.push(id);
            }
            one
        };
        ids.into_iter().map(of).collect()
    }

    fn ids(&mut self) -> Option<&mut Vec<String>> {
        match self {
            Self::Fabric { command } => command.ids(),
            Self::Device { command } => command.ids(),
            Self::Legacy { command: LegacyCommand::Show(target) } => Some(&mut target.ids),
            Self::Legacy { command: LegacyCommand::Rotate(on) } => Some(&mut on.target.ids),
            Self::Retention { command } => match command {
                RetentionCommand::Show(show) => Some(&mut show.target.ids),
                RetentionCommand::Purge(target) => Some(&mut target.ids),
                RetentionCommand::Release(release) => Some(&mut release.target.ids),
            },
            Self::Archive { command } => match command {
                ArchiveCommand::Status(target)
                | ArchiveCommand::Retry(target)
                | ArchiveCommand::Verify(target) => Some(&mut target.ids),
            },
            Self::Audit { .. } | Self::Token { .. } => None,
            Self::Secret { .. } | Self::Operation { .. } => None,
        }
    }
}

impl FabricCommand {
    fn ids(&mut self) -> Option<&mut Vec<String>> {
        match self {
            Self::Apply(_) | Self::List(_) => None,
            Self::Show(target) | Self::Delete(target) => Some(&mut target.ids),
            Self::Plan(plan) => Some(&mut plan.target.ids),
            Self::Purge(purge) => Some(&mut purge.target.ids),
            Self::RotatePassword(on) | Self::ResyncPassword(on) => Some(&mut on.target.ids),
            Self::LockFabric(lock) => Some(&mut lock.target.ids),
            Self::CommitConfiguration(commit) => Some(&mut commit.target.ids),
            Self::Upgrade(upgrade) => Some(&mut upgrade.target.ids),
        }
    }
}

impl DeviceCommand {
    fn ids(&mut self) -> Option<&mut Vec<String>> {
        match self {
            Self::List(_) => None,
            Self::Show(target) | Self::Delete(target) => Some(&mut target.ids),
            Self::ResyncPassword(on) => Some(&mut on.target.ids),
            Self::UpdateAdminState(update) => Some(&mut update.target.ids),
            Self::Upgrade(upgrade) => Some(&mut upgrade.target.ids),
            Self::Reboot(reboot) => Some(&mut reboot.target.ids),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::args::{Command, Keyturn};

    fn split(line: &str) -> Vec<String> {
        let parsed = Keyturn::try_parse_from(line.split(' ')).unwrap();
        let Command::Client(command) = parsed.command else { panic!("{line}") };
        let ids = |mut one: super::ClientCommand| one.ids().unwrap().join("+");
        command.split().into_iter().map(ids).collect()
    }

    #[test]
    fn each_id_is_a_command_of_its_own() {
        assert_eq!(split("keyturn fabric show --ids /a /b /c"), ["/a", "/b", "/c"]);
        assert_eq!(split("keyturn device resync-password --ids /a /b --no-wait"), ["/a", "/b"]);
        assert_eq!(split("keyturn legacy rotate --ids /a /b"), ["/a", "/b"]);
        assert_eq!(split("keyturn fabric plan --ids /a --request resync"), ["/a"]);
        assert_eq!(split("keyturn fabric rotate-password lab"), [""]);
        assert!(Keyturn::try_parse_from("keyturn fabric show --ids".split(' ')).is_err());
        assert!(Keyturn::try_parse_from("keyturn device show ce-01 --ids /a".split(' ')).is_err());
    }
}
