//! `seqid-server serve`.

use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use seqid_core::ImplicitPolicy;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use crate::compose::{self, Composed};
use crate::config::Config;
use crate::connections::{Answering, Protocol};
use crate::relay::Delivery;
use crate::shutdown::Signals;
use crate::{connections, files, say, telemetry};

/// The least time that events have to reach their file when the service stops.
const LEAST_DELIVERY: Duration = Duration::from_secs(2);

/// Serves until a signal ends it.
///
/// # Errors
/// Whatever keeps the service from starting, or from closing its store.
pub(crate) fn run(config: Config) -> anyhow::Result<ExitCode> {
    until_stopped(config, serve)
}

/// Runs until it ends by itself, which the first signal asks it for, or until the second.
///
/// # Errors
/// Those of what runs.
pub(crate) fn until_stopped<F>(
    config: Config,
    what: impl FnOnce(Config, watch::Receiver<bool>) -> F,
) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    telemetry::start(&config.log_level, config.log_format);
    files::allow();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let ended = runtime.block_on(async {
        let signals = Signals::listen().context("cannot listen for signals")?;
        let (stop, stopping) = watch::channel(false);
        let mut serving = tokio::spawn(what(config, stopping));
        tokio::select! {
            ended = &mut serving => ended.context("the service failed")?.map(|()| None),
            asked = signals.second(&stop) => Ok(Some(asked)),
        }
    });
    match ended {
        Ok(None) => {
            runtime.shutdown_background();
            Ok(ExitCode::SUCCESS)
        }
        Ok(Some(asked)) => {
            // To drop it would close the store, which may be what takes so long.
            std::mem::forget(runtime);
            Ok(asked.exit_code())
        }
        Err(error) => Err(error),
    }
}

async fn serve(config: Config, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let socket = bind(config.listen, "PORT")?;
    let grpc_socket = config
        .grpc_listen
        .map(|address| bind(address, "GRPC_PORT"))
        .transpose()?;
    let composed = compose::compose(&config, stop.clone()).await?;
    let Composed {
        store,
        events,
        checkpoints,
        router,
        calls,
        metrics,
        ..
    } = composed;
    let (listener, address) = listen(socket, config.listen, "PORT")?;
    let grpc = match grpc_socket.zip(config.grpc_listen) {
        Some((socket, address)) => Some(listen(socket, address, "GRPC_PORT")?),
        None => None,
    };
    let grpc_address = grpc.as_ref().map(|(_, address)| *address);

    say(
        &mut io::stdout(),
        &banner(
            address,
            grpc_address,
            &config.place(),
            first_definition(config.implicit, config.unfenced),
        ),
    );
    tracing::info!(
        %address,
        grpc = grpc_address.map(tracing::field::display),
        store = config.place(),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "NO AUTHENTICATION: whoever reaches this address can draw and reset numbers");
    }

    let delivery = events.map(|(sink, progress)| Delivery::start(Arc::clone(&store) as _, sink, progress));
    let checkpoints = checkpoints.map(|file| file.start(Arc::clone(&store) as _));
    let serve = |listener, protocol, router| {
        let metrics = Arc::clone(&metrics);
        let answering = Answering {
            protocol,
            router,
            metrics,
        };
        connections::serve(listener, answering, stop.clone(), config.shutdown)
    };
    let rest = serve(listener, Protocol::Rest, router);
    match grpc {
        Some((listener, _)) => {
            let ((), ()) = tokio::join!(rest, serve(listener, Protocol::Grpc, calls));
        }
        None => rest.await,
    }
    let ending = Instant::now();
    if let Err(error) = store.settle().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "leased numbers were not given back; that is tried again when the store is closed"
        );
    }
    if let Some(delivery) = delivery {
        delivery.finish(config.shutdown.max(LEAST_DELIVERY)).await;
    }
    if let Some(checkpoints) = checkpoints {
        checkpoints.finish(config.shutdown.max(LEAST_DELIVERY)).await;
    }
    store.close().await.context("the store was not closed cleanly")?;
    tracing::info!(took = ?ending.elapsed(), "stopped");
    Ok(())
}

/// Takes the address without answering on it yet: a port that is taken is found before the store is touched, and
/// nobody connects before there is somebody to answer.
pub(crate) fn bind(address: SocketAddr, variable: &str) -> anyhow::Result<TcpSocket> {
    let attempt = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        // Connections of an earlier run that the kernel still remembers do not count as taking the port.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    attempt().map_err(|error| cannot_listen(address, variable, error))
}

/// Begins to accept connections, and tells where.
pub(crate) fn listen(
    socket: TcpSocket,
    address: SocketAddr,
    variable: &str,
) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = socket
        .listen(connections::BACKLOG)
        .map_err(|error| cannot_listen(address, variable, error))?;
    let address = listener
        .local_addr()
        .context("cannot tell on which port it listens")?;
    Ok((listener, address))
}

fn cannot_listen(address: SocketAddr, variable: &str, error: io::Error) -> anyhow::Error {
    let (ip, port) = (address.ip(), address.port());
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "port {port} is taken by another program: stop that one, or choose another port with {variable}"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "this machine does not have the address {ip}: set SEQID_BIND to one that it has, or to 0.0.0.0"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {port} needs a privilege: choose one from 1024 up with {variable}")
        }
        _ => return anyhow!(error).context(format!("cannot listen on {address}")),
    };
    anyhow!("cannot listen on {address}: {advice}")
}

/// What a person who has just started the service wants to know.
fn banner(address: SocketAddr, grpc: Option<SocketAddr>, place: &str, definition: Option<&str>) -> String {
    let url = format!("http://{}", reachable(address));
    let mut text = format!("seqid listens on http://{address} and keeps its numbers in {place}\n");
    if let Some(grpc) = grpc {
        let _infallible = writeln!(text, "For gRPC it listens on {grpc}.");
    }
    text += if address.ip().is_loopback() {
        "It asks nobody who they are, and can be reached from this machine only.\n"
    } else {
        "WARNING: NO AUTHENTICATION. Whoever reaches this address can draw and reset numbers.\n"
    };
    let mut command = |title, method, path, body| {
        let line = format!("curl -X {method} {url}{path} -H 'Content-Type: application/json' -d '{body}'");
        let _infallible = write!(text, "\n{title}:\n  {line}\n");
    };
    if let Some(definition) = definition {
        command("Define a sequence", "PUT", "/api/v1/sequences/INV", definition);
    }
    command("Draw a number", "POST", "/api/v1/next", r#"{"prefix":"INV"}"#);
    let _infallible = write!(text, "\nAll that it can do: {url}/docs");
    text
}

/// What is to be defined before the first draw, if anything is.
const fn first_definition(implicit: ImplicitPolicy, unfenced: bool) -> Option<&'static str> {
    match implicit {
        ImplicitPolicy::Always => None,
        _ if unfenced => Some(r#"{"format":"{prefix}-{seq:3}","mode":"ordered"}"#),
        _ => Some(r#"{"format":"{prefix}-{seq:3}"}"#),
    }
}

/// The address under which this machine reaches it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_names_an_address_that_can_be_called() {
        let banner = |address: &str| banner(address.parse().unwrap(), None, "seqid.db", None);
        assert!(banner("127.0.0.1:8080").contains("curl -X POST http://127.0.0.1:8080/api/v1/next"));
        assert!(banner("0.0.0.0:8080").contains("curl -X POST http://127.0.0.1:8080/api/v1/next"));
        assert!(banner("[::]:8080").contains("curl -X POST http://[::1]:8080/api/v1/next"));
        assert!(banner("10.1.2.3:1").contains("curl -X POST http://10.1.2.3:1/api/v1/next"));
    }

    #[test]
    fn the_banner_says_where_grpc_is() {
        let (rest, grpc) = (
            "127.0.0.1:8080".parse().unwrap(),
            "127.0.0.1:9090".parse().unwrap(),
        );
        let banner = |grpc| banner(rest, grpc, "seqid.db", None);
        assert!(banner(Some(grpc)).contains("For gRPC it listens on 127.0.0.1:9090."));
        assert!(!banner(None).contains("gRPC"));
    }

    #[test]
    fn the_banner_says_that_nobody_is_asked_who_they_are() {
        let banner = |address: &str| banner(address.parse().unwrap(), None, "seqid.db", None);
        assert!(banner("127.0.0.1:8080").contains("from this machine only"));
        assert!(banner("0.0.0.0:8080").contains("NO AUTHENTICATION"));
    }

    #[test]
    fn a_sequence_is_defined_first_where_draws_do_not_define_it() {
        for (policy, defines) in [
            (ImplicitPolicy::Always, false),
            (ImplicitPolicy::UntilFirstDefinition, true),
            (ImplicitPolicy::Never, true),
        ] {
            let definition = first_definition(policy, false);
            let text = banner("127.0.0.1:80".parse().unwrap(), None, "seqid.db", definition);
            assert_eq!(text.contains("curl -X PUT"), defines, "{policy:?}");
        }
        let unfenced = first_definition(ImplicitPolicy::Never, true);
        let text = banner("127.0.0.1:80".parse().unwrap(), None, "Redis", unfenced);
        assert!(text.contains(r#""mode":"ordered""#), "{text}");
    }
}
