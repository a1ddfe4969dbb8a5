//! TLS with rustls.

use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::TlsSettings;
use crate::error::ConnectError;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Opens TLS. The roots are read once.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self, ConnectError> {
        client_config(settings)
            .map(|config| Self(TlsConnector::from(Arc::new(config))))
            .map_err(ConnectError::Tls)
    }

    /// The certificate has to be for `host`.
    pub(crate) async fn open<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.0.connect(name, stream).await
    }
}

fn client_config(settings: &TlsSettings) -> Result<ClientConfig, Source> {
    // The application's choice, where it made one; rustls' own otherwise. Nothing global is set.
    let provider = CryptoProvider::get_default()
        .map_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()), Arc::clone);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match &settings.roots {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate?)?;
            }
            if roots.is_empty() {
                return Err("there is no certificate in the PEM of the roots".into());
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_platform_verifier()?,
    };
    Ok(match &settings.client {
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    })
}
