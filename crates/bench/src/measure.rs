//! Rounds that take turns, CPU time, and ratios.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// The CPU time that this thread has used, in nanoseconds.
pub(crate) fn thread_cpu() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

/// The CPU time that this process has used, in nanoseconds.
pub(crate) fn process_cpu() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

/// The CPU time of `work`, in nanoseconds for each of `times` repetitions.
pub(crate) fn cpu<T>(times: u32, work: impl FnOnce() -> T) -> f64 {
    let begun = thread_cpu();
    std::hint::black_box(work());
    (thread_cpu() - begun) as f64 / f64::from(times)
}

/// The wall time of `work`, in nanoseconds for each of `times` repetitions: where waiting for a lock is what is measured.
#[allow(clippy::disallowed_methods, reason = "the time it takes is what is measured")]
pub(crate) fn wall<T>(times: u32, work: impl FnOnce() -> T) -> f64 {
    let begun = Instant::now();
    std::hint::black_box(work());
    begun.elapsed().as_nanos() as f64 / f64::from(times)
}

/// What one contender needed in each round.
pub(crate) type Series = Vec<f64>;

#[allow(clippy::needless_pass_by_value, reason = "the array holds exclusive references")]
/// Lets the contenders take turns. The first round warms up and does not count; who comes first moves on each round.
pub(crate) fn take_turns<const N: usize>(
    rounds: usize,
    contenders: [&mut dyn FnMut() -> f64; N],
) -> [Series; N] {
    let mut series = [const { Series::new() }; N];
    for round in 0..=rounds {
        for turn in 0..N {
            let at = (round + turn) % N;
            let needed = (*contenders[at])();
            if round > 0 {
                series[at].push(needed);
            }
        }
    }
    series
}

/// A median with its spread.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        };
        Self { median, least: sorted[0], most: sorted[sorted.len() - 1] }
    }

    /// Whether the median is `must` or better, to the two digits that are printed.
    pub(crate) fn reaches(&self, must: f64) -> bool {
        self.median < must + 0.005
    }

    /// The ratio to `floor`, round by round.
    pub(crate) fn ratio(series: &[f64], floor: &[f64]) -> Self {
        let ratios: Vec<f64> = series.iter().zip(floor).map(|(value, floor)| value / floor).collect();
        Self::of(&ratios)
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2}..{:.2})", self.median, self.least, self.most)
    }
}
