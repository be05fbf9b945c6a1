//! What cannot be meant is exit code 2, said on stderr.

use crate::rig::rxrpc;

#[tokio::test]
async fn usage_errors_are_exit_code_2() {
    for args in [
        &[][..],
        &["nonsense"],
        &["perf", "nonsense"],
        &["perf", "--json", "server"],
        &["perf", "server", "-p", "65536"],
        &["perf", "server", "--bind", "localhost"],
        &["perf", "client"],
        &["perf", "client", "-c", "file"],
        &["perf", "client", "-c", "rpc", "-t", "0"],
        &["perf", "client", "-c", "rpc", "-t", "10001"],
        &["perf", "client", "-c", "rpc", "-T", "0"],
        &["perf", "client", "-c", "rpc", "-p", "0"],
        &["perf", "client", "-c", "rpc", "-s", ""],
        &["perf", "client", "-c", "rpc", "-s", "host:0"],
        &["perf", "client", "-c", "rpc", "-r", "0"],
        &["perf", "client", "-c", "rpc", "-w", "524289"],
        &["perf", "client", "-c", "send", "-b", "-1"],
        &["perf", "client", "-c", "send", "-b", "4294967296"],
        &["perf", "client", "-c", "rpc", "--timeout", "0"],
        &["version"],
        &["version", "host:0"],
        &["version", "[::1"],
        &["version", "127.0.0.1", "--timeout", "-1"],
    ] {
        let err = rxrpc(args).await.failed(2);
        assert!(!err.is_empty(), "{args:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_named() {
    let err = rxrpc(&["version", "host:x"]).await.failed(2);
    assert_eq!(err, "rxrpc: 'host:x' is no address: the port is a number from 1 to 65535\n");
}
