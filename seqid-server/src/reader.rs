//! Connections whose other end has stopped reading.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection that fails once its other end has taken nothing of what is to be sent for so long.
///
/// A little is always taken: the buffers of both machines. So only an answer that is larger than these can wait.
#[derive(Debug)]
pub(crate) struct WithReader<C> {
    connection: C,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<C> WithReader<C> {
    pub(crate) const fn new(connection: C, patience: Duration) -> Self {
        Self {
            connection,
            patience,
            waiting: None,
        }
    }

    fn watched<T>(&mut self, sent: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.waiting = None;
            return sent;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other end does not read",
        )))
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for WithReader<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for WithReader<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.watched(sent, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.connection).poll_write_vectored(context, parts);
        self.watched(sent, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.connection).poll_flush(context);
        self.watched(sent, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.connection).poll_shutdown(context);
        self.watched(sent, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn whoever_reads_is_given_the_whole_time_again() {
        let (mut here, mut there) = tokio::io::duplex(8);
        let mut sender = WithReader::new(&mut here, Duration::from_secs(3_600));
        let write = |sender: &mut WithReader<_>| {
            let mut context = Context::from_waker(std::task::Waker::noop());
            Pin::new(sender).poll_write(&mut context, &[0; 8])
        };
        assert!(matches!(write(&mut sender), Poll::Ready(Ok(8))));
        assert!(write(&mut sender).is_pending() && sender.waiting.is_some());
        there.read_exact(&mut [0]).await.unwrap();
        assert!(matches!(write(&mut sender), Poll::Ready(Ok(1))));
        assert!(sender.waiting.is_none());
    }

    #[tokio::test]
    async fn an_end_that_reads_nothing_is_given_up() {
        let (mut here, _there) = tokio::io::duplex(8);
        let mut sender = WithReader::new(&mut here, Duration::from_millis(1));
        sender.write_all(&[0; 8]).await.unwrap();
        let failed = sender.write_all(&[0]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    }
}
