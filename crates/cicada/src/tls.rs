//! TLS 1.3 with raw public keys (RFC 7250): both ends prove their Ed25519 key, and nothing else.
//!
//! Any key is accepted here; whose it should be is decided by whoever looks at the link afterwards.

use cicada_wire::{Identity, PublicKey, Signature};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureAlgorithm, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, Signer, SigningKey},
    version::TLS13,
};
use std::sync::Arc;

/// Both ends' configurations, which may fail to be made only if the provider lacks what TLS 1.3 over QUIC needs.
pub(crate) fn configurations(identity: &Identity) -> Result<(QuicClientConfig, QuicServerConfig), Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = Arc::new(certified(identity));
    Ok((client(&provider, &key)?, server(&provider, &key)?))
}

fn client(provider: &Arc<CryptoProvider>, key: &Arc<CertifiedKey>) -> Result<QuicClientConfig, Error> {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Names mean nothing here, and a resumed session would prove no key.
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    QuicClientConfig::try_from(config).map_err(|error| Error::General(error.to_string()))
}

fn server(provider: &Arc<CryptoProvider>, key: &Arc<CertifiedKey>) -> Result<QuicServerConfig, Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(AnyKey))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    QuicServerConfig::try_from(config).map_err(|error| Error::General(error.to_string()))
}

/// The key that the other end of a connection has proven.
pub(crate) fn proven_key(connection: &quinn::Connection) -> Option<PublicKey> {
    let identity = connection.peer_identity()?;
    let keys = identity.downcast_ref::<Vec<CertificateDer<'static>>>()?;
    read_key(keys.first()?)
}

fn read_key(info: &[u8]) -> Option<PublicKey> {
    Some(PublicKey(info.strip_prefix(ED25519_INFO)?.try_into().ok()?))
}

fn write_key(key: &PublicKey) -> Vec<u8> {
    [ED25519_INFO, &key.0].concat()
}

fn certified(identity: &Identity) -> CertifiedKey {
    let info = write_key(&identity.public());
    CertifiedKey::new(vec![CertificateDer::from(info)], Arc::new(OurKey(identity.clone())))
}

/// Our identity as rustls wants it.
#[derive(Clone, Debug)]
struct OurKey(Identity);

impl SigningKey for OurKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(write_key(&self.0.public())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for OurKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).0.to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Accepts every Ed25519 key that signs the handshake.
#[derive(Debug)]
struct AnyKey;

impl AnyKey {
    fn check_key(info: &CertificateDer<'_>) -> Result<PublicKey, Error> {
        read_key(info).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
    }

    fn check_signature(
        message: &[u8],
        info: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = Self::check_key(info)?;
        let signature = signed.signature().try_into().map(Signature).ok();
        let holds = signed.scheme == SignatureScheme::ED25519 && signature.is_some_and(|signature| key.verify(message, &signature));
        if holds { Ok(HandshakeSignatureValid::assertion()) } else { Err(Error::InvalidCertificate(CertificateError::BadSignature)) }
    }
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::check_key(key).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(rustls::PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check_signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(&self, key: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: UnixTime) -> Result<ClientCertVerified, Error> {
        Self::check_key(key).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(rustls::PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check_signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Says that this is Cicada, and nothing of the swarm.
const ALPN: &[u8] = b"cicada/1";

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const ED25519_INFO: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
