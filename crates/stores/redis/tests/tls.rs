//! A server that speaks TLS only.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::path::Path;

use authflow_redis::{ConnectError, RedisConfig, RedisStateStore};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use support::{Server, put, take};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Without a name of its own it would look like the issuer of itself to OpenSSL.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn server(&self, name: &str, clients: &str, more: &[&str]) -> (Server, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (certificate, key) = self.issue(name);
        let paths = [write("cert.pem", &certificate), write("key.pem", &key), write("ca.pem", &self.pem)];
        let [certificate, key, ca] = paths.each_ref().map(|path: &std::path::PathBuf| text(path));
        let args = [
            "--tls-cert-file",
            certificate,
            "--tls-key-file",
            key,
            "--tls-ca-cert-file",
            ca,
            "--tls-auth-clients",
            clients,
        ];
        let server = Server::start_tls(&[&args[..], more].concat());
        (server, dir)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn config(server: &Server) -> RedisConfig {
    RedisConfig::server(&format!("rediss://127.0.0.1:{}", server.port)).unwrap()
}

#[tokio::test]
async fn a_server_with_a_certificate_of_our_authority() {
    let authority = Authority::new();
    let (server, _dir) = authority.server("127.0.0.1", "no", &[]);
    let store =
        RedisStateStore::connect(config(&server).root_certificates(authority.pem.clone())).await.unwrap();
    put(&store, "s").await.unwrap();
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));

    for config in [
        // The system's roots, and another authority.
        config(&server),
        config(&server).root_certificates(Authority::new().pem),
        // No TLS.
        RedisConfig::server(&server.url()).unwrap(),
    ] {
        let error = RedisStateStore::connect(config).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let (server, _dir) = authority.server("redis.example", "no", &[]);
    let config = config(&server).root_certificates(authority.pem.clone());
    let error = RedisStateStore::connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_of_us() {
    let authority = Authority::new();
    let (server, _dir) = authority.server("127.0.0.1", "yes", &[]);
    let config = || config(&server).root_certificates(authority.pem.clone());
    let (certificate, key) = authority.issue("app");
    let known = config().client_certificate(certificate, key.clone());
    assert!(!format!("{known:?}").contains(&key));
    let store = RedisStateStore::connect(known).await.unwrap();
    put(&store, "s").await.unwrap();

    let error = RedisStateStore::connect(config()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_no_certificate_is_found_at_the_start() {
    let nowhere = || RedisConfig::server("rediss://127.0.0.1:1").unwrap();
    let (certificate, _) = Authority::new().issue("app");
    for config in [
        nowhere().root_certificates("no certificate"),
        nowhere().root_certificates("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"),
        nowhere().client_certificate(certificate, "no key"),
    ] {
        let error = RedisStateStore::connect(config).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
    }
}

/// The certificate is for the address by which the cluster knows the node.
#[tokio::test]
async fn a_cluster() {
    let authority = Authority::new();
    let (server, _dir) =
        authority.server("127.0.0.1", "no", &["--cluster-enabled", "yes", "--tls-cluster", "yes"]);
    let config = || {
        let url = format!("rediss://127.0.0.1:{}", server.port);
        RedisConfig::cluster([url]).unwrap().root_certificates(authority.pem.clone())
    };
    let error = RedisStateStore::connect(config()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "it has no slots yet: {error:?}");
    server.cli_tls(&authority.pem, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    support::until("the cluster is complete", || async {
        let Ok(store) = RedisStateStore::connect(config()).await else { return false };
        put(&store, "s").await.unwrap();
        assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
        true
    })
    .await;
}

/// The sentinel itself speaks without TLS.
#[tokio::test]
async fn a_master_behind_a_sentinel() {
    let authority = Authority::new();
    let (server, _dir) = authority.server("127.0.0.1", "no", &[]);
    let sentinel = Server::start_sentinel(server.port, "");
    let config = |master: &str| {
        let config = RedisConfig::sentinel(master, [sentinel.url()]).unwrap();
        config.root_certificates(authority.pem.clone())
    };
    let store = RedisStateStore::connect(config("rediss://mymaster")).await.unwrap();
    put(&store, "s").await.unwrap();
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
    let error = RedisStateStore::connect(config("redis://mymaster")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
}
