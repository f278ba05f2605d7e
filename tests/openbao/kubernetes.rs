//! A Kubernetes as far as a vault sees it: it is asked whose a token is.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;

/// A token of the service account `daemon` in the namespace `keyturn`, whose signature nobody checks:
/// that is what Kubernetes is asked for.
pub(crate) const JWT: &str = concat!(
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.",
    "eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50Iiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2Nv",
    "dW50OmtleXR1cm46ZGFlbW9uIiwia3ViZXJuZXRlcy5pby9zZXJ2aWNlYWNjb3VudC9uYW1lc3BhY2Ui",
    "OiJrZXl0dXJuIiwia3ViZXJuZXRlcy5pby9zZXJ2aWNlYWNjb3VudC9zZXJ2aWNlLWFjY291bnQubmFt",
    "ZSI6ImRhZW1vbiIsImt1YmVybmV0ZXMuaW8vc2VydmljZWFjY291bnQvc2VydmljZS1hY2NvdW50LnVp",
    "ZCI6InUtMSJ9",
    ".",
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"
);

/// Starts an API server that knows one service account, and returns its address.
pub(crate) async fn start() -> SocketAddr {
    let review = async |_review: String| {
        axum::Json(json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "status": {
                "authenticated": true,
                "user": { "username": "system:serviceaccount:keyturn:daemon", "uid": "u-1" },
            },
        }))
    };
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let router = Router::new().route(reviews, post(review));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
