//! The tokens that the configuration refers to: fetched on start and again and again, and taken as
//! soon as they have changed.

use std::sync::Arc;

use futures_util::future::join_all;

use super::upkeep::Upkeep;
use crate::access::{Principal, Tokens};
use crate::config::Config;
use crate::reference::{Reference, ReferenceError, Resolver};

/// The file of a local secret that has a token, as Kubernetes names those of service accounts.
const TOKEN_KEY: &str = "token";

/// A place of the configuration, and who presents the token that it refers to.
#[derive(Debug)]
struct Place {
    key: String,
    token: Reference,
    who: Principal,
}

/// Brings tokens to those that are taken.
#[derive(Debug)]
pub(super) struct TokenUpkeep {
    resolver: Arc<Resolver>,
    tokens: Arc<Tokens>,
    places: Vec<Place>,
}

impl TokenUpkeep {
    /// Returns what the configuration refers to, if it does.
    pub(super) fn of(
        config: &Config,
        resolver: &Arc<Resolver>,
        tokens: &Arc<Tokens>,
    ) -> Option<Self> {
        let admin = config.tokens.admin.iter().map(|token| Place {
            key: "access.admin-token".to_owned(),
            token: token.clone(),
            who: Principal::owner(),
        });
        let others = config.tokens.others.iter().map(|other| Place {
            key: format!("access.token.{}", other.name),
            token: other.token.clone(),
            who: Principal::new(format!("{} (access.token)", other.name), other.grant.clone()),
        });
        let places: Vec<Place> = admin.chain(others).collect();
        let (resolver, tokens) = (Arc::clone(resolver), Arc::clone(tokens));
        (!places.is_empty()).then_some(Self { resolver, tokens, places })
    }

    /// Fetches all of them once.
    ///
    /// # Errors
    /// Returns why one cannot be had or is none.
    pub(super) async fn check(&self) -> Result<(), ReferenceError> {
        let tried = join_all(self.places.iter().map(|place| self.bring(place))).await;
        tried.into_iter().collect()
    }

    async fn bring(&self, place: &Place) -> Result<(), ReferenceError> {
        let text = self.resolver.text(&place.token, TOKEN_KEY).await?;
        let brought = self.tokens.bring(&place.key, text.trim(), place.who.clone());
        let is_other = brought.map_err(|expected| ReferenceError::Content {
            reference: place.token.to_string(),
            expected,
            got: "another text".to_owned(),
        })?;
        if is_other {
            tracing::info!(place = place.key, token = %place.token, "the token is taken");
        }
        Ok(())
    }

    async fn renew_one(&self, place: &Place) -> bool {
        let brought = self.bring(place).await;
        self.resolver.note(&place.key, &place.token, brought.as_ref().err());
        brought.is_ok()
    }
}

impl Upkeep for TokenUpkeep {
    async fn renew(&self) -> bool {
        let renewed = join_all(self.places.iter().map(|place| self.renew_one(place))).await;
        renewed.into_iter().all(|is_there| is_there)
    }
}
