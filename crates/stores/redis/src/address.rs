//! Where a server is, and what its URL says beside that.

use std::fmt;
use std::sync::Arc;

use authflow_core::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::ConnectError;

/// Host and port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Whether a server is spoken to over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

/// What a `redis://` or `rediss://` URL says.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) address: Address,
    pub(crate) transport: Transport,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: i64,
}

impl Location {
    /// Reads a URL. No error repeats a part of it: it may hold the password.
    pub(crate) fn parse(url: &str, default_port: u16) -> Result<Self, ConnectError> {
        let wrong = ConnectError::Address;
        let url = Url::parse(url).map_err(|_| wrong("it is not a URL"))?;
        let transport = match url.scheme() {
            "redis" => Transport::Plain,
            "rediss" => Transport::Tls,
            _ => return Err(wrong("its scheme is neither redis nor rediss")),
        };
        let host = match url.host() {
            Some(url::Host::Domain(name)) if !name.is_empty() => Arc::from(name),
            Some(url::Host::Ipv4(ip)) => Arc::from(ip.to_string()),
            Some(url::Host::Ipv6(ip)) => Arc::from(ip.to_string()),
            _ => return Err(wrong("it has no host")),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or a fragment; settings are methods of RedisConfig"));
        }
        let decode = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err(wrong("user or password is not UTF-8")),
        };
        let database = match url.path().trim_matches('/') {
            "" => 0,
            path => path.parse().ok().filter(|at| *at >= 0).ok_or(wrong("the database is not a number"))?,
        };
        Ok(Self {
            address: Address { host, port: url.port().unwrap_or(default_port) },
            transport,
            username: Some(decode(url.username())?).filter(|name| !name.is_empty()),
            password: url.password().map(decode).transpose()?.map(Secret::new),
            database,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Location, Transport};
    use crate::error::ConnectError;

    #[test]
    fn a_whole_url() {
        let location = Location::parse("rediss://app:p%40ss%2Bword@redis.example.com:6380/3", 6379).unwrap();
        assert_eq!(format!("{:?}", location.address), "redis.example.com:6380");
        assert_eq!(location.transport, Transport::Tls);
        assert_eq!(location.username.as_deref(), Some("app"));
        assert!(location.password.as_ref().unwrap().ct_eq("p@ss+word"));
        assert_eq!(location.database, 3);
        assert!(!format!("{location:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_left_out_has_defaults() {
        let location = Location::parse("redis://[::1]", 6379).unwrap();
        assert_eq!((&*location.address.host, location.address.port), ("::1", 6379));
        assert_eq!(location.transport, Transport::Plain);
        assert!(location.username.is_none() && location.password.is_none());
        assert_eq!(location.database, 0);
        let location = Location::parse("redis://:hunter2@h", 26379).unwrap();
        assert!(location.username.is_none() && location.password.unwrap().ct_eq("hunter2"));
        assert_eq!(location.address.port, 26379);
    }

    #[test]
    fn a_wrong_url_is_refused_and_not_repeated() {
        for url in [
            "hunter2",
            "http://:hunter2@h",
            "redis://:hunter2@",
            "redis://:hunter2@h/hunter2",
            "redis://:hunter2@h/-1",
            "redis://:hunter2@h?protocol=hunter2",
            "rediss://:hunter2@h#insecure",
            "redis://:hunter2%ff@h",
            "redis://:hunter2@h:hunter2",
        ] {
            let error = Location::parse(url, 6379).unwrap_err();
            assert!(matches!(error, ConnectError::Address(_)), "{url}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
