use super::*;
use crate::config::kubernetes::{parse, place};
use crate::document;
use crate::kubernetes::{Access, KubernetesSettings, ServiceAccount};

fn read(text: &str) -> Result<KubernetesSettings, String> {
    let value = document::parse("keyturn.toml", text).map_err(|error| error.to_string())?;
    let settings = parse(value).map_err(|error| error.to_string())?;
    Ok(place(settings, Path::new(BASE)))
}

#[test]
fn a_kubernetes_vault_is_the_pods_own_unless_it_is_said_otherwise() {
    assert_eq!(read("").unwrap(), KubernetesSettings::default());
    let account = Access::ServiceAccount(ServiceAccount {
        server: Some("https://10.0.0.1:6443".to_owned()),
        token_file: Some("/etc/keyturn/token".into()),
        ca_file: Some("/run/ca.crt".into()),
    });
    let text = "namespace = \"keyturn\"\nserver = \"https://10.0.0.1:6443\"\n\
                token-file = \"token\"\nca-file = \"/run/ca.crt\"\n";
    let namespace = Some("keyturn".to_owned());
    assert_eq!(read(text).unwrap(), KubernetesSettings { namespace, access: account });
    let (file, context) = ("/etc/keyturn/kubeconfig".into(), Some("lab".to_owned()));
    let access = Access::Kubeconfig { file, context };
    let text = "kubeconfig = \"kubeconfig\"\ncontext = \"lab\"\n";
    assert_eq!(read(text).unwrap(), KubernetesSettings { namespace: None, access });
}

#[test]
fn what_is_wrong_with_a_kubernetes_vault_is_told_with_its_place() {
    for (text, expect) in [
        ("namespace = \"Keyturn\"\n", "line 1, column 13, key `namespace`: expected a namespace"),
        ("namespaces = \"keyturn\"\n", "did you mean `namespace`?"),
        ("server = \"http://10.0.0.1\"\n", "expected https://HOST or https://HOST:PORT"),
        ("context = \"lab\"\n", "expected `kubeconfig` beside `context`, got none"),
        ("kubeconfig = \"a\"\nca-file = \"b\"\n", "got both"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(expect), "{error}");
    }
}
