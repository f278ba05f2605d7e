//! How Keyturn is known to Azure, and what is done when it is not.

use std::time::Duration;

use controller::identity::{Credential, ManagedIdentity, Principal, UserAssigned};
use fixtures::key_vault::{Fault, RESOURCE_ID, TENANT, USER_CLIENT};

use crate::world::World;

const RESOURCE: &str = "https://vault.test";

fn federated(world: &World) -> Principal {
    let (client, token_file) =
        (Some(fixtures::key_vault::CLIENT.to_owned()), Some(world.path("jwt")));
    let credential = Credential::Federated { client, token_file };
    Principal::Application { tenant: Some(TENANT.to_owned()), credential }
}

#[tokio::test]
async fn managed_identities_are_asked_for_by_each_of_their_ids() {
    let world = World::start().await;
    let own = |id: UserAssigned| Some(id);
    for user_assigned in [
        None,
        own(UserAssigned::ClientId(USER_CLIENT.to_owned())),
        own(UserAssigned::ResourceId(RESOURCE_ID.to_owned())),
    ] {
        let endpoint = Some(world.azure.imds_uri());
        let principal = Principal::Managed(ManagedIdentity { user_assigned, endpoint });
        world.identity(principal).unwrap().token(RESOURCE).await.unwrap();
    }
    let user_assigned = own(UserAssigned::ClientId("00000000-0000-0000-0000-000000000000".into()));
    let endpoint = Some(world.azure.imds_uri());
    let stranger = Principal::Managed(ManagedIdentity { user_assigned, endpoint });
    let error = world.identity(stranger).unwrap().token(RESOURCE).await.unwrap_err();
    assert!(error.hint().unwrap().contains("assign the managed identity"), "{error}");
    assert_eq!(world.azure.asked("imds"), 4);
}

#[tokio::test]
async fn a_metadata_service_that_is_busy_or_upgraded_is_asked_again() {
    let world = World::start().await;
    for fault in [
        Fault::Status(404),
        Fault::Status(410),
        Fault::Status(500),
        Fault::Status(503),
        Fault::Throttled { retry_after: 0 },
    ] {
        world.azure.faults().meet("imds", 0, 4, fault);
        let identity = world.identity(world.managed()).unwrap();
        identity.token(RESOURCE).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
    world.azure.faults().meet("imds", 0, 7, Fault::Status(410));
    world.identity(world.managed()).unwrap().token(RESOURCE).await.unwrap();
    world.azure.faults().meet("imds", 0, 5, Fault::Status(500));
    let error = world.identity(world.managed()).unwrap().token(RESOURCE).await.unwrap_err();
    assert!(error.to_string().contains("500"), "{error}");
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_request_and_what_came_of_it() {
    let world = World::start().await;
    for is_refused in [false, true] {
        if is_refused {
            world.azure.set_client_secret("another");
        }
        let identity = world.application();
        let before = world.azure.asked("token");
        let asking = (0..50).map(|_| identity.token(RESOURCE));
        let told = futures_util::future::join_all(asking).await;
        assert!(told.iter().all(|told| told.is_err() == is_refused));
        assert_eq!(world.azure.asked("token"), before + 1);
    }
}

#[tokio::test]
async fn a_refused_secret_is_told_without_it_and_a_new_one_needs_no_restart() {
    let world = World::start().await;
    let identity = world.application();
    world.azure.set_client_secret("Canary-4712");
    let error = identity.token(RESOURCE).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("AADSTS7000215") && !text.contains("Canary"), "{text}");
    assert!(error.hint().unwrap().contains("`clientsecret`"));
    world.write("clientsecret", "Canary-4712\n");
    identity.token(RESOURCE).await.unwrap();
}

#[tokio::test]
async fn a_credential_that_is_missing_or_empty_is_named() {
    let world = World::start().await;
    let identity = world.application();
    world.write("clientsecret", "\n");
    let error = identity.token(RESOURCE).await.unwrap_err();
    assert!(error.to_string().contains("clientsecret`: expected a client secret"), "{error}");
    std::fs::remove_file(world.path("clientid")).unwrap();
    let error = identity.token(RESOURCE).await.unwrap_err();
    assert!(error.to_string().contains("clientid"), "{error}");
    assert_eq!(world.azure.asked("token"), 0);
}

#[tokio::test]
async fn a_federated_token_is_read_again_for_each_request() {
    let world = World::start().await;
    world.write("jwt", fixtures::key_vault::FEDERATED_TOKEN);
    let identity = world.identity(federated(&world)).unwrap();
    let token = identity.token(RESOURCE).await.unwrap();
    world.azure.set_federated_token("eyJ.canary-federated-2.sig");
    world.write("jwt", "eyJ.canary-federated-2.sig\n");
    identity.reject(RESOURCE, &token);
    identity.token(RESOURCE).await.unwrap();
    assert_eq!(world.azure.asked("token"), 2);
    world.azure.set_federated_token("eyJ.other.sig");
    let error = world.identity(federated(&world)).unwrap().token(RESOURCE).await.unwrap_err();
    assert!(error.hint().unwrap().contains("federated credential"), "{error}");
}

#[tokio::test]
async fn a_clock_that_differs_from_theirs_does_not_make_tokens_useless() {
    for ahead in [-7_200, 7_200] {
        let world = World::start().await;
        world.azure.set_clock_ahead(ahead);
        let identity = world.identity(world.managed()).unwrap();
        let first = identity.token(RESOURCE).await.unwrap();
        let second = identity.token(RESOURCE).await.unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &second), "{ahead}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_again_once_it_is_about_to_end() {
    let world = World::start().await;
    world.azure.set_token_life(20);
    let identity = world.application();
    for asked in 1..=2 {
        identity.token(RESOURCE).await.unwrap();
        assert_eq!(world.azure.asked("token"), asked);
    }
}

#[tokio::test]
async fn who_does_not_answer_is_named_and_given_up_in_time() {
    let world = World::start().await;
    world.azure.faults().set(Fault::Slow(Duration::from_secs(3_600)));
    let pace =
        controller::remote::Pace { request_max: Duration::from_millis(50), ..crate::world::PACE };
    let settings = controller::identity::IdentitySettings {
        principal: world.managed(),
        authority: None,
        way: world.way(),
    };
    let clock = std::sync::Arc::new(|| 0);
    let open = controller::identity::Identity::open(&settings, pace, clock, |_name| None);
    let error = open.unwrap().token(RESOURCE).await.unwrap_err();
    assert!(error.to_string().contains(&world.azure.imds_uri()), "{error}");
}
