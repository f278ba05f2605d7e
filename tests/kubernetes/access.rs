//! How the cluster is found, and as whom it is asked.

use base64::Engine as _;
use controller::error::Fault as Whose;
use controller::kubernetes::{Access, KubernetesError, KubernetesSettings, ServiceAccount};
use controller::vault::contract::password;
use controller::vault::{Tag, Vault};
use fixtures::kubernetes::NAMESPACE;

use crate::world::{HOUR, PACE, World, name};

/// A kubeconfig with two contexts: `lab`, and `old` whose server is gone.
fn kubeconfig(world: &World, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: old\n\
         clusters:\n- name: lab\n  cluster:\n    server: {}\n    certificate-authority: ca.crt\n\
         - name: gone\n  cluster:\n    server: https://127.0.0.1:1\n\
         \x20   certificate-authority: ca.crt\n\
         contexts:\n- name: lab\n  context: {{cluster: lab, user: kt, namespace: {NAMESPACE}}}\n\
         - name: old\n  context: {{cluster: gone, user: kt}}\n\
         users:\n- name: kt\n  user: {user}\n",
        world.cluster.uri()
    )
}

fn by_file(world: &World, context: Option<&str>) -> KubernetesSettings {
    let (file, context) = (world.path("kubeconfig"), context.map(str::to_owned));
    KubernetesSettings { namespace: None, access: Access::Kubeconfig { file, context } }
}

async fn refusal(world: &World, settings: &KubernetesSettings) -> KubernetesError {
    let error = world.client(settings, PACE).await.unwrap_err();
    assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Operator, false));
    assert!(error.hint().is_some() && !format!("{error:?}").contains("eyJ"), "{error:?}");
    error
}

#[tokio::test]
async fn a_kubeconfig_says_where_and_as_whom_and_its_contexts_can_be_chosen() {
    let world = World::start().await;
    let user = format!("{{token: {}}}", world.cluster.token(HOUR));
    world.write("kubeconfig", &kubeconfig(&world, &user));
    let vault = world.vault_with(&by_file(&world, Some("lab")), PACE).await;
    assert_eq!(vault.uri(), format!("{}/api/v1/namespaces/{NAMESPACE}", world.cluster.uri()));
    assert!(vault.id().ends_with("/vaults/keyturn"));
    let (admin, tag, value) = (name("lab-admin"), Tag::new("1"), password("value"));
    vault.put(&admin, &tag, &value).await.unwrap();
    // What the file says now is read when the token is not taken any more.
    world.cluster.end_tokens();
    let user = format!("{{token: {}}}", world.cluster.token(HOUR));
    world.write("kubeconfig", &kubeconfig(&world, &user));
    assert_eq!(vault.versions(&admin).await.unwrap().len(), 1);
    let old = world.vault_with(&by_file(&world, None), PACE).await;
    let error = old.put(&admin, &tag, &value).await.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert!(!error.is_outcome_unknown(), "nobody was reached");
}

#[tokio::test]
async fn a_kubeconfig_that_names_another_cluster_since_is_not_followed() {
    let world = World::start().await;
    let user = format!("{{token: {}}}", world.cluster.token(HOUR));
    world.write("kubeconfig", &kubeconfig(&world, &user));
    let vault = world.vault_with(&by_file(&world, Some("lab")), PACE).await;
    vault.versions(&name("lab-admin")).await.unwrap();
    world.cluster.end_tokens();
    let moved = kubeconfig(&world, &user).replace(&world.cluster.uri(), "https://127.0.0.1:2");
    world.write("kubeconfig", &moved);
    let error = vault.versions(&name("lab-admin")).await.unwrap_err();
    assert!(error.to_string().contains("when Keyturn started"), "{error}");
}

#[tokio::test]
async fn a_user_may_show_a_certificate_in_files_or_in_the_kubeconfig() {
    let world = World::start().await;
    let (certificate, key) = world.cluster.certificate().unwrap();
    world.write("user.crt", &certificate);
    world.write("user.key", &key);
    let files = "{client-certificate: user.crt, client-key: user.key}".to_owned();
    let text = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
    let data = format!(
        "{{client-certificate-data: {}, client-key-data: {}}}",
        text(&certificate),
        text(&key)
    );
    for user in [files, data] {
        world.write("kubeconfig", &kubeconfig(&world, &user));
        let vault = world.vault_with(&by_file(&world, Some("lab")), PACE).await;
        vault.versions(&name("lab-admin")).await.unwrap();
    }
    let (other, _key) = World::start().await.cluster.certificate().unwrap();
    world.write("user.crt", &other);
    world.write("user.key", "no key");
    let user = "{client-certificate: user.crt, client-key: user.key}";
    world.write("kubeconfig", &kubeconfig(&world, user));
    let vault = world.vault_with(&by_file(&world, Some("lab")), PACE).await;
    let error = vault.versions(&name("lab-admin")).await.unwrap_err();
    assert!(error.to_string().contains("the user's key is no PEM"), "{error}");
}

#[tokio::test]
async fn whatever_else_a_kubeconfig_shows_a_user_by_is_refused_at_once() {
    let world = World::start().await;
    for (user, expect) in [
        ("{exec: {apiVersion: v1, command: ./login}}", "`exec` command is not run"),
        ("{auth-provider: {name: oidc, config: {id-token: eyJ}}}", "`auth-provider` is not asked"),
        ("{token: eyJ, as: somebody}", "cannot act `as` another"),
        ("{username: admin, password: eyJ}", "a user with a password"),
    ] {
        world.write("kubeconfig", &kubeconfig(&world, user));
        let error = refusal(&world, &by_file(&world, Some("lab"))).await;
        assert!(error.to_string().contains(expect), "{expect}: {error}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_kubeconfig_is_told_without_what_is_secret_in_it() {
    let world = World::start().await;
    let lab = by_file(&world, Some("lab"));
    let error = refusal(&world, &lab).await;
    assert!(error.to_string().contains("kubeconfig"), "{error}");
    let right = kubeconfig(&world, "{token: eyJ.canary}");
    for (from, to, context, expect) in [
        ("users:", "users: [}", "lab", "expected YAML"),
        ("clusters:", "clusters: eyJ\nother:", "lab", "it is no kubeconfig"),
        ("", "", "prod", "it has no context `prod`"),
        ("- name: lab\n  cluster", "- name: other\n  cluster", "lab", "it has no cluster `lab`"),
        ("ca.crt", "gone.crt", "lab", "gone.crt"),
        ("certificate-authority", "insecure-skip-tls-verify: true #", "lab", "insecure-skip"),
        ("server: https:", "server: http:", "lab", "is not https://HOST"),
        ("namespace: keyturn", "namespace: ../x", "lab", "`../x` as a namespace"),
        ("server:", "proxy-url: https://p:1\n    server:", "lab", "`proxy-url` is not followed"),
        ("server:", "tls-server-name: k\n    server:", "lab", "as the host of `server`"),
    ] {
        world.write("kubeconfig", &right.replace(from, to));
        let error = refusal(&world, &by_file(&world, Some(context))).await;
        assert!(error.to_string().contains(expect), "{expect}: {error}");
    }
}

#[tokio::test]
async fn nobody_is_trusted_but_the_clusters_own_authority() {
    let (world, other) = (World::start().await, World::start().await);
    world.write("ca.crt", &other.cluster.authority());
    let vault = world.vault().await;
    let error = vault.versions(&name("lab-admin")).await.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert_eq!(world.cluster.asked("list"), 0);
    // As the file of a pod rotates.
    world.write("ca.crt", &world.cluster.authority());
    vault.versions(&name("lab-admin")).await.unwrap();
}

#[tokio::test]
async fn a_service_account_without_its_files_is_told_which_is_missing() {
    let world = World::start().await;
    let account = |token: &str| ServiceAccount {
        server: Some(world.cluster.uri()),
        token_file: Some(world.path(token)),
        ca_file: Some(world.path("ca.crt")),
    };
    let settings = |token: &str, namespace: Option<&str>| KubernetesSettings {
        namespace: namespace.map(str::to_owned),
        access: Access::ServiceAccount(account(token)),
    };
    let error = refusal(&world, &settings("gone", Some(NAMESPACE))).await;
    assert!(error.to_string().contains("gone` cannot be read"), "{error}");
    let error = refusal(&world, &settings("token", None)).await;
    assert!(error.to_string().contains("serviceaccount/namespace` cannot be read"), "{error}");
    let error = refusal(&world, &settings("token", Some("Keyturn"))).await;
    assert!(error.to_string().contains("`Keyturn` as a namespace"), "{error}");
    world.write("token", "two\nlines");
    let vault = world.vault_with(&settings("token", Some(NAMESPACE)), PACE).await;
    let error = vault.versions(&name("lab-admin")).await.unwrap_err();
    assert!(error.to_string().contains("characters that none has"), "{error}");
}
