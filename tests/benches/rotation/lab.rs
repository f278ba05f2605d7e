//! A lab in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `keyturn-lab`, ended with its handle.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
    child: Child,
}

impl Lab {
    /// Starts a lab and waits until all its devices listen.
    pub(crate) fn up(devices: usize, commit_delay: &str, save_delay: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the lab");
        let mut child = Command::new(program())
            .arg("up")
            .arg("--dir")
            .arg(dir.path())
            .args(["--devices", &devices.to_string()])
            .args(["--commit-delay", commit_delay, "--save-delay", save_delay])
            .stdout(Stdio::piped())
            .spawn()
            .expect("keyturn-lab starts: build it in the same profile first");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line from keyturn-lab");
        assert_eq!(line.trim(), "ready");
        Self { dir, child }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A lab that has ended by itself needs no more ending.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// `keyturn-lab` lies beside the folder of this benchmark's own program.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let profile = own.parent().and_then(Path::parent).expect("the folder of the profile");
    profile.join("keyturn-lab")
}
