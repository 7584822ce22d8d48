//! The text of a key file, and what is wrong with it.
//!
//! A reader of its own, and no JSON library: the shape is fixed, so that any value but a text is refused where it stands; each fault
//! knows its line; nothing that was read as a key is ever quoted, or left in memory. It needs the ids of `cicada-wire` and nothing
//! else of this crate, so that it can be fuzzed without building the rest.

use cicada_wire::{Address, Hash, U256};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};
use zeroize::Zeroizing;

/// One entry that is not empty.
pub(super) struct Entry {
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    /// The id in its `peer`.
    pub(super) peer: Option<Hash>,
    pub(super) address: Option<Place>,
    pub(super) outbound: Key,
    pub(super) inbound: Key,
}

/// A key as it is written.
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) text: Zeroizing<String>,
}

/// What an `address` names. Nothing is resolved here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) line: usize,
    /// A name in lower case, or an IP address without brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// What is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) field: Option<Field>,
    pub(super) what: String,
}

/// The fields of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Peer,
    Address,
    OutboundKey,
    InboundKey,
}

impl Field {
    const ALL: [Self; 4] = [Self::Peer, Self::Address, Self::OutboundKey, Self::InboundKey];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Address => "address",
            Self::OutboundKey => "outbound_key",
            Self::InboundKey => "inbound_key",
        }
    }
}

/// Reads a whole file: the entries that are not empty, in their order. No two name the same peer, as far as their text says.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Fault> {
    let mut reader = Reader { text, at: 0, line: 1 };
    let mut entries = None;
    reader.members(|reader, line, name| {
        if name != LIST {
            return Err(fault(line, None, format!("{} is no field of a key file; wanted: `{LIST}`", quoted(name))));
        }
        if entries.is_some() {
            return Err(fault(line, None, format!("`{LIST}` stands there twice")));
        }
        entries = Some(hosts(reader)?);
        Ok(())
    })?;
    reader.end()?;
    let entries = entries.ok_or_else(|| fault(1, None, format!("`{LIST}` is missing")))?;
    refuse_duplicates(&entries)?;
    Ok(entries)
}

fn hosts(reader: &mut Reader<'_>) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::new();
    reader.elements(|reader| {
        entries.extend(entry(reader)?);
        Ok(())
    })?;
    Ok(entries)
}

/// One entry; `None` for an empty one.
fn entry(reader: &mut Reader<'_>) -> Result<Option<Entry>, Fault> {
    reader.blanks();
    let line = reader.line;
    let mut texts: [Option<Key>; 4] = Default::default();
    reader.members(|reader, line, name| {
        let Some(at) = Field::ALL.iter().position(|field| field.name() == name) else {
            return Err(fault(line, None, format!("{} is no field of an entry; there are {}", quoted(name), names())));
        };
        let field = Field::ALL[at];
        let text = reader.text().map_err(|fault| Fault { field: Some(field), ..fault })?;
        match texts[at].replace(Key { line, text }) {
            None => Ok(()),
            Some(_) => Err(fault(line, Some(field), "stands there twice")),
        }
    })?;
    if texts.iter().all(Option::is_none) {
        return Ok(None);
    }
    // One of the documented files leaves the address empty.
    let [peer, address, outbound, inbound] = texts.map(|text| text.filter(|text| !text.text.is_empty()));
    let missing = |field| fault(line, Some(field), "missing, or empty");
    let outbound = outbound.ok_or_else(|| missing(Field::OutboundKey))?;
    let inbound = inbound.ok_or_else(|| missing(Field::InboundKey))?;
    if peer.is_none() && address.is_none() {
        return Err(fault(line, Some(Field::Peer), "missing, and `address` too: one of them has to say whose keys these are"));
    }
    let peer = peer.map(|text| id(&text)).transpose()?;
    let address = address.map(|text| place(&text)).transpose()?;
    if let (Some(peer), Some(place)) = (peer, &address) {
        agree(peer, place)?;
    }
    Ok(Some(Entry { line, peer, address, outbound, inbound }))
}

fn id(text: &Key) -> Result<Hash, Fault> {
    // Decimal is what is documented: also where the digits are as many as those of a hexadecimal id.
    let id = U256::from_decimal(&text.text).map(Hash).or_else(|| Hash::from_hashed(&text.text).ok());
    id.ok_or_else(|| fault(text.line, Some(Field::Peer), "no id: wanted a decimal number below 2^256"))
}

fn place(text: &Key) -> Result<Place, Fault> {
    let wrong = |what: &str| fault(text.line, Some(Field::Address), what);
    let (host, port) = match text.text.rsplit_once(':') {
        Some((host, port)) if !text.text.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text.text.as_str(), None),
    };
    let port =
        port.map(|port| port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("no port after the colon: ports are 1 to 65535")));
    let port = port.transpose()?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    if bare.is_none() && host.contains(':') {
        return Err(wrong("no host:port; an IPv6 address stands in brackets"));
    }
    if bare.is_some() && host.parse::<Ipv6Addr>().is_err() {
        return Err(wrong("no IPv6 address in the brackets"));
    }
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || host.len() > LONGEST_NAME || !host.bytes().all(usual) {
        return Err(wrong("no host:port: that is no name of a host"));
    }
    let host = host.parse::<IpAddr>().map_or_else(|_| host.to_ascii_lowercase(), |ip| ip.to_canonical().to_string());
    let place = Place { line: text.line, host, port };
    match (place.ip(), place.port) {
        (Some(ip), port) => {
            let usable = Address::new((ip, port.unwrap_or(1)).into());
            usable.map(|_| place).map_err(|error| wrong(&format!("{error}")))
        }
        (None, _) => Ok(place),
    }
}

/// An address that needs no resolving is that of the peer, or the entry contradicts itself.
fn agree(peer: Hash, place: &Place) -> Result<(), Fault> {
    let wrong = |what: &str| Err(fault(place.line, Some(Field::Address), what));
    if place.port.is_none() {
        return wrong("without a port nobody can tell whether it is that of `peer`: add the port, or leave one of the two out");
    }
    match place.id() {
        Some(id) if id != peer => wrong("not that of `peer`: the two name two peers"),
        Some(_) | None => Ok(()),
    }
}

impl Place {
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The id of a peer there, where nothing has to be resolved for it.
    pub(super) fn id(&self) -> Option<Hash> {
        let address = Address::new((self.ip()?, self.port?).into()).ok()?;
        Some(address.id())
    }
}

impl Entry {
    /// The id of the peer, where nothing has to be resolved for it.
    pub(super) fn id(&self) -> Option<Hash> {
        self.peer.or_else(|| self.address.as_ref()?.id())
    }
}

/// Two sets of keys for one peer: which of them counts, nobody could tell.
fn refuse_duplicates(entries: &[Entry]) -> Result<(), Fault> {
    let (mut ids, mut places) = (BTreeMap::new(), BTreeMap::new());
    for entry in entries {
        let by_id = entry.id().and_then(|id| ids.insert(id, entry.line));
        let by_place = entry.address.as_ref().and_then(|place| places.insert((&place.host, place.port), entry.line));
        if let Some(before) = by_id.or(by_place) {
            let field = if entry.peer.is_some() { Field::Peer } else { Field::Address };
            return Err(fault(entry.line, Some(field), format!("names the same peer as the entry on line {before}")));
        }
    }
    Ok(())
}

fn fault(line: usize, field: Option<Field>, what: impl Into<String>) -> Fault {
    Fault { line, field, what: what.into() }
}

fn names() -> String {
    Field::ALL.map(Field::name).join(", ")
}

/// A field's name as it may be shown: one that could be anything is not.
fn quoted(name: &str) -> String {
    let usual = name.len() <= LONGEST_SHOWN && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if usual { format!("`{name}`") } else { "what stands there".to_owned() }
}

/// JSON (RFC 8259) as far as key files have it: objects, lists and texts.
struct Reader<'a> {
    text: &'a str,
    /// A place between two characters.
    at: usize,
    /// The line of that place, from 1.
    line: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// The next character; none at the end.
    fn next(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        self.line += usize::from(character == '\n');
        Some(character)
    }

    fn wanted(&self, what: &str) -> Fault {
        let column = 1 + self.text[..self.at].chars().rev().take_while(|character| *character != '\n').count();
        let end = if self.rest().is_empty() { ", but the file ends" } else { "" };
        fault(self.line, None, format!("wanted in column {column}: {what}{end}"))
    }

    fn blanks(&mut self) {
        while self.rest().starts_with([' ', '\t', '\n', '\r']) {
            self.next();
        }
    }

    /// Goes past this character if it comes next.
    fn take(&mut self, wanted: char) -> bool {
        self.blanks();
        let comes = self.rest().starts_with(wanted);
        self.at += if comes { wanted.len_utf8() } else { 0 };
        comes
    }

    fn expect(&mut self, wanted: char, what: &str) -> Result<(), Fault> {
        if self.take(wanted) { Ok(()) } else { Err(self.wanted(what)) }
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.blanks();
        if self.rest().is_empty() { Ok(()) } else { Err(self.wanted("nothing more")) }
    }

    /// An object: `member` reads the value of each name. The line is that of the name.
    fn members(&mut self, mut member: impl FnMut(&mut Self, usize, &str) -> Result<(), Fault>) -> Result<(), Fault> {
        self.expect('{', "an object, which begins with `{`")?;
        if self.take('}') {
            return Ok(());
        }
        loop {
            self.blanks();
            let line = self.line;
            let name = self.text().map_err(|_| self.wanted("the name of a field in double quotes"))?;
            self.expect(':', "`:` and the field's value")?;
            member(self, line, &name)?;
            if !self.take(',') {
                return self.expect('}', "`,` or `}`");
            }
        }
    }

    /// A list: `element` reads each of its values.
    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.expect('[', "a list, which begins with `[`")?;
        if self.take(']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.take(',') {
                return self.expect(']', "`,` or `]`");
            }
        }
    }

    /// A text, without its quotes. Nothing is read if it is none.
    fn text(&mut self) -> Result<Zeroizing<String>, Fault> {
        let before = (self.at, self.line);
        let text = self.quoted_text();
        if text.is_err() {
            (self.at, self.line) = before;
        }
        text
    }

    fn quoted_text(&mut self) -> Result<Zeroizing<String>, Fault> {
        self.expect('"', "a text in double quotes")?;
        // A text that grows would leave what it outgrew in memory. No escape is shorter than what it stands for.
        let longest = self.rest().find('"').unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(longest));
        loop {
            if self.rest().starts_with(|next: char| next < ' ') {
                return Err(self.wanted("no control character within a text"));
            }
            match self.next() {
                None => return Err(self.wanted("the end of a text")),
                Some('"') => return Ok(text),
                Some('\\') => {
                    let character = self.escaped().ok_or_else(|| self.wanted("an escape of JSON after the backslash"))?;
                    push(&mut text, character);
                }
                Some(usual) => push(&mut text, usual),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        match self.next()? {
            letter @ ('"' | '\\' | '/') => Some(letter),
            'b' => Some('\x08'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => self.by_number(),
            _ => None,
        }
    }

    /// What follows `\u`: four digits, or a pair of surrogates.
    fn by_number(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if !self.rest().starts_with("\\u") {
            return None;
        }
        self.at += 2;
        let second = self.four_digits().filter(|second| (0xdc00..0xe000).contains(second))?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(number)
    }
}

/// Without leaving the text's bytes where it stood, should it have to move.
fn push(text: &mut Zeroizing<String>, character: char) {
    if text.capacity() - text.len() < character.len_utf8() {
        let mut larger = Zeroizing::new(String::with_capacity(2 * text.capacity() + 4));
        larger.push_str(text);
        *text = larger;
    }
    text.push(character);
}

/// The one field of the file.
const LIST: &str = "trusted_hosts";

/// RFC 1035, section 2.3.4: 255 octets on the wire, 253 characters in text.
const LONGEST_NAME: usize = 253;

/// Guess: a misspelt name of a field is no longer.
const LONGEST_SHOWN: usize = 32;
