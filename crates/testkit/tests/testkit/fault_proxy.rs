use std::io::ErrorKind;
use std::time::Duration;

use agent_testkit::{Fault, FaultProxy, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const A_WHILE: Duration = Duration::from_millis(100);

/// Sends back what it gets.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
            });
        }
    });
    address
}

async fn passes(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"ping").await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"ping");
    Ok(())
}

async fn connected() -> (FaultProxy, TcpStream) {
    let proxy = FaultProxy::start(&echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    passes(&mut stream).await.unwrap();
    (proxy, stream)
}

#[tokio::test]
async fn reset_breaks_open_connections_and_pass_heals_for_new_ones() {
    let (proxy, mut stream) = connected().await;

    proxy.set(Fault::Reset);

    let error = stream.read_exact(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    proxy.set(Fault::Pass);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    passes(&mut stream).await.unwrap();
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn refuse_closes_the_port_and_pass_opens_the_same_one_again() {
    let (proxy, _stream) = connected().await;

    proxy.set(Fault::Refuse);

    // A connection that came just before is reset; then nobody listens.
    let refused = async || {
        let error = TcpStream::connect(proxy.address()).await.err()?;
        (error.kind() == ErrorKind::ConnectionRefused).then_some(())
    };
    until("the port is closed", Duration::from_secs(5), refused).await.unwrap();
    proxy.set(Fault::Pass);
    let open = async || TcpStream::connect(proxy.address()).await.ok();
    let mut stream = until("the port is open", Duration::from_secs(5), open).await.unwrap();
    passes(&mut stream).await.unwrap();
}

#[tokio::test]
async fn a_black_hole_keeps_connections_open_and_silent() {
    let (proxy, mut stream) = connected().await;

    proxy.set(Fault::Blackhole);

    assert!(tokio::time::timeout(A_WHILE, passes(&mut stream)).await.is_err());
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(tokio::time::timeout(A_WHILE, passes(&mut new)).await.is_err());
}

#[tokio::test]
async fn half_open_loses_the_answers_only() {
    let (proxy, mut stream) = connected().await;

    proxy.set(Fault::HalfOpen);
    assert!(tokio::time::timeout(A_WHILE, passes(&mut stream)).await.is_err());
    proxy.set(Fault::Pass);

    passes(&mut stream).await.unwrap();
}

#[tokio::test]
async fn cut_after_closes_in_the_middle_of_an_answer() {
    let (proxy, mut stream) = connected().await;

    proxy.set(Fault::CutAfter(6));
    stream.write_all(b"0123456789").await.unwrap();

    let mut answer = Vec::new();
    // A cut may end in a reset, as the client's last bytes were not read.
    stream.read_to_end(&mut answer).await.ok();
    assert_eq!(answer, b"012345");
}

#[tokio::test]
async fn a_delay_only_delays() {
    let (proxy, mut stream) = connected().await;

    proxy.set(Fault::Delay(Duration::from_millis(5)));

    passes(&mut stream).await.unwrap();
}

#[tokio::test]
async fn a_url_is_rewritten_to_the_proxy() {
    let (proxy, _stream) = connected().await;
    let url = proxy.in_front_of("postgres://u:p@db.example:5432/name?x=1").unwrap();
    assert_eq!(url, format!("postgres://u:p@127.0.0.1:{}/name?x=1", proxy.address().port()));
}
