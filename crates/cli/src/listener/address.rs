//! Where to listen: what a redirect URI says about it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};
use url::{Host, Url};

use super::Site;
use crate::failure::Failure;
use crate::room::is_exhaustion;

/// The redirect URI where none is given: a free port of the IP literal (RFC 8252 §7.3; §8.3 says why not `localhost`).
const DEFAULT: &str = "http://127.0.0.1:0/callback";

/// What a redirect URI says about where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    url: Url,
    given: Option<String>,
    addresses: Vec<IpAddr>,
    port: u16,
}

/// Where to listen for a redirect URI; `None` if it is not an address of this machine, so that the callback can only be
/// pasted.
pub(crate) fn place(redirect_uri: Option<&str>) -> Result<Option<Place>, Failure> {
    let text = redirect_uri.unwrap_or(DEFAULT);
    let url = Url::parse(text).map_err(|error| {
        Failure::usage(format!(
            "--redirect-uri is not an absolute URI ({error}); give the one that is registered at the provider, such as \
             http://127.0.0.1:0/callback"
        ))
    })?;
    if url.fragment().is_some() {
        return Err(Failure::usage(
            "--redirect-uri has a fragment; a redirect URI has none (RFC 6749 section 3.1.2)",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("--redirect-uri has a user name in it; a redirect URI has none"));
    }
    if url.scheme() != "http" {
        return Ok(None);
    }
    let addresses = match url.host() {
        Some(Host::Ipv4(address)) if address.is_loopback() => vec![IpAddr::V4(address)],
        Some(Host::Ipv6(address)) if address.is_loopback() => vec![IpAddr::V6(address)],
        // A name can mean either family: who holds the other one would get the callback.
        Some(Host::Domain("localhost")) => {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        }
        _ => {
            return Err(Failure::usage(
                "--redirect-uri is plain http to another machine, where everyone on the way could read the code; register \
                 one with https, or an address of this machine such as http://127.0.0.1:0/callback",
            ));
        }
    };
    let port = url.port_or_known_default().unwrap_or(80);
    Ok(Some(Place { given: redirect_uri.map(str::to_owned), url, addresses, port }))
}

impl Place {
    pub(super) fn bind(&self) -> Result<Vec<TcpListener>, Failure> {
        let mut sockets: Vec<TcpListener> = Vec::new();
        let mut port = self.port;
        for address in &self.addresses {
            let address = SocketAddr::new(*address, port);
            match listen(address) {
                Ok(socket) => {
                    port = socket.local_addr().map_or(port, |bound| bound.port());
                    sockets.push(socket);
                }
                // A machine without this family: then nobody else can listen there either.
                Err(error) if !sockets.is_empty() && lacks_family(&error) => {}
                Err(error) => return Err(refused(address, &error)),
            }
        }
        Ok(sockets)
    }

    /// What the listener answers to, and the redirect URI to send. Where a port was given, it is the text that was given:
    /// the provider compares it byte by byte.
    pub(super) fn at_port(&self, port: u16) -> (Site, String) {
        let mut url = self.url.clone();
        let chosen = url.port() == Some(0);
        // Only a URL that cannot have a port refuses one, and this one has a host.
        let _ = url.set_port(Some(port));
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let site = Site {
            host,
            path: url.path().to_owned(),
            query: url.query().filter(|query| !query.is_empty()).map(str::to_owned),
        };
        let redirect_uri = match &self.given {
            Some(given) if !chosen => given.clone(),
            _ => url.into(),
        };
        (site, redirect_uri)
    }
}

/// As [`TcpListener::bind`], but with a queue that a burst of requests does not fill.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    const QUEUE: u32 = 1024;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // On Unix it allows a port that was closed a moment ago; elsewhere it would let others listen there too.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(UNSUPPORTED_FAMILY)
}

/// `EAFNOSUPPORT` has no `ErrorKind`.
const UNSUPPORTED_FAMILY: i32 = if cfg!(target_os = "linux") { 97 } else { 47 };

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        _ if is_exhaustion(error) => "raise the limit of open files: `ulimit -n 1024`",
        io::ErrorKind::AddrInUse if address.port() == 0 => {
            "no port is free. End what has so many connections open, or wait a minute until the ports of those that were \
             closed are free again"
        }
        io::ErrorKind::AddrInUse => {
            "another program listens there. End it, or give a --redirect-uri with another registered port; port 0 takes a \
             free one, where the provider accepts any port of a loopback address (RFC 8252 section 7.3)"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 belong to the system; register a redirect URI with a higher one"
        }
        _ => "give another --redirect-uri",
    };
    Failure::local(format!("the callback's address {address} cannot be listened at ({error}): {advice}"))
}

#[cfg(test)]
mod tests {
    use super::place;
    use crate::failure::Failure;
    use crate::listener::Listener;

    #[tokio::test]
    async fn g1_the_default_is_a_free_port_of_the_ip_literal() {
        let place = place(None).unwrap().unwrap();
        let (one, two) = (Listener::bind(&place).unwrap(), Listener::bind(&place).unwrap());
        assert_ne!(one.redirect_uri(), two.redirect_uri());
        for listener in [one, two] {
            let port = listener.sockets[0].local_addr().unwrap().port();
            assert_eq!(listener.redirect_uri(), format!("http://127.0.0.1:{port}/callback"));
            assert_eq!(listener.site.host, format!("127.0.0.1:{port}"));
        }
    }

    #[test]
    fn x32_what_cannot_be_listened_at_says_what_helps() {
        let said = |address: &str, code| {
            let error = std::io::Error::from_raw_os_error(code);
            super::refused(address.parse().unwrap(), &error).lines().join("\n")
        };
        assert!(said("127.0.0.1:0", 24).contains("ulimit -n"));
        assert!(said("127.0.0.1:7", 23).contains("ulimit -n"));
        let in_use = if cfg!(target_os = "linux") { 98 } else { 48 };
        assert!(said("127.0.0.1:0", in_use).contains("no port is free"));
        assert!(said("127.0.0.1:7", in_use).contains("another program listens there"));
    }

    #[tokio::test]
    async fn g3_nobody_else_can_listen_at_our_port() {
        let listener = Listener::bind(&place(None).unwrap().unwrap()).unwrap();
        let address = listener.sockets[0].local_addr().unwrap();
        assert!(tokio::net::TcpListener::bind(address).await.is_err());
    }

    #[tokio::test]
    async fn g2_localhost_is_listened_at_in_both_families() {
        let listener = Listener::bind(&place(Some("http://localhost:0/cb?a=1")).unwrap().unwrap()).unwrap();
        let ports: Vec<u16> = listener.sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        assert_eq!(listener.redirect_uri(), format!("http://localhost:{}/cb?a=1", ports[0]));
        let has_v6 = tokio::net::TcpListener::bind(("::1", 0)).await.is_ok();
        assert_eq!(ports.len(), if has_v6 { 2 } else { 1 });
        if has_v6 {
            // The other family is taken: refused instead of half a listener.
            let taken = tokio::net::TcpListener::bind(("::1", 0)).await.unwrap();
            let uri = format!("http://localhost:{}/cb", taken.local_addr().unwrap().port());
            let error = Listener::bind(&place(Some(&uri)).unwrap().unwrap()).unwrap_err();
            assert!(matches!(error, Failure::Local(_)), "{error:?}");
        }
    }

    #[test]
    fn r6749_05_a_redirect_uri_that_can_be_none_is_refused() {
        for uri in
            ["callback", "http://127.0.0.1:0/#a", "http://as.example/callback", "http://a@127.0.0.1:0/"]
        {
            assert!(matches!(place(Some(uri)), Err(Failure::Usage(_))), "{uri}");
        }
        assert_eq!(place(Some("https://app.example/callback")).unwrap(), None);
        assert_eq!(place(Some("com.example.app:/callback")).unwrap(), None);
    }

    #[tokio::test]
    async fn a_given_redirect_uri_is_sent_byte_by_byte() {
        let free =
            tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
        let uri = format!("http://127.0.0.1:{free}/a%7Eb");
        let listener = Listener::bind(&place(Some(&uri)).unwrap().unwrap()).unwrap();
        assert_eq!(listener.redirect_uri(), uri);
    }
}
