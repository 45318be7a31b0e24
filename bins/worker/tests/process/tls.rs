//! TLS at the door of the real worker, and client certificates in the place of tokens.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::sync::Arc;

use crate::common::{PATIENCE, Plan, Stack, http, job, metric};
use agent_testkit::{free_port, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const TOKEN: &str = "authorization: Bearer s3cret-of-this-test\r\n";

/// Somebody who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    pub(crate) key: KeyPair,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: signed.der().clone(), pem: signed.pem(), key }
    }

    pub(crate) fn server(&self) -> Identity {
        self.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self) -> Identity {
        self.sign("ide.example", ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client that trusts this authority, with or without a certificate of its own.
    fn trusted_by(&self, identity: Option<&Identity>) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Client(Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key, .. }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate.clone()], key).unwrap()
            }
        }))
    }
}

#[derive(Clone)]
struct Client(Arc<ClientConfig>);

impl Client {
    /// The status of the answer; `None` where there is none.
    async fn ask(&self, port: u16, method: &str, path: &str, headers: &str, body: &str) -> Option<u16> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(self.0.clone()).connect(name, socket).await.ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            if stream.read_buf(&mut answer).await.ok()? == 0 {
                return None;
            }
        }
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    }

    async fn get(&self, port: u16, path: &str, headers: &str) -> Option<u16> {
        self.ask(port, "GET", path, headers, "").await
    }

    /// A WebSocket's first request.
    async fn socket(&self, port: u16, path: &str) -> Option<u16> {
        let headers = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        self.get(port, path, headers).await
    }
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A plan whose worker speaks TLS with this certificate. It is not asked for `/ready`: that goes over TLS too.
fn plan(folder: &TempDir, server: &Identity) -> Plan {
    Plan::default()
        .env("HTTP_TLS_CERT_FILE", write(folder, "server.pem", &server.pem))
        .env("HTTP_TLS_KEY_FILE", write(folder, "server.key", &server.key.serialize_pem()))
        .unready()
}

async fn ready(stack: &Stack, client: &Client) {
    until("the worker is ready over TLS", PATIENCE, async || {
        (client.get(stack.port, "/ready", "").await == Some(200)).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_a_plain_client_gets_nothing_and_a_token_still_counts() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
    let plan = plan(&folder, &authority.server()).env("API_TOKENS", "test=s3cret-of-this-test");
    let Some(stack) = plan.start().await else { return };
    let client = authority.trusted_by(None);
    ready(&stack, &client).await;

    assert_eq!(http(stack.port, "GET", "/health", "").await, None, "no word without TLS");
    assert_eq!(client.get(stack.port, "/health", "").await, Some(200));
    assert_eq!(client.get(stack.port, "/jobs/x", "").await, Some(401));
    assert_eq!(client.get(stack.port, "/jobs/x", TOKEN).await, Some(404));
    let stranger = Authority::new().trusted_by(None);
    assert_eq!(stranger.get(stack.port, "/health", "").await, None, "the worker shows its own certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_opens_everything_and_without_one_only_the_probes_answer() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
    let metrics_port = free_port().unwrap();
    let plan = plan(&folder, &authority.server())
        .env("HTTP_TLS_CLIENT_CA_FILE", write(&folder, "clients.pem", &authority.pem()))
        .env("METRICS_PORT", metrics_port.to_string())
        // No token at all: the certificate is enough.
        .env("HTTP_REQUIRE_AUTH", "true");
    let Some(stack) = plan.start().await else { return };
    let known = authority.trusted_by(Some(&authority.client()));
    let nobody = authority.trusted_by(None);
    ready(&stack, &nobody).await;

    for path in ["/health", "/ready"] {
        assert_eq!(nobody.get(stack.port, path, "").await, Some(200), "{path}");
        assert_eq!(known.get(stack.port, path, "").await, Some(200), "{path}");
    }
    let routes = [
        ("POST", "/", 400),
        ("POST", "/invoke", 422),
        ("GET", "/threads", 200),
        ("GET", "/state/x", 404),
        ("GET", "/threads/x/events", 404),
        ("GET", "/threads/x/history", 404),
        ("GET", "/jobs/x", 404),
        ("POST", "/jobs/x/cancel", 404),
        ("DELETE", "/cleanup/x", 404),
        ("GET", "/openapi.json", 200),
    ];
    for (method, path, expected) in routes {
        let with = known.ask(stack.port, method, path, "", "{}").await;
        assert_eq!(with, Some(expected), "{method} {path} with a certificate");
        for path in [path.to_owned(), format!("/deepagents-runtime{path}")] {
            let without = nobody.ask(stack.port, method, &path, "", "{}").await;
            assert_eq!(without, Some(401), "{method} {path} without one");
        }
    }
    assert_eq!(known.socket(stack.port, "/stream/x").await, Some(101));
    assert_eq!(nobody.socket(stack.port, "/stream/x").await, Some(401));
    let hello = job("mtls-1", "hello").to_string();
    assert_eq!(known.ask(stack.port, "POST", "/", "", &hello).await, Some(200), "a whole job");

    // Signed by somebody else: the handshake ends it, even for the probes.
    let foreign = authority.trusted_by(Some(&Authority::new().client()));
    assert_eq!(foreign.get(stack.port, "/health", "").await, None);
    // A server's certificate is no client's.
    let server = authority.trusted_by(Some(&authority.server()));
    assert_eq!(server.get(stack.port, "/jobs/x", "").await, None);
    assert_eq!(metric(metrics_port, "agent_executor_http_unauthenticated").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_ends_the_start() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
    let other_key = write(&folder, "other.key", &KeyPair::generate().unwrap().serialize_pem());
    let plan = plan(&folder, &authority.server()).env("HTTP_TLS_KEY_FILE", other_key);
    let Some(mut stack) = plan.start().await else { return };
    assert_eq!(stack.worker.ended().await, Some(1), "a key of another certificate");
}
