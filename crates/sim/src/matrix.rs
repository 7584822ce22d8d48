//! Round trips measured between places, read from CSV.

use crate::network::micros;
use flate2::read::GzDecoder;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::{fmt, io::Read, path::Path, time::Duration};

/// How long packets travel between places, one way; the matrix need not be symmetric.
#[derive(Clone, PartialEq)]
pub struct Matrix {
    places: usize,
    /// Row by row, from and to.
    means_us: Vec<u32>,
    /// How much that varies, of the same shape, or nothing.
    deviations_us: Vec<u32>,
    filled: usize,
}

impl Matrix {
    /// The names that [`Self::built_in`] knows.
    pub const BUILT_IN: &'static [&'static str] = &["wonder222", "wonder222+jitter"];

    /// A matrix that comes with the crate: `wonder222`, 222 cities (see `data/README.md`), or `wonder222+jitter`, in which packets
    /// vary by the measured standard deviations.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn built_in(name: &str) -> Result<Self, MatrixError> {
        let mean = || Self::from_bytes(WONDER_MEANS, "wonder222_rtt_avg_ms.csv.gz");
        match name {
            "wonder222" => mean(),
            "wonder222+jitter" => mean()?.varied_by(&Self::from_bytes(WONDER_DEVIATIONS, "wonder222_rtt_stddev_ms.csv.gz")?),
            _ => Err(MatrixError {
                place: name.to_owned(),
                what: format!("no matrix of this name; there are {}", Self::BUILT_IN.join(", ")),
            }),
        }
    }

    /// Reads a file of round trips in milliseconds: as many rows as columns, separated by commas, if need be with a row and a
    /// column of names; packed by gzip or not. A round trip that is empty or 0 and not from a place to itself was not measured: that
    /// of the other direction stands for it, or the median of all.
    ///
    /// # Errors
    /// Says in one line where the file is no matrix.
    pub fn read(path: &Path) -> Result<Self, MatrixError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| MatrixError { place: name.clone(), what: error.to_string() })?;
        Self::from_bytes(&bytes, &name)
    }

    /// A built-in matrix if `name` is one's name, else that of the file `name`.
    ///
    /// # Errors
    /// Says in one line what is wrong where.
    pub fn load(name: &str) -> Result<Self, MatrixError> {
        if Self::BUILT_IN.contains(&name) { Self::built_in(name) } else { Self::read(Path::new(name)) }
    }

    fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, MatrixError> {
        let wrong = |what: String| MatrixError { place: name.to_owned(), what };
        let mut text = Vec::new();
        let read = if bytes.starts_with(&GZIP) {
            GzDecoder::new(bytes).take(LONGEST_BYTES).read_to_end(&mut text)
        } else {
            bytes.take(LONGEST_BYTES).read_to_end(&mut text)
        };
        read.map_err(|error| wrong(error.to_string()))?;
        if text.len() as u64 == LONGEST_BYTES {
            return Err(wrong(format!("longer than {LONGEST_BYTES} bytes")));
        }
        let text = String::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text, name)
    }

    /// Reads the text of a matrix, see [`Self::read`]; `name` is what errors call it.
    ///
    /// # Errors
    /// Says in one line where it is no matrix.
    pub fn parse(text: &str, name: &str) -> Result<Self, MatrixError> {
        let mut lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())).collect();
        lines.retain(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let named = lines.first().is_some_and(|(_, line)| line.split(',').nth(1).unwrap_or(line).trim().parse::<f64>().is_err());
        let rows = &lines[usize::from(named)..];
        let mut trips_ms = Vec::new();
        for (line, text) in rows {
            let cells: Vec<_> = text.split(',').collect();
            let cells = &cells[usize::from(named)..];
            if cells.len() != rows.len() {
                let what = format!("{} round trips in a row of a matrix of {} rows", cells.len(), rows.len());
                return Err(MatrixError { place: format!("{name}:{line}:1"), what });
            }
            let mut column = text.split(',').take(usize::from(named)).map(|cell| cell.len() + 1).sum::<usize>() + 1;
            for cell in cells {
                let trip = round_trip(cell).map_err(|what| MatrixError { place: format!("{name}:{line}:{column}"), what })?;
                trips_ms.push(trip);
                column += cell.len() + 1;
            }
        }
        if rows.is_empty() {
            return Err(MatrixError { place: format!("{name}:1:1"), what: "no round trips".to_owned() });
        }
        Ok(Self::from_round_trips(rows.len(), &trips_ms))
    }

    fn from_round_trips(places: usize, trips_ms: &[f64]) -> Self {
        let mut measured: Vec<f64> = trips_ms.iter().copied().filter(|trip| *trip > 0.0).collect();
        measured.sort_unstable_by(f64::total_cmp);
        let median = measured.get(measured.len() / 2).copied().unwrap_or(0.0);
        let mut filled = 0;
        let means_us = (0..trips_ms.len()).map(|at| {
            let (from, to) = (at / places, at % places);
            let trip = match (trips_ms[at], trips_ms[to * places + from]) {
                (trip, _) if trip > 0.0 || from == to => trip,
                (_, back) => {
                    filled += 1;
                    if back > 0.0 { back } else { median }
                }
            };
            // Half of it, in microseconds; the bound was checked.
            (trip * 500.0).round() as u32
        });
        let means_us = means_us.collect();
        Self { places, means_us, deviations_us: Vec::new(), filled }
    }

    /// The same, packets varying by these standard deviations.
    ///
    /// # Errors
    /// When the two are not of the same shape.
    pub fn varied_by(mut self, deviations: &Self) -> Result<Self, MatrixError> {
        if self.places != deviations.places {
            let what = format!("deviations of {} places for {}", deviations.places, self.places);
            return Err(MatrixError { place: "matrix".to_owned(), what });
        }
        self.deviations_us.clone_from(&deviations.means_us);
        Ok(self)
    }

    /// How many places there are.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places
    }

    /// Which of its places these numbers stand for.
    pub(crate) fn places_of(&self, numbers: [u64; 2]) -> [usize; 2] {
        // A place is one of far fewer than 2^32.
        numbers.map(|number| (number % self.places as u64) as usize)
    }

    /// How many round trips were not measured, and are filled in.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// How long a packet travels from one place to another in the mean; places beyond the last begin again at the first.
    #[must_use]
    pub fn one_way(&self, from: usize, to: usize) -> Duration {
        Duration::from_micros(self.means_us[self.at(from, to)].into())
    }

    fn at(&self, from: usize, to: usize) -> usize {
        from % self.places * self.places + to % self.places
    }

    /// Draws how long a packet travels: the mean, or a least time and above it a span without memory that together have the mean and
    /// the deviation measured.
    pub(crate) fn draw(&self, from: usize, to: usize, rng: &mut ChaCha8Rng) -> Duration {
        let mean = self.one_way(from, to);
        let Some(deviation_us) = self.deviations_us.get(self.at(from, to)) else { return mean };
        let deviation = Duration::from_micros((*deviation_us).into()).min(mean / 2);
        let rest: f64 = 1.0 - rng.random::<f64>();
        mean - deviation + Duration::from_micros((micros(deviation) as f64 * -rest.ln()).round() as u64)
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "latencies between {} places", self.places)
    }
}

/// One round trip in milliseconds; 0 if it was not measured.
fn round_trip(cell: &str) -> Result<f64, String> {
    match cell.trim() {
        "" => Ok(0.0),
        cell => match cell.parse::<f64>() {
            Ok(trip) if (0.0..=LONGEST_TRIP_MS).contains(&trip) => Ok(trip),
            Ok(trip) => Err(format!("{trip} ms is no round trip: it is from 0 to {LONGEST_TRIP_MS}")),
            Err(_) => Err(format!("not a number: {cell}")),
        },
    }
}

/// Why a text is no matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct MatrixError {
    /// The file, with line and column where that helps.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

const WONDER_MEANS: &[u8] = include_bytes!("../data/wonder222_rtt_avg_ms.csv.gz");
const WONDER_DEVIATIONS: &[u8] = include_bytes!("../data/wonder222_rtt_stddev_ms.csv.gz");
const GZIP: [u8; 2] = [0x1f, 0x8b]; // RFC 1952, section 2.3.1
const LONGEST_BYTES: u64 = 256 << 20; // 4000 places and more; a small packed file can be a huge one
const LONGEST_TRIP_MS: f64 = 1e6; // a quarter of an hour: whoever has longer ones mistakes the unit

#[cfg(test)]
mod tests;
