//! libpq's `sslmode` on rustls, with ring and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How much of TLS is asked for; libpq's names and meanings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server has it; whoever it is.
    #[default]
    Prefer,
    /// Yes; whoever the server is. Where a root certificate is given: as [`SslMode::VerifyCa`], like libpq.
    Require,
    /// The server's certificate must come from a known authority.
    VerifyCa,
    /// And it must be made for the host's name.
    VerifyFull,
}

/// TLS settings.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// How much.
    pub mode: SslMode,
    /// File with trusted certificates (PEM). `None`: the system's.
    pub root_cert: Option<PathBuf>,
}

/// Why there is no TLS connector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of trusted certificates cannot be used.
    #[error("read trusted certificates from `{path}`: {reason}")]
    RootCert {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no trusted certificates, and none were given.
    #[error("the system has no trusted certificates; name a file of them (POSTGRES_SSLROOTCERT)")]
    NoRoots,
    /// The TLS library refused the settings.
    #[error("set up TLS: {0}")]
    Setup(String),
}

impl SslMode {
    /// Reads libpq's word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    pub(crate) const fn of_client(self) -> tokio_postgres::config::SslMode {
        match self {
            Self::Disable => tokio_postgres::config::SslMode::Disable,
            Self::Prefer => tokio_postgres::config::SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => tokio_postgres::config::SslMode::Require,
        }
    }
}

impl Tls {
    /// The connector for `tokio_postgres`; it is cheap to clone.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn connector(&self) -> Result<MakeRustlsConnect, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let any_name = |chain| Arc::new(AnyName { provider: provider.clone(), chain });
        let verifier: Arc<dyn ServerCertVerifier> = match (self.mode, &self.root_cert) {
            (SslMode::Disable | SslMode::Prefer, _) | (SslMode::Require, None) => any_name(None),
            (SslMode::Require | SslMode::VerifyCa, _) => any_name(Some(self.chain(&provider)?)),
            (SslMode::VerifyFull, _) => self.chain(&provider)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }

    fn chain(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
        let roots = match &self.root_cert {
            Some(path) => from_file(path)?,
            None => from_system()?,
        };
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| TlsError::Setup(error.to_string()))
    }
}

fn from_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let wrong = |reason: String| TlsError::RootCert { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong(io::Error::from(io::ErrorKind::UnexpectedEof).to_string()));
    }
    Ok(roots)
}

fn from_system() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// Does not ask for the server's name: what libpq does below `verify-full`.
#[derive(Debug)]
struct AnyName {
    provider: Arc<CryptoProvider>,
    /// Which authorities may have signed the certificate. `None`: it is not looked at, as in libpq's `prefer` and
    /// `require`; then the connection is only encrypted.
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // The chain is checked before the name, so a wrong name means that the chain is right.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
