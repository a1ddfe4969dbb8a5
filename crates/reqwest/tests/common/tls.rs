//! A CA, its certificates, and a TLS server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{WantsServerCert, WebPkiClientVerifier};
use rustls::{ConfigBuilder, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::server::{Seen, serve};

pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("CA {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name`, and its key.
    pub fn certificate(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server's side of TLS, with a certificate for `name`.
    pub fn acceptor(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        self.acceptor_with(ServerConfig::builder().with_no_client_auth(), name, change)
    }

    /// The same, of clients that show a certificate of this CA.
    pub fn acceptor_of_known_clients(&self, name: &str) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        self.acceptor_with(ServerConfig::builder().with_client_cert_verifier(verifier), name, |_| {})
    }

    fn acceptor_with(
        &self,
        builder: ConfigBuilder<ServerConfig, WantsServerCert>,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> TlsAcceptor {
        let (certificate, key) = self.certificate(name, change);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Makes a certificate that ran out long ago.
pub fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
}

/// A TLS server that answers every request with `answer`. Its URL says http: change it.
pub async fn answering(acceptor: TlsAcceptor, answer: Vec<u8>) -> Arc<Seen> {
    use tokio::io::AsyncWriteExt as _;
    serve(move |seen, stream, _| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while seen.request(&mut stream).await.is_some() {
                stream.write_all(&answer).await.unwrap();
            }
        }
    })
    .await
}

/// The https URL of a server.
pub fn https(seen: &Seen, path: &str) -> String {
    seen.url(path).replacen("http:", "https:", 1)
}
