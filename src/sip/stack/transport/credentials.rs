//! What TLS proves and whom it trusts (RFC 5922): certificates read from their files. A connection
//! keeps what it began with.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};

use super::config::{Certificate, PeerTls, Tls, TransportConfig};
use crate::sip::stack::error::TransportError as Error;

/// What new handshakes use.
#[derive(Clone)]
pub struct Credentials {
    /// For peers that connect; `None` without a certificate of our own: nobody can.
    pub server: Option<Arc<ServerConfig>>,
    /// For connections to the peers that are configured, by their index.
    peers: Vec<Arc<ClientConfig>>,
    /// For connections to anybody else: verified, and shown no certificate of ours.
    anybody: Arc<ClientConfig>,
}

impl Credentials {
    /// What a connection to this peer uses.
    pub fn client(&self, peer: Option<usize>) -> Arc<ClientConfig> {
        peer.and_then(|index| self.peers.get(index))
            .unwrap_or(&self.anybody)
            .clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Where the credentials are.
#[derive(Debug, Clone)]
pub struct Sources {
    tls: Tls,
    peers: Vec<PeerTls>,
}

impl Sources {
    /// The files that a configuration names; `None` where nothing speaks TLS.
    pub fn of(config: &TransportConfig) -> Option<Self> {
        let speaks = config
            .listen
            .iter()
            .any(|listen| listen.transport.is_secure());
        speaks.then(|| Sources {
            tls: config.tls.clone(),
            peers: config.peers.clone(),
        })
    }

    /// Reads all files.
    pub fn load(&self) -> Result<Credentials, Error> {
        let provider = Arc::new(ring::default_provider());
        let authorities = Arc::new(match &self.tls.authorities {
            Some(file) => roots(file)?,
            None => system_roots(),
        });
        let server = match &self.tls.certificate {
            Some(own) => Some(self.server(own, &provider)?),
            None => None,
        };
        let of_peer = |tls: &PeerTls| {
            let own = tls.certificate.as_ref().or(self.tls.certificate.as_ref());
            client(&authorities, tls.verify, own, &provider)
        };
        Ok(Credentials {
            server,
            anybody: client(&authorities, true, None, &provider)?,
            peers: self.peers.iter().map(of_peer).collect::<Result<_, _>>()?,
        })
    }

    fn server(
        &self,
        own: &Certificate,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<ServerConfig>, Error> {
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&own.chain, error))?;
        let builder = match &self.tls.client_authorities {
            Some(file) => {
                let roots = Arc::new(roots(file)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                    .build()
                    .map_err(|error| unusable(file, error))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let config = builder
            .with_single_cert(chain(&own.chain)?, key(&own.key)?)
            .map_err(|error| unusable(&own.chain, error))?;
        Ok(Arc::new(config))
    }

    /// When each file was last written; a missing one has no time.
    pub(super) fn stamps(&self) -> Vec<Option<SystemTime>> {
        let own = self.tls.certificate.iter();
        let peers = self.peers.iter().filter_map(|tls| tls.certificate.as_ref());
        own.chain(peers)
            .flat_map(|certificate| [&certificate.chain, &certificate.key])
            .chain(&self.tls.authorities)
            .chain(&self.tls.client_authorities)
            .map(|file| {
                std::fs::metadata(file)
                    .and_then(|about| about.modified())
                    .ok()
            })
            .collect()
    }
}

/// Whether the files could be used: those of the user agent, and of one peer.
pub fn check(tls: &Tls, peer: Option<&PeerTls>) -> Result<(), Error> {
    let sources = Sources {
        tls: tls.clone(),
        peers: peer.cloned().into_iter().collect(),
    };
    sources.load().map(|_| ())
}

fn client(
    authorities: &Arc<RootCertStore>,
    verify: bool,
    own: Option<&Certificate>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, Error> {
    let wrong = |error: rustls::Error| match own {
        Some(own) => unusable(&own.chain, error),
        None => unusable(Path::new("tls"), error),
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(wrong)?;
    let builder = if !verify {
        let anybody = Arc::new(Anybody(provider.clone()));
        builder
            .dangerous()
            .with_custom_certificate_verifier(anybody)
    } else if authorities.is_empty() {
        // Nobody is trusted: a machine without a store of its own and no `ca`.
        builder.with_root_certificates(authorities.clone())
    } else {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(authorities.clone(), provider.clone())
                .build()
                .map_err(|error| unusable(Path::new("tls"), error))?;
        builder.with_webpki_verifier(verifier)
    };
    let config = match own {
        Some(own) => builder
            .with_client_auth_cert(chain(&own.chain)?, key(&own.key)?)
            .map_err(wrong)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(file, error))?;
    if chain.is_empty() {
        return Err(unusable(file, "no PEM certificate in it"));
    }
    Ok(chain)
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unusable(file, error))
}

fn roots(file: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(file)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(file, error))?;
    }
    Ok(roots)
}

/// The authorities that this machine trusts.
fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate authority of this machine cannot be read");
    }
    let mut roots = RootCertStore::empty();
    // Stores hold old certificates that no verifier takes; the others serve.
    roots.add_parsable_certificates(found.certs);
    roots
}

fn unusable(file: &Path, why: impl fmt::Display) -> Error {
    Error::Certificate {
        file: file.to_owned(),
        why: why.to_string(),
    }
}

/// Takes any certificate whose owner holds its key (`tls.verify = false`).
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
