//! Routes, and beside them the paths that they have: a router does not tell its own, and what is
//! served must be comparable with what is described.

use axum::Router;
use axum::routing::MethodRouter;

/// A router that is being made.
#[derive(Debug)]
pub(super) struct Table<S> {
    router: Router<S>,
    paths: Vec<String>,
}

impl<S: Clone + Send + Sync + 'static> Table<S> {
    /// Makes an empty one.
    pub(super) fn new() -> Self {
        Self { router: Router::new(), paths: Vec::new() }
    }

    /// Adds a route; what varies in its path stands in braces.
    pub(super) fn route(mut self, path: &str, methods: MethodRouter<S>) -> Self {
        self.paths.push(path.to_owned());
        self.router = self.router.route(path, methods);
        self
    }

    /// Adds a route under `prefix` of which the handlers read the rest of the path by themselves,
    /// and the paths that mean something to them.
    pub(super) fn route_below(
        mut self,
        prefix: &str,
        paths: impl IntoIterator<Item = String>,
        methods: MethodRouter<S>,
    ) -> Self {
        self.paths.extend(paths);
        self.router = self.router.route(&format!("{prefix}/{{*path}}"), methods);
        self
    }

    /// Returns the router.
    pub(super) fn router(self) -> Router<S> {
        self.router
    }

    /// Returns the paths.
    pub(super) fn paths(self) -> Vec<String> {
        self.paths
    }
}
