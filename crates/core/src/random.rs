//! Random values.
//!
//! What a flow draws comes from a generator of its thread (`rand`'s ChaCha12), which the operating system seeds anew after
//! a few flows and in a process that was forked off. A read of the system's own costs more than all else that `begin` does
//! for the URL, and asking for the process's number, to see whether it is another one, as much as a third of it.
//! What outlives a flow, or proves who begins it, is read from the system each time.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forkguard::Guard;
use rand::rngs::{StdRng, SysError, SysRng};
use rand::{Rng as _, SeedableRng as _, TryRng as _};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// After how many bytes a generator is seeded anew: 64 flows. A copy of this process's memory, such as a snapshot of a
/// virtual machine, repeats no more than these.
const SEED_LASTS: usize = 4096;

/// A generator and how far its seed may be used.
struct Generator {
    random: StdRng,
    left: usize,
}

/// What a thread draws from. A process that was forked off has its parent's memory, and would draw its parent's values.
///
/// No test forks: there is no fork without `unsafe`, and what the standard library forks is another program at once. The tests
/// give a guard of their own, and see that it is asked before each draw and that its word counts; that `forkguard`'s tells the
/// truth is left to the tests of `forkguard`.
struct OfThread<G> {
    /// None where the operating system would not tell of a fork: then nothing is drawn in advance.
    guard: Option<G>,
    /// Whether the process was forked off since this was asked last.
    is_forked: fn(&mut G) -> bool,
    generator: Option<Generator>,
}

thread_local! {
    static OF_THREAD: RefCell<OfThread<Guard>> =
        RefCell::new(OfThread::new(Guard::try_new().ok(), Guard::detected_fork));
}

/// Fills `bytes` from this thread's generator.
///
/// # Errors
///
/// [`ErrorKind::Randomness`] if it had to be seeded and the operating system gave nothing: there is no fallback.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    let drawn = OF_THREAD.try_with(|thread| match thread.try_borrow_mut() {
        Ok(mut thread) => {
            let seed = || StdRng::try_from_rng(&mut SysRng);
            thread.fill(bytes, seed, |bytes| SysRng.try_fill_bytes(bytes))
        }
        Err(_) => SysRng.try_fill_bytes(bytes),
    });
    // A thread that ends has no generator any more.
    drawn.unwrap_or_else(|_| SysRng.try_fill_bytes(bytes)).map_err(no_randomness)
}

impl<G> OfThread<G> {
    const fn new(guard: Option<G>, is_forked: fn(&mut G) -> bool) -> Self {
        Self { guard, is_forked, generator: None }
    }

    fn fill<E>(
        &mut self,
        bytes: &mut [u8],
        seed: impl FnOnce() -> std::result::Result<StdRng, E>,
        from_system: impl FnOnce(&mut [u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        match &mut self.guard {
            Some(guard) => draw(&mut self.generator, bytes, (self.is_forked)(guard), seed),
            None => from_system(bytes),
        }
    }
}

fn draw<E>(
    generator: &mut Option<Generator>,
    bytes: &mut [u8],
    is_forked: bool,
    seed: impl FnOnce() -> std::result::Result<StdRng, E>,
) -> std::result::Result<(), E> {
    if is_forked || generator.as_ref().is_none_or(|it| it.left < bytes.len()) {
        // Where the seeding fails there is none left, so that the next call seeds again.
        *generator = None;
        *generator = Some(Generator { random: seed()?, left: SEED_LASTS.max(bytes.len()) });
    }
    if let Some(generator) = generator {
        generator.random.fill_bytes(bytes);
        generator.left = generator.left.saturating_sub(bytes.len());
    }
    Ok(())
}

/// Fills `bytes` from the operating system.
///
/// # Errors
///
/// [`ErrorKind::Randomness`].
pub(crate) fn fill_from_system(bytes: &mut [u8]) -> Result<()> {
    SysRng.try_fill_bytes(bytes).map_err(no_randomness)
}

fn no_randomness(source: SysError) -> Error {
    // RFC 6749 §10.10 has no room for anything else.
    Error::new(ErrorKind::Randomness, "the operating system gave no random bytes").with_source(source)
}

/// 32 bytes as the 43 characters of base64url without padding (RFC 7636 appendix A).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text([u8; 43]);

impl Text {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        let mut text = [0; 43];
        // 32 bytes are 43 characters: it cannot fail.
        let _ = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        Self(text)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only ASCII is ever written into it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// [`Text`], as a string of its own.
pub(crate) fn base64url(bytes: &[u8; 32]) -> String {
    Text::new(bytes).as_str().to_owned()
}

/// The 32 bytes that [`base64url`] writes as `text`, if it writes it of any.
pub(crate) fn from_base64url(text: &str) -> Option<[u8; 32]> {
    // The decoder asks for room for whole groups of three.
    let mut room = Zeroizing::new([0; 33]);
    if text.len() != 43 || URL_SAFE_NO_PAD.decode_slice(text, &mut *room).ok()? != 32 {
        return None;
    }
    room.first_chunk().copied()
}

/// A new value of 256 bits from the operating system, as 43 characters of base64url.
pub(crate) fn token() -> Result<String> {
    let mut bytes = [0; 32];
    fill_from_system(&mut bytes)?;
    Ok(base64url(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw_64(generator: &mut Option<Generator>, is_forked: bool, seed: Option<u64>) -> Option<[u8; 64]> {
        let mut bytes = [0; 64];
        let seed = || seed.map(StdRng::seed_from_u64).ok_or(());
        draw(generator, &mut bytes, is_forked, seed).ok().map(|()| bytes)
    }

    #[test]
    fn a10_a_forked_process_does_not_draw_its_parents_values() {
        let [mut parent, mut same, mut forked] = [(); 3].map(|()| {
            let mut generator = None;
            draw_64(&mut generator, false, Some(1));
            generator
        });
        let next = draw_64(&mut parent, false, None);
        assert!(next.is_some());
        assert_eq!(draw_64(&mut same, false, None), next, "a copy in the same process goes on alike");
        assert_eq!(draw_64(&mut forked, true, None), None, "in another one it has to be seeded");
        assert_eq!(draw_64(&mut forked, false, None), None, "and is not used before it is");
        assert_ne!(draw_64(&mut forked, false, Some(2)), next);
    }

    /// A guard that says of each draw, from the last to the first, whether it is in another process.
    fn said(guard: &mut Vec<bool>) -> bool {
        guard.pop().expect("asked once for each draw")
    }

    #[test]
    fn a10_x36_each_draw_asks_whether_the_process_was_forked() {
        let mut thread = OfThread::new(Some(vec![false, true, false, false]), said);
        let mut seeds = 0;
        let mut drawn = [1, 1, 2, 2].map(|after| {
            let mut bytes = [0; 64];
            let seed = || {
                seeds += 1;
                Ok::<_, ()>(StdRng::seed_from_u64(7))
            };
            thread.fill(&mut bytes, seed, |_| Err(())).unwrap();
            assert_eq!(seeds, after);
            bytes
        });
        assert_eq!(thread.guard.as_deref(), Some(&[][..]));
        assert_eq!(drawn[..2], drawn[2..], "the same seed again");
        drawn.sort_unstable();
        assert_ne!(drawn[0], drawn[3]);
    }

    #[test]
    fn a10_x36_where_no_fork_would_be_told_each_value_is_read_from_the_system() {
        let mut thread = OfThread::<Vec<bool>>::new(None, said);
        let mut bytes = [0; 64];
        let read = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok::<_, ()>(())
        };
        for _ in 0..2 {
            thread.fill(&mut bytes, || Err(()), read).unwrap();
            assert_eq!(bytes, [7; 64]);
            assert!(thread.generator.is_none());
        }
    }

    #[test]
    #[cfg(unix)]
    fn a10_x36_a_thread_has_a_guard_and_draws_from_a_generator() {
        fill(&mut [0; 64]).unwrap();
        OF_THREAD.with_borrow_mut(|thread| {
            let guard = thread.guard.as_mut().unwrap();
            assert!(!(thread.is_forked)(guard), "it is the same process");
            assert_eq!(thread.generator.as_ref().unwrap().left, SEED_LASTS - 64);
        });
    }

    #[test]
    fn a10_a_seed_lasts_for_64_flows() {
        let mut generator = None;
        draw_64(&mut generator, false, Some(1));
        for _ in 1..64 {
            assert!(draw_64(&mut generator, false, None).is_some());
        }
        assert_eq!(draw_64(&mut generator, false, None), None);
        assert_eq!(draw_64(&mut generator, false, None), None, "what failed once is not used the next time");
        assert!(draw_64(&mut generator, false, Some(2)).is_some());
    }

    #[test]
    fn what_is_written_can_be_read() {
        let bytes = std::array::from_fn(|at| at as u8 * 8);
        let text = base64url(&bytes);
        assert_eq!(from_base64url(&text), Some(bytes));
        for other in [
            "",
            "short",
            &text[1..],
            &format!("{text}A"),
            &text.replace('I', "+"),
            &format!("{}B", &text[..42]),
        ] {
            assert_eq!(from_base64url(other), None, "{other}");
        }
    }
}
