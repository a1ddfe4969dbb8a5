//! Where a key ring comes from.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::{Zeroize as _, Zeroizing};

use super::key_ring::KeyRing;
use crate::error::{Error, Result};

/// Gives the key ring: from an environment variable, a file, or a key management service.
///
/// [`Keys`](crate::Keys) asks it, keeps what it gave, and goes on with that while it is down. There is no way to answer
/// "without encryption": a source gives a ring or an error.
///
/// A key management service that only encrypts and decrypts is used as an envelope: the program keeps the encrypted key
/// ring, and the source has the service decrypt it.
///
/// ```
/// use authflow_core::{Error, ErrorKind, KeyRing, KeySource, Result, async_trait};
///
/// #[derive(Debug)]
/// struct Kms {
///     encrypted_ring: Vec<u8>,
/// }
///
/// impl Kms {
///     async fn decrypt(&self, _ciphertext: &[u8]) -> Result<String, std::io::Error> {
///         // Ask the service.
///         # Ok(KeyRing::generate().unwrap().to_text().expose().to_owned())
///     }
/// }
///
/// #[async_trait]
/// impl KeySource for Kms {
///     async fn key_ring(&self) -> Result<KeyRing> {
///         let text = self.decrypt(&self.encrypted_ring).await.map_err(|error| {
///             Error::new(ErrorKind::KeysUnavailable, "the key service does not answer").with_source(error)
///         })?;
///         KeyRing::parse(&text)
///     }
/// }
///
/// let keys = authflow_core::Keys::new(Kms { encrypted_ring: Vec::new() });
/// # let _ = keys;
/// ```
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The key ring as it is now.
    ///
    /// - It is asked at the first use, from time to time, and when a record names a key that the ring at hand does not have.
    /// - It need not limit its time, nor remember anything: [`Keys`](crate::Keys) does both.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeysUnavailable`](crate::ErrorKind::KeysUnavailable) where another try may help,
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where a person has to change something. An error holds
    /// no key.
    async fn key_ring(&self) -> Result<KeyRing>;

    /// What a person has to change, as far as it is seen without waiting for another machine: asked when connections are built,
    /// so that a mistake is found when a program starts, and not after a user has consented. Finds nothing if not overridden.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration).
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

macro_rules! forward_key_source {
    ($($pointer:ident),+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: KeySource + ?Sized> KeySource for $pointer<S> {
            async fn key_ring(&self) -> Result<KeyRing> {
                (**self).key_ring().await
            }

            fn check(&self) -> Result<()> {
                (**self).check()
            }
        }
    )+};
}

forward_key_source!(Arc, Box);

/// A ring that does not change.
#[async_trait]
impl KeySource for KeyRing {
    async fn key_ring(&self) -> Result<Self> {
        Ok(self.clone())
    }
}

/// A key ring in an environment variable, in its [text form](KeyRing).
///
/// An environment is readable by whoever may read the process's memory, and is inherited by its children: take a
/// [`FileKeys`](crate::FileKeys) or a key service where that is too much.
///
/// ```no_run
/// use authflow_core::EnvKeys;
///
/// let ring = EnvKeys::new("AUTHFLOW_KEYS").read()?;
/// println!("sealing with {}", ring.writing_id());
/// # Ok::<(), authflow_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EnvKeys {
    name: Box<str>,
}

impl EnvKeys {
    /// The key ring in the environment variable `name`.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self { name: name.into() }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), naming the variable: it is not set, or does not hold a
    /// key ring.
    pub fn read(&self) -> Result<KeyRing> {
        self.parse(std::env::var_os(&*self.name))
    }

    fn parse(&self, value: Option<OsString>) -> Result<KeyRing> {
        let fault = |what: &str| {
            Error::configuration(format!(
                "the environment variable {}: {what}",
                crate::text::clean(&self.name, 64)
            ))
        };
        let value = value.filter(|value| !value.is_empty()).ok_or_else(|| {
            fault("it is not set; set it to ID:KEY, such as `k1:` and what `openssl rand -base64 32` prints")
        })?;
        let text = value.into_string().map(Zeroizing::new).map_err(|value| {
            value.into_encoded_bytes().zeroize();
            fault("it is not text; a key ring is ID:KEY,ID:KEY, the writing one first")
        })?;
        KeyRing::parse(&text).map_err(|error| fault(&error.to_string()))
    }
}

#[async_trait]
impl KeySource for EnvKeys {
    async fn key_ring(&self) -> Result<KeyRing> {
        self.read()
    }

    fn check(&self) -> Result<()> {
        self.read().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Key};

    fn parse(value: Option<&str>) -> Result<KeyRing> {
        EnvKeys::new("AUTHFLOW_TEST_KEYS").parse(value.map(OsString::from))
    }

    #[test]
    fn a_mistake_in_the_variable_names_the_variable_and_never_its_value() {
        let key = Key::generate().unwrap().to_base64();
        let (key, other) = (key.expose(), Key::generate().unwrap().to_base64());
        let twice = format!("k1:{key},k1:{}", other.expose());
        let same = format!("k1:{key},k2:{key}");
        let swapped = format!("{key}:k1");
        let broken = format!("k1:{}", &key[2..]);
        let long = format!("{}:{key}", "k".repeat(33));
        for (value, words) in [
            (None, "not set"),
            (Some(""), "not set"),
            (Some(" , "), "at least one key"),
            (Some(key), "entry 1 of the key ring has no key id"),
            (Some(&*broken), "the key k1 of the key ring"),
            (Some(&*swapped), "entry 1 of the key ring: a key id is 1 to 32"),
            (Some(&*long), "entry 1 of the key ring: a key id is 1 to 32"),
            (Some(&*twice), "the key id k1 is in the key ring twice"),
            (Some(&*same), "the keys k1 and k2 of the key ring are the same"),
        ] {
            let error = parse(value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let text = error.to_string();
            assert!(text.contains("AUTHFLOW_TEST_KEYS") && text.contains(words), "{text}");
            let all = format!("{error} {error:?}");
            assert!(!all.contains(&key[2..20]) && !all.contains(&other.expose()[2..20]), "{all}");
        }
    }

    #[test]
    fn the_first_key_writes_and_separators_are_lenient() {
        let keys: Vec<_> = (0..3).map(|_| Key::generate().unwrap().to_base64()).collect();
        let text = format!(
            "new:{},\n older_1:{}\nOLD.0-a:{} ,",
            keys[0].expose(),
            keys[1].expose().trim_end_matches('='),
            keys[2].expose()
        );
        let ring = parse(Some(&text)).unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["new", "older_1", "OLD.0-a"]);
        assert_eq!(ring.writing_id(), "new");
        let again = KeyRing::parse(ring.to_text().expose()).unwrap();
        assert_eq!(again.to_text().expose(), ring.to_text().expose());
        assert_eq!(format!("{ring:?}"), r#"KeyRing["new", "older_1", "OLD.0-a"]"#);
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_refused() {
        use std::os::unix::ffi::OsStringExt as _;
        let error = EnvKeys::new("K").parse(Some(OsString::from_vec(vec![b'k', 0xff]))).unwrap_err();
        assert!(error.to_string().contains("not text"), "{error}");
    }
}
