//! Spans of time that vary: of latencies, jitter and sessions.

use crate::network::micros;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// How a span of time is distributed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Distribution {
    /// Always as long.
    Fixed(Duration),
    /// Evenly between the two.
    Uniform(Duration, Duration),
    /// Without memory: half of the spans are shorter than `median`.
    Exponential {
        /// Half are shorter.
        median: Duration,
    },
    /// With a heavy tail: half are shorter than `median`, and the smaller `shape`, the longer the longest. Sessions of peers were found
    /// to be so, with a shape near 1 (Saroiu, Gummadi and Gribble 2002; Bustamante and Qiao 2004).
    Pareto {
        /// Half are shorter.
        median: Duration,
        /// Above 1 the mean is finite, above 2 the variance.
        shape: f64,
    },
}

impl Distribution {
    /// Why this is no distribution, if it is none.
    ///
    /// # Errors
    /// Says what is impossible.
    pub fn check(&self) -> Result<(), String> {
        match *self {
            Self::Fixed(_) | Self::Exponential { .. } => Ok(()),
            Self::Uniform(least, most) if least <= most => Ok(()),
            Self::Uniform(least, most) => Err(format!("no span lies between {least:?} and {most:?}")),
            Self::Pareto { shape, .. } if shape.is_finite() && shape > 0.0 => Ok(()),
            Self::Pareto { shape, .. } => Err(format!("{shape} is no shape of a Pareto distribution: it is above 0")),
        }
    }

    /// The span than which a `share` of all is shorter; `share` from 0 up to, and without, 1.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let rest = (1.0 - share).max(f64::MIN_POSITIVE);
        match *self {
            Self::Fixed(span) => span,
            Self::Uniform(least, most) => least + scaled(most.saturating_sub(least), share),
            Self::Exponential { median } => scaled(median, -rest.log2()),
            Self::Pareto { median, shape } => scaled(median, (2.0 * rest).powf(-1.0 / shape)),
        }
    }

    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng) -> Duration {
        match *self {
            Self::Fixed(span) => span,
            Self::Uniform(least, most) => Duration::from_micros(rng.random_range(micros(least)..=micros(most.max(least)))),
            Self::Exponential { .. } | Self::Pareto { .. } => self.quantile(rng.random()),
        }
    }
}

/// `span` times `factor`, in whole microseconds and never more than [`LONGEST`].
fn scaled(span: Duration, factor: f64) -> Duration {
    let span_us = (micros(span) as f64 * factor).round().clamp(0.0, micros(LONGEST) as f64);
    // Neither negative nor beyond the bound.
    Duration::from_micros(span_us as u64)
}

/// A heavy tail must not overflow the clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const MINUTE: Duration = Duration::from_secs(60);

    fn drawn(distribution: Distribution) -> Vec<Duration> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut spans: Vec<_> = (0..10_001).map(|_| distribution.draw(&mut rng)).collect();
        spans.sort_unstable();
        spans
    }

    #[test]
    fn half_of_the_spans_are_shorter_than_the_median() {
        let exponential = Distribution::Exponential { median: MINUTE };
        let pareto = Distribution::Pareto { median: MINUTE, shape: 1.5 };
        for distribution in [exponential, pareto, Distribution::Uniform(MINUTE / 2, MINUTE * 3 / 2)] {
            let middle = drawn(distribution)[5000];
            assert!(middle > MINUTE * 96 / 100 && middle < MINUTE * 104 / 100, "{distribution:?}: {middle:?}");
            let exact = distribution.quantile(0.5);
            assert!(exact.abs_diff(MINUTE) < Duration::from_millis(1), "{distribution:?}: {exact:?}");
        }
    }

    #[test]
    fn the_tail_of_pareto_is_heavy_and_that_of_the_exponential_is_not() {
        let exponential = drawn(Distribution::Exponential { median: MINUTE });
        let pareto = drawn(Distribution::Pareto { median: MINUTE, shape: 1.0 });
        // 1 % are longer than this: log2 100 = 6.6 medians, and 50.
        assert!(exponential[9900] > MINUTE * 6 && exponential[9900] < MINUTE * 8, "{:?}", exponential[9900]);
        assert!(pareto[9900] > MINUTE * 40 && pareto[9900] < MINUTE * 60, "{:?}", pareto[9900]);
        assert!(pareto[0] >= MINUTE / 2, "the shortest is half of the median");
    }

    #[test]
    fn what_is_impossible_is_told() {
        assert_eq!(Distribution::Pareto { median: MINUTE, shape: 1.0 }.check(), Ok(()));
        assert!(Distribution::Pareto { median: MINUTE, shape: 0.0 }.check().is_err());
        assert!(Distribution::Uniform(MINUTE, MINUTE / 2).check().is_err());
    }
}
