//! Bad input through the real programs: what is wrong is named with what mends it, nothing is
//! changed, nothing is lost, and no password is said.

use harness::simulated::Simulated;
use harness::site::Site;

mod commands;
mod data_dir;
mod devices;
mod documents;

/// Declares a lab's fabric by its own inventory, and expects that all is proven.
fn adopt(site: &Site, lab: &Simulated) {
    let _applied = site.keyturn(&["fabric", "apply", "-f", &file(lab, "fabric.toml")]).expect(0);
    for device in lab.devices() {
        assert_eq!(site.statuses(&device), ["InSync"], "{device}");
    }
}

/// Returns the path of a lab's file as an argument.
fn file(lab: &Simulated, name: &str) -> String {
    lab.path(name).display().to_string()
}

/// Returns everything that is known of a site's fabrics, as one text.
fn everything_known(site: &Site) -> String {
    let lists = [["fabric", "list"], ["device", "list"], ["operation", "list"]];
    let texts = lists.map(|[kind, list]| site.keyturn(&[kind, list, "-o", "json"]).expect(0).out);
    texts.concat()
}

/// Expects that none of the passwords that a lab was born with was ever said.
fn expect_unsaid(site: &Site, lab: &Simulated) {
    let born = lab.born_with();
    site.expect_unsaid(born.values().map(String::as_str));
}
