//! Versions of the application, as peers state them and require them of others.

use std::{fmt, str::FromStr};

/// A version on the wire: the three numbers of a semantic version, cut to their width. What comes after them is not sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Version {
    /// Incompatible with others.
    pub major: u8,
    /// Adds.
    pub minor: u16,
    /// Mends.
    pub patch: u16,
}

/// Not a semantic version, or not a requirement on one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a semantic version or requirement: {why}")]
pub struct VersionError {
    /// What was read.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl VersionError {
    #[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
    fn new(text: &str, error: semver::Error) -> Self {
        Self { text: text.to_owned(), why: error.to_string() }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let version = semver::Version::parse(text).map_err(|error| VersionError::new(text, error))?;
        // Cut, as on the wire.
        Ok(Self { major: version.major as u8, minor: version.minor as u16, patch: version.patch as u16 })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    pub(super) const BYTES: usize = 5;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let ([minor, minor_high], [patch, patch_high]) = (self.minor.to_le_bytes(), self.patch.to_le_bytes());
        [self.major, minor, minor_high, patch, patch_high]
    }

    pub(super) fn from_bytes([major, minor, minor_high, patch, patch_high]: [u8; Self::BYTES]) -> Self {
        Self { major, minor: u16::from_le_bytes([minor, minor_high]), patch: u16::from_le_bytes([patch, patch_high]) }
    }
}

/// Which versions are accepted, in the words of Cargo: `*`, `>=1.2.2`, `^0.3`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement(semver::VersionReq);

impl Requirement {
    /// Every version.
    #[must_use]
    pub fn any() -> Self {
        Self(semver::VersionReq::STAR)
    }

    /// Whether this one is accepted.
    #[must_use]
    pub fn accepts(&self, version: Version) -> bool {
        self.0.matches(&semver::Version::new(version.major.into(), version.minor.into(), version.patch.into()))
    }

    /// Whether every version is.
    #[must_use]
    pub fn accepts_all(&self) -> bool {
        self.0.comparators.is_empty()
    }
}

impl FromStr for Requirement {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        semver::VersionReq::parse(text).map(Self).map_err(|error| VersionError::new(text, error))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
