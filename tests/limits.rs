//! What one agent may take: connections, room for bodies, and work for the judge.

use crate::support::Gate;
use crate::support::client::{Client, say};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::policy::Edit;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_takes_a_connection_as_long_as_it_is_open() {
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy).section("limits: { connections: 3 }").0
    })
    .await;
    let host = "docs.railway.com";
    let mut clients = Vec::new();
    for http2 in [false, true, false] {
        clients.push(Client::open(gate.running(), host, http2).await);
    }
    // A fourth is not served: it gets in when one of the three ends.
    let mut fourth = TcpStream::connect(gate.running().proxy).await.unwrap();
    let head = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
    fourth.write_all(head.as_bytes()).await.unwrap();
    for client in &mut clients {
        assert_eq!(client.get("/x").await.status, 200);
    }
    let metrics = say(
        gate.running().approvals,
        &format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", gate.running().approvals),
    )
    .await;
    let open = metrics.body.lines().find(|line| line.starts_with("holdgate_connections ")).unwrap();
    assert!(open.ends_with(" 3"), "{open}");
    let mut unserved = [0; 1];
    assert!(fourth.try_read(&mut unserved).is_err(), "a fourth was served");
    clients.pop().unwrap().cut().await;
    drop(fourth);
    let mut client = Client::open(gate.running(), host, false).await;
    assert_eq!(client.get("/x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_the_judge_too_much_is_not_judged() {
    let gate = Gate::start().await;
    let long = "A".repeat(9_000);
    let deletions: Vec<_> = (0..2_000)
        .map(|number| format!("a{number}: volumeDelete(volumeId: \"{number}\")"))
        .collect();
    for body in [
        json!({ "query": format!("query($v: X) {{ __type(name: [{}]) {{ name }} }}", "$v ".repeat(6000)), "variables": { "v": long } }),
        json!({ "query": format!("mutation {{ {} }}", deletions.join(" ")) }),
    ] {
        let answer = gate.graphql_file(STAGING_TOKEN, &body);
        assert_eq!((answer.status, &*answer.reason()), (403, "unreadable"), "{answer:?}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}
