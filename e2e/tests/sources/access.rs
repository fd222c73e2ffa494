//! Who may ask: passwords and TLS by Prometheus itself, bearer tokens by what stands before it.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use secrecy::SecretString;
use serde_json::{Value, json};
use sluice::cluster::prometheus::{Access, Credentials, Prometheus as Client, Trust};
use sluice_e2e::prometheus::{Options, Prometheus};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The password `test` by bcrypt, as Prometheus' own documentation has it.
pub(crate) const HASH: &str = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay";

/// Authorities in PEM, and a server's certificate and key from them, in files.
struct Certificates {
    authorities: Vec<u8>,
    web: Value,
    _folder: tempfile::TempDir,
}

fn certificates() -> Certificates {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).unwrap();
    let issuer = Issuer::new(parameters, key);
    let server_key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let server = CertificateParams::new(names).unwrap();
    let server = server.signed_by(&server_key, &issuer).unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, server.pem()).unwrap();
    std::fs::write(&key, server_key.serialize_pem()).unwrap();
    Certificates {
        authorities: authority.pem().into_bytes(),
        web: json!({"cert_file": cert, "key_file": key}),
        _folder: folder,
    }
}

fn basic(user: &str, password: &str) -> Option<Credentials> {
    Some(Credentials::Basic {
        user: user.to_owned(),
        password: SecretString::from(password),
    })
}

fn bearer(token: &str) -> Option<Credentials> {
    Some(Credentials::Bearer(SecretString::from(token)))
}

fn access(credentials: Option<Credentials>, trust: Trust) -> Access {
    Access {
        credentials,
        trust,
        ..Access::default()
    }
}

/// What asking says: how many series, or why not.
async fn asked(url: &str, access: Access) -> Result<usize, String> {
    sluice::tls::set_up();
    let client = Client::with(url, access).unwrap();
    let series = client.query("vector(1)").await;
    series
        .map(|series| series.len())
        .map_err(|error| error.to_string().replace(url, "URL"))
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_itself_asks_for_a_password_over_tls() {
    let certificates = certificates();
    let web = json!({"basic_auth_users": {"ann": HASH}, "tls_server_config": certificates.web});
    let options = Options {
        web: Some(web),
        ..Options::default()
    };
    let prometheus = Prometheus::start(&options).await;
    let url = format!("https://{}", prometheus.address());
    let own = || Trust::Authorities(certificates.authorities.clone());
    let unreachable = Err("Prometheus at URL/ cannot be reached".to_owned());
    let denied = |sent: &str| {
        Err(format!(
            "Prometheus at URL/ answered 401 Unauthorized to {sent}: Unauthorized"
        ))
    };
    let password = "the password of user \"ann\"";
    let cases = [
        (basic("ann", "test"), own(), Ok(1)),
        (basic("ann", "test"), Trust::Unverified, Ok(1)),
        (basic("ann", "test"), Trust::System, unreachable),
        (basic("ann", "s3cret"), own(), denied(password)),
        (bearer("test"), own(), denied("a bearer token")),
        (None, own(), denied("no credentials")),
    ];
    for (credentials, trust, expected) in cases {
        let shown = format!("{credentials:?} {trust:?}");
        assert_eq!(
            asked(&url, access(credentials, trust)).await,
            expected,
            "{shown}"
        );
    }
}

/// A front that lets requests with a bearer token through to an address.
async fn front(token: &'static str, behind: std::net::SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 16 * 1024];
            let length = stream.read(&mut head).await.unwrap();
            let head = &head[..length];
            let wanted = format!("\r\nauthorization: Bearer {token}\r\n");
            if !String::from_utf8_lossy(head).contains(&wanted) {
                let refusal = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 6\r\n\r\nno way";
                stream.write_all(refusal.as_bytes()).await.unwrap();
                continue;
            }
            let mut server = TcpStream::connect(behind).await.unwrap();
            server.write_all(head).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_opens_what_stands_before_prometheus() {
    let prometheus = Prometheus::start(&Options::default()).await;
    let url = front("t0ken", prometheus.address()).await;
    let denied = |sent: &str| {
        Err(format!(
            "Prometheus at URL/ answered 403 Forbidden to {sent}: no way"
        ))
    };
    let cases = [
        (bearer("t0ken"), Ok(1)),
        (bearer("other"), denied("a bearer token")),
        (None, denied("no credentials")),
    ];
    for (credentials, expected) in cases {
        let shown = format!("{credentials:?}");
        assert_eq!(
            asked(&url, access(credentials, Trust::System)).await,
            expected,
            "{shown}"
        );
    }
}
