//! A server that answers no sooner than it is let: for what has to happen between a request and its answer, however slow the
//! machine is.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use authflow_testkit::AuthorizationServer;

/// Stands before a server, and keeps its answers while it is shut.
pub(crate) struct Gate {
    base: String,
    is_open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// An open one.
    pub(crate) async fn before(server: &AuthorizationServer) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        let address = server.base_url().strip_prefix("http://").unwrap().to_owned();
        let (is_open, watched) = watch::channel(true);
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = socket.accept().await.unwrap();
                let server = TcpStream::connect(&address).await.unwrap();
                tokio::spawn(pass(client, server, watched.clone()));
            }
        });
        Self { base, is_open, accepting }
    }

    /// The token endpoint behind it.
    pub(crate) fn token_endpoint(&self, server: &AuthorizationServer) -> String {
        server.token_endpoint().replace(server.base_url(), &self.base)
    }

    /// The revocation endpoint behind it.
    pub(crate) fn revocation_endpoint(&self, server: &AuthorizationServer) -> String {
        server.revocation_endpoint().replace(server.base_url(), &self.base)
    }

    pub(crate) fn shut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Whoever goes away takes the connection with it, which is no failure of a test.
async fn pass(client: TcpStream, server: TcpStream, mut is_open: watch::Receiver<bool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async move {
        let _ = copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let answers = async move {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
            let may_pass = is_open.wait_for(|open| *open).await.is_ok();
            if !may_pass || to_client.write_all(&bytes[..length]).await.is_err() {
                break;
            }
        }
        let _ = to_client.shutdown().await;
    };
    tokio::join!(requests, answers);
}
