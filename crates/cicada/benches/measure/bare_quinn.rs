//! The floor of a link: a QUIC connection by quinn alone, with raw public keys as ours has them, and nothing on top.

use quinn::{
    ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::AlwaysResolvesServerRawPublicKeys,
    sign::CertifiedKey,
    version::TLS13,
};
use std::{error::Error, net::SocketAddr, sync::Arc};

/// Two endpoints in this process and the connection between them.
pub(crate) struct BareQuinn {
    pub(crate) dialler: Connection,
    pub(crate) listener: Connection,
    // A connection ends with its endpoint.
    _endpoints: [Endpoint; 2],
}

impl BareQuinn {
    /// Connects them. `window_bytes` is what may be on its way; quinn's own default if there is none.
    pub(crate) async fn connect(window_bytes: Option<u32>) -> Result<Self, Box<dyn Error>> {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let transport = Arc::new(transport(window_bytes));
        let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server_crypto()?)?));
        server.transport_config(Arc::clone(&transport));
        let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client_crypto()?)?));
        client.transport_config(transport);
        let listening = Endpoint::server(server, any_port)?;
        let dialling = Endpoint::client(any_port)?;
        let incoming = async { Ok::<_, Box<dyn Error>>(listening.accept().await.ok_or("the endpoint is closed")?.await?) };
        let connecting = dialling.connect_with(client, listening.local_addr()?, "bare")?;
        let (dialler, listener) = tokio::join!(connecting, incoming);
        Ok(Self { dialler: dialler?, listener: listener?, _endpoints: [listening, dialling] })
    }
}

fn transport(window_bytes: Option<u32>) -> TransportConfig {
    let mut transport = TransportConfig::default();
    if let Some(bytes) = window_bytes {
        transport.stream_receive_window(VarInt::from_u32(bytes)).receive_window(VarInt::from_u32(bytes));
    }
    transport
}

fn server_crypto() -> Result<rustls::ServerConfig, rustls::Error> {
    let seed = [7; 32];
    let key = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from([PKCS8_BEFORE_SEED, &seed].concat()))?;
    let public = key.public_key().ok_or_else(|| rustls::Error::General("an Ed25519 key has a public half".to_owned()))?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], key);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(certified))));
    Ok(config)
}

fn client_crypto() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Accepts whoever signs.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8_BEFORE_SEED: &[u8] = &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
