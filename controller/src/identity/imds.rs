//! Managed identities: the host's own service (IMDS) gives the tokens.
//!
//! Source: Microsoft, "How to use managed identities for Azure resources on an Azure VM to acquire
//! an access token": the request, its header, and which statuses to ask again after.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Response, StatusCode, Url};

use super::settings::UserAssigned;
use super::{IdentityError, ManagedIdentity, Token, answer};
use crate::remote::{self, Pace};

/// Where the service is on every host in Azure.
const ENDPOINT: &str = "http://169.254.169.254";

/// What Azure's libraries (and the tests of others) name another endpoint by.
const ENDPOINT_VARIABLE: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

const PATH: &str = "/metadata/identity/oauth2/token";
const API_VERSION: &str = "2018-02-01";

/// Attempts while the service is being upgraded (410), which takes 70 seconds at the least: with
/// pauses of 1, 2, 4, 8, 16, 32 and 64 seconds.
const UPGRADE_TRIES: u32 = 8;

/// The host's service.
pub(super) struct Imds {
    http: Client,
    url: Url,
    place: String,
    user_assigned: Option<UserAssigned>,
    pace: Pace,
}

impl Imds {
    pub(super) fn open(
        settings: &ManagedIdentity,
        pace: Pace,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, IdentityError> {
        let endpoint = settings.endpoint.clone().or_else(|| variable(ENDPOINT_VARIABLE));
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_owned());
        let place = endpoint.trim_end_matches('/').to_owned();
        let whole = format!("{place}{PATH}");
        let is_plain = |url: &Url| url.scheme() == "http" && url.has_host() && url.path() == PATH;
        let url = Url::parse(&whole).ok().filter(is_plain).ok_or(IdentityError::Address {
            what: "the address of the managed identity's service",
            given: endpoint,
            expected: "http://HOST or http://HOST:PORT",
        })?;
        let http = remote::plain_client(&pace)?;
        Ok(Self { http, url, place, user_assigned: settings.user_assigned.clone(), pace })
    }

    /// Asks for a token, again and again while the service says that this may help.
    pub(super) async fn token(&self, resource: &str, now: u64) -> Result<Token, IdentityError> {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("api-version", API_VERSION)
            .append_pair("resource", resource);
        if let Some(identity) = &self.user_assigned {
            let (key, id) = match identity {
                UserAssigned::ClientId(id) => ("client_id", id),
                UserAssigned::ObjectId(id) => ("object_id", id),
                UserAssigned::ResourceId(id) => ("msi_res_id", id),
            };
            url.query_pairs_mut().append_pair(key, id);
        }
        let once = || async {
            let request = self.http.get(url.clone()).header("Metadata", "true");
            request.send().await.map_err(|source| IdentityError::Reach {
                place: self.place.clone(),
                source: source.without_url(),
            })
        };
        let pause = |tried, answer: Option<&Response>| {
            answer.and_then(|answer| self.pause(tried, answer.status(), answer.headers()))
        };
        let response = remote::until_answered(once, pause).await?;
        answer::read(&self.place, response, now).await
    }

    fn pause(&self, tried: u32, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let may_help = matches!(status.as_u16(), 404 | 410 | 429 | 500..);
        let is_upgraded = status == StatusCode::GONE;
        let tries_max = if is_upgraded { UPGRADE_TRIES } else { self.pace.tries_max };
        let pace = Pace { tries_max, ..self.pace };
        may_help.then(|| pace.pause(tried, remote::retry_after(headers))).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(endpoint: Option<&str>, variable: Option<&str>) -> Result<Imds, IdentityError> {
        let settings =
            ManagedIdentity { endpoint: endpoint.map(str::to_owned), ..ManagedIdentity::default() };
        let variable =
            |name: &str| variable.filter(|_| name == ENDPOINT_VARIABLE).map(str::to_owned);
        Imds::open(&settings, Pace::default(), variable)
    }

    #[test]
    fn the_setting_goes_before_the_variable_and_that_before_the_usual_address() {
        let url = |imds: Imds| imds.url.to_string();
        assert_eq!(url(open(None, None).unwrap()), format!("{ENDPOINT}{PATH}"));
        let by_variable = open(None, Some("http://127.0.0.1:1234/")).unwrap();
        assert_eq!(url(by_variable), format!("http://127.0.0.1:1234{PATH}"));
        let by_setting = open(Some("http://10.0.0.1"), Some("http://127.0.0.1:1234")).unwrap();
        assert_eq!(url(by_setting), format!("http://10.0.0.1{PATH}"));
        for wrong in ["", "127.0.0.1", "https://127.0.0.1", "http://", "http://a/b"] {
            let Err(error) = open(Some(wrong), None) else { panic!("{wrong}") };
            assert!(matches!(error, IdentityError::Address { .. }), "{error}");
        }
    }

    #[test]
    fn a_service_that_is_being_upgraded_is_asked_for_more_than_70_seconds() {
        let imds = open(None, None).unwrap();
        let pauses = |status: u16| -> Vec<u64> {
            let status = StatusCode::from_u16(status).unwrap();
            let one = |tried| imds.pause(tried, status, &HeaderMap::new());
            (1..).map_while(one).map(|pause| pause.as_secs()).collect()
        };
        assert_eq!(pauses(410).iter().sum::<u64>(), 127);
        for status in [404, 429, 500, 503] {
            assert_eq!(pauses(status), [1, 2, 4, 8], "{status}");
        }
        for status in [200, 400, 403] {
            assert_eq!(pauses(status), Vec::<u64>::new(), "{status}");
        }
    }
}
