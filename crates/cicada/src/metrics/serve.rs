//! `GET /metrics` over HTTP/1.1, and nothing else of HTTP: a scraper asks, gets the text, and the connection is closed.
//!
//! Bounded: a few connections at once, a short head, a few seconds for everything.

use super::SCRAPE_TIMEOUT;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

/// Serves a peer's figures until it is dropped or the peer is closed. It does not keep the peer alive.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsServer {
    /// `text` gives the figures as long as there are any, `closed` comes when there will be none any more.
    pub(crate) async fn start<T, F>(address: SocketAddr, text: T, closed: impl Future<Output = ()> + Send + 'static) -> io::Result<Self>
    where
        T: Fn() -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Option<String>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let serving = serve(listener, text);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = serving => {}
                () = closed => {}
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<T, F>(listener: TcpListener, text: T)
where
    T: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<String>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: it must not become a busy loop.
                tracing::warn!(%error, "metrics: no connection accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            // Whoever holds the places does so for a few seconds at most.
            tracing::debug!("metrics: too many connections");
            continue;
        };
        let text = text.clone();
        connections.spawn(async move {
            if timeout(SCRAPE_TIMEOUT, answer(stream, text)).await.is_err() {
                tracing::debug!("metrics: a scraper took too long");
            }
            drop(place);
        });
    }
}

async fn answer<F: Future<Output = Option<String>>>(mut stream: TcpStream, text: impl Fn() -> F) {
    let response = match read_head(&mut stream).await {
        Ok(Some(head)) => respond(&head, text).await,
        Ok(None) => plain("431 Request Header Fields Too Large", "", "the head of the request is too long\n"),
        Err(error) => {
            tracing::debug!(%error, "metrics: no request");
            return;
        }
    };
    if let Err(error) = stream.write_all(&response).await {
        tracing::debug!(%error, "metrics: not sent");
        return;
    }
    // The scraper may have gone.
    let _ = stream.shutdown().await;
    // What it still says is read, so that closing does not take back what was sent.
    let mut rest = [0; 512];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

/// Reads to the empty line after the head; `None` when there is none within the limit.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while head.len() < HEAD_BYTES {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Parts may split the empty line.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&part[..read]);
        if head[from..].windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

async fn respond<F: Future<Output = Option<String>>>(head: &[u8], text: impl Fn() -> F) -> Vec<u8> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, path, version) = (words.next(), words.next(), words.next());
    if !version.is_some_and(|version| version.starts_with("HTTP/1.")) || words.next().is_some() {
        return plain("400 Bad Request", "", "this is no HTTP/1 request\n");
    }
    let with_body = match method {
        Some("GET") => true,
        Some("HEAD") => false,
        Some(_) | None => return plain("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "only GET and HEAD\n"),
    };
    let path = path.unwrap_or_default().split('?').next().unwrap_or_default();
    if path != "/metrics" {
        return plain("404 Not Found", "", "the figures are at /metrics\n");
    }
    match text().await {
        Some(text) => response("200 OK", "", CONTENT_TYPE, &text, with_body),
        None => plain("503 Service Unavailable", "", "the peer is closed\n"),
    }
}

fn plain(status: &str, fields: &str, text: &str) -> Vec<u8> {
    response(status, fields, "text/plain; charset=utf-8", text, true)
}

fn response(status: &str, fields: &str, content_type: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{fields}Connection: close\r\n\r\n");
    let body = if with_body { body } else { "" };
    [head.as_bytes(), body.as_bytes()].concat()
}

/// OpenMetrics 1.0, section "Overall structure".
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Scrapers at once.
const CONNECTIONS: usize = 8; // guess: there are one or two

/// A request's head is not longer; a scraper's has a few hundred bytes.
const HEAD_BYTES: usize = 8 * 1024;

/// After a connection that could not be accepted.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100); // guess
