//! Calls over real sockets on the loopback interface.

use std::net::SocketAddr;
use std::time::Duration;

use rxrpc_tokio::{
    AbortCode, Builder, Bytes, Call, CallError, CallOptions, CallStream, Endpoint, NetworkError, ReadError,
    ServiceOptions, Target, UnaryError, bind, bind_any,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

const SERVICE: u16 = 52;
const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn local(addr: &str) -> Endpoint {
    bind(addr.parse().unwrap()).unwrap()
}

/// An endpoint that echoes every call, while the returned handle lives, and where to find it.
fn echo_server(addr: &str) -> (Endpoint, Target) {
    echo_at(local(addr))
}

fn echo_at(endpoint: Endpoint) -> (Endpoint, Target) {
    let target = Target::new(endpoint.local_addr().unwrap(), SERVICE);
    let mut listener = endpoint.listen(SERVICE, ServiceOptions::default()).unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = listener.accept().await {
            if let Ok(call) = incoming.accept() {
                tokio::spawn(echo(call));
            }
        }
    });
    (endpoint, target)
}

async fn echo(mut call: Call) {
    let request = call.read_to_end(usize::MAX / 2).await.unwrap();
    call.write_bytes(request).await.unwrap();
    call.finish().unwrap();
    call.outcome().await.unwrap();
}

#[tokio::test]
async fn any_length_is_echoed_over_ipv4_and_ipv6() {
    for addr in [V4, V6] {
        let (_server, target) = echo_server(addr);
        let client = local(addr);
        for len in [0, 1, 1_412, 1_413, 100_000, 10_000_000] {
            let data = Bytes::from(pattern(len));
            let reply = client.call_unary(target, data.clone(), len).await;
            assert!(reply == Ok(data), "{len} bytes over {addr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_calls_run_at_the_same_time() {
    let (_server, target) = echo_server(V4);
    let client = local(V4);
    let calls: Vec<_> = (0..64)
        .map(|i| {
            let client = client.clone();
            tokio::spawn(async move {
                let data = Bytes::from(pattern(i * 5_000));
                client.call_unary(target, data.clone(), data.len()).await == Ok(data)
            })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
}

/// Send buffers far smaller than the data, so that writers wait all the time, for their own calls and for
/// the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_small_buffers_wait_and_are_woken_until_all_is_through() {
    let tight = || {
        let builder = Builder::new().configure(|config| {
            config.limits.send_per_call = 6_000;
            config.limits.send_total = 50_000;
        });
        builder.bind(V4.parse().unwrap()).unwrap()
    };
    let server = tight();
    let target = Target::new(server.local_addr().unwrap(), SERVICE);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = listener.accept().await {
            let mut call = incoming.accept().unwrap();
            tokio::spawn(async move {
                let mut sum = 0_u64;
                let mut buf = [0; 1_000];
                loop {
                    match call.read(&mut buf).await.unwrap() {
                        0 => break,
                        n => sum += buf[..n].iter().map(|&byte| u64::from(byte)).sum::<u64>(),
                    }
                }
                call.write_all(&sum.to_be_bytes().repeat(10_000)).await.unwrap();
                call.finish().unwrap();
            });
        }
    });
    let client = tight();
    let calls: Vec<_> = (0..16)
        .map(|i| {
            let mut call = client.call(target, CallOptions::default()).unwrap();
            tokio::spawn(async move {
                let data = pattern(100_000 + i);
                for piece in data.chunks(777) {
                    call.write_all(piece).await.unwrap();
                }
                call.finish().unwrap();
                let sum: u64 = data.iter().map(|&byte| u64::from(byte)).sum();
                let reply = call.read_to_end(80_000).await.unwrap();
                assert!(reply == sum.to_be_bytes().repeat(10_000));
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_small_calls_in_a_row_succeed() {
    let (_server, target) = echo_server(V4);
    let client = local(V4).client(target);
    for i in 0..1_000_u32 {
        let request = Bytes::copy_from_slice(&i.to_be_bytes());
        assert_eq!(client.call_unary(request.clone(), 4).await, Ok(request));
    }
}

#[tokio::test]
async fn ten_megabytes_stream_both_ways_through_the_tokio_traits() {
    let server = local(V4);
    let target = Target::new(server.local_addr().unwrap(), SERVICE);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    tokio::spawn(async move {
        let call = listener.accept().await.unwrap().accept().unwrap();
        let mut stream = CallStream(call);
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await.unwrap();
        stream.write_all(&request).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.0.outcome().await.unwrap();
    });
    let data = pattern(10_000_000);
    let mut stream = CallStream::from(local(V4).call(target, CallOptions::default()).unwrap());
    stream.write_all(&data).await.unwrap();
    stream.flush().await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert!(reply == data);
    assert_eq!(stream.0.outcome().await, Ok(()));
}

#[tokio::test]
async fn dropping_an_unfinished_call_aborts_it_at_the_peer() {
    let server = local(V4);
    let target = Target::new(server.local_addr().unwrap(), SERVICE);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let client = local(V4);
    let mut call = client.call(target, CallOptions::default()).unwrap();
    call.write_all(b"half").await.unwrap();
    call.flush();
    let mut served = listener.accept().await.unwrap().accept().unwrap();
    assert_eq!(served.read_chunk(100).await, Ok(Some(Bytes::from_static(b"half"))));
    drop(call);
    let error = CallError::RemoteAbort(AbortCode::RX_USER_ABORT);
    assert_eq!(served.read_chunk(100).await, Err(ReadError::Ended(error)));
    assert_eq!(served.outcome().await, Err(error));
}

#[tokio::test]
async fn a_call_to_a_closed_port_ends_with_port_unreachable() {
    for addr in [V4, V6] {
        let gone = local(addr);
        let target = Target::new(gone.local_addr().unwrap(), SERVICE);
        gone.close().await;
        let (_server, other) = echo_server(addr);
        let client = local(addr);
        for _ in 0..3 {
            let error = CallError::Network(NetworkError::PortUnreachable);
            let reply = client.call_unary(target, "request", 100).await;
            assert_eq!(reply, Err(UnaryError::Call(error)), "{addr}");
            // Other peers are none the worse.
            let reply = client.call_unary(other, "request", 100).await;
            assert_eq!(reply, Ok(Bytes::from_static(b"request")));
        }
    }
}

#[tokio::test]
async fn a_dual_stack_client_calls_over_ipv4_and_ipv6() {
    let client = bind_any().unwrap();
    for addr in [V4, V6] {
        let (_server, target) = echo_server(addr);
        let reply = client.call_unary(target, "request", 100).await;
        assert_eq!(reply, Ok(Bytes::from_static(b"request")));
    }
}

#[tokio::test]
async fn dropping_the_driver_fails_calls_with_endpoint_closed() {
    let socket = rxrpc_tokio::udp::UdpSocket::bind(V4.parse().unwrap(), &Default::default()).unwrap();
    let (driver, endpoint) = Builder::new().driver(socket).unwrap();
    let driver = tokio::spawn(driver);
    let target = Target::new(endpoint.local_addr().unwrap(), SERVICE + 1);
    let mut call = endpoint.call(target, CallOptions::default()).unwrap();
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    assert_eq!(call.outcome().await, Err(CallError::EndpointClosed));
}

#[tokio::test]
async fn an_endpoint_calls_itself() {
    let (server, target) = echo_server(V4);
    let reply = server.call_unary(target, "request", 100).await;
    assert_eq!(reply, Ok(Bytes::from_static(b"request")));
}

#[tokio::test]
async fn a_server_answers_a_version_question() {
    let (_server, target) = echo_server(V4);
    let answer = local(V4).version(target.peer, Duration::from_secs(10)).await.unwrap();
    assert_eq!(answer.text, concat!("rxrpc ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn closing_waits_until_the_socket_is_free_again() {
    let endpoint = local(V4);
    let addr: SocketAddr = endpoint.local_addr().unwrap();
    endpoint.close().await;
    // The driver's task may still hold the socket for a moment after it has ended.
    while bind(addr).is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dropping_all_handles_ends_the_spawned_driver() {
    struct Tell(Option<oneshot::Sender<()>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(());
        }
    }
    let socket = rxrpc_tokio::udp::UdpSocket::bind(V4.parse().unwrap(), &Default::default()).unwrap();
    let (driver, endpoint) = Builder::new().driver(socket).unwrap();
    let (tell, told) = oneshot::channel();
    let tell = Tell(Some(tell));
    tokio::spawn(async move {
        driver.await;
        drop(tell);
    });
    drop(endpoint);
    told.await.unwrap();
}
