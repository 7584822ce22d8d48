//! `HOST:PORT` as people write it.

use std::fmt;
use std::str::FromStr;

/// A host name or address and a port, as given; nothing is resolved here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("`{text}` has no port; write HOST:PORT"));
        };
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(inner)) => inner,
            Some(None) => return Err(format!("`{text}` opens a bracket and does not close it")),
            None if host.contains(':') => {
                return Err("write an IPv6 address in brackets: [::1]:49610".to_owned());
            }
            None => host,
        };
        if host.is_empty() {
            return Err(format!("`{text}` has no host; write HOST:PORT"));
        }
        match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Self { host: host.to_owned(), port }),
            Ok(_) | Err(_) => Err(format!("`{port}` is no port; ports are 1 to 65535")),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_both_families_read_and_print_the_same() {
        for text in ["localhost:49610", "10.0.0.1:1", "[::1]:65535", "a-b.example:80"] {
            let parsed: HostPort = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        let wrong = [
            ("localhost", "no port"),
            (":49610", "no host"),
            ("[]:49610", "no host"),
            ("::1:49610", "in brackets"),
            ("[::1:49610", "does not close"),
            ("localhost:", "is no port"),
            ("localhost:0", "is no port"),
            ("localhost:65536", "is no port"),
            ("localhost:http", "is no port"),
        ];
        for (text, part) in wrong {
            let error = text.parse::<HostPort>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
