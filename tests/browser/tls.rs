//! `https://app.example` for a browser: a proxy that ends TLS in front of an application on a loopback port.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::chromium::Options;

/// It ends with this value.
#[derive(Debug)]
pub(crate) struct TlsProxy {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl TlsProxy {
    /// In front of `application`, under the name `app.example`.
    pub(crate) async fn start(application: SocketAddr) -> Self {
        let made = rcgen::generate_simple_self_signed(["app.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A browser opens connections that it does not use.
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let mut inside = TcpStream::connect(application).await.unwrap();
                    let _either_has_closed = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { address, task }
    }

    /// A browser that finds the name there, and does not mind who signed the certificate.
    pub(crate) fn browser(&self) -> Options {
        Options {
            flags: vec![
                format!("--host-resolver-rules=MAP app.example:443 {}", self.address),
                "--ignore-certificate-errors".to_owned(),
            ],
            ..Options::default()
        }
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
