//! What a name may lead to, as the servers of `proxy.dns` answer it.

use super::{Names, PRIVATE, PUBLIC, outcome, request_id};
use crate::support::client::{Client, connect, read_answer, say, within};
use crate::support::dns::{Answer, Dns, addresses, parsed};
use crate::support::mock::Options;
use crate::support::origin::{Identity, Origin, serve, text};
use crate::support::policy::Edit;
use crate::support::{Gate, write_policy};
use std::net::IpAddr;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Addresses that no name may lead to, by their case.
const NOT_PUBLIC: &[(&str, &str)] = &[
    ("C-18", "127.0.0.2"),
    ("C-18", "127.255.255.254"),
    ("C-18", "0.0.0.0"),
    ("C-18", "0.1.2.3"),
    ("C-18", "10.0.0.1"),
    ("C-18", "172.16.0.1"),
    ("C-18", "172.31.255.255"),
    ("C-18", "192.168.1.1"),
    ("C-18", "100.64.0.1"),
    ("C-18", "169.254.169.254"),
    ("C-18", "169.254.170.2"),
    ("C-18", "168.63.129.16"),
    ("C-18", "100.100.100.200"),
    ("C-18", "192.0.0.192"),
    ("C-18", "192.0.2.1"),
    ("C-18", "198.18.0.1"),
    ("C-18", "198.51.100.1"),
    ("C-18", "203.0.113.1"),
    ("C-18", "192.88.99.1"),
    ("C-18", "224.0.0.1"),
    ("C-18", "240.0.0.1"),
    ("C-18", "255.255.255.255"),
    ("C-18", "::"),
    ("C-18", "::1"),
    ("C-18", "fe80::1"),
    ("C-18", "fec0::1"),
    ("C-18", "fc00::1"),
    ("C-18", "fd00:ec2::254"),
    ("C-18", "ff02::1"),
    ("C-18", "100::1"),
    ("C-18", "2001:db8::1"),
    ("C-18", "3fff::1"),
    ("C-18", "5f00::1"),
    ("C-14", "::ffff:127.0.0.2"),
    ("C-14", "::ffff:169.254.169.254"),
    ("C-14", "::ffff:10.0.0.1"),
    ("C-14", "::127.0.0.1"),
    ("C-14", "::169.254.169.254"),
    ("C-15", "64:ff9b::127.0.0.1"),
    ("C-15", "64:ff9b::169.254.169.254"),
    ("C-15", "64:ff9b::8.8.8.8"),
    ("C-15", "64:ff9b:1::7f00:1"),
    ("C-15", "2002:7f00:1::1"),
    ("C-15", "2002:808:808::1"),
    ("C-15", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    ("C-15", "fe80::5efe:127.0.0.1"),
    ("C-15", "2606:4700::5efe:127.0.0.1"),
    ("C-15", "2606:4700::200:5efe:10.0.0.1"),
    ("C-15", "::ffff:0:127.0.0.1"),
    ("C-15", "::ffff:0:a9fe:a9fe"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_inside_is_not_dialled() {
    let rows: Vec<(String, &str, &str)> = NOT_PUBLIC
        .iter()
        .enumerate()
        .map(|(number, (id, address))| (format!("row-{number}"), *id, *address))
        .collect();
    let zone: Vec<(&str, Answer)> =
        rows.iter().map(|(name, _, address)| (&**name, addresses(&[address]))).collect();
    let names = Names::start(&zone).await;
    let mut ids = Vec::new();
    for (name, id, address) in &rows {
        let answer = names.get(name).await;
        let context = format!("{id} {address} {answer:?}");
        assert_eq!((answer.status, &*answer.reason()), (502, "private_address"), "{context}");
        assert!(answer.head.contains("error=destination_ip_prohibited"), "{context}");
        assert!(!answer.body.contains(address), "the inside is told: {context}");
        assert!(names.dns.asked_for(&format!("{name}.named.example")) > 0, "{context}");
        ids.push(request_id(&answer));
    }
    let records = names.gate.records();
    for id in ids {
        let of = |kind: &str| {
            records.iter().find(|record| record["kind"] == kind && record["request_id"] == *id)
        };
        let outcome = of("outcome").map_or_else(|| outcome(&names.gate, &id), Clone::clone);
        assert_eq!(
            (&outcome["status"], &outcome["address"]),
            (&502.into(), &().into()),
            "{outcome}"
        );
    }
    assert_eq!(names.origin.connections(), 0);
    assert!(!names.private_was_dialled());
}

/// C-20.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_mixed_answer_only_what_may_be_dialled_is() {
    let mapped: (&str, &str) = ("::ffff:127.0.0.1", "::ffff:127.0.0.2");
    let cases = [
        ("private-first", vec![PRIVATE, PUBLIC], true),
        ("public-first", vec![PUBLIC, PRIVATE], true),
        ("a-public-aaaa-private", vec![PUBLIC, mapped.1], true),
        ("a-private-aaaa-public", vec![PRIVATE, mapped.0], true),
        ("a-public-aaaa-loopback", vec![PUBLIC, "::1"], true),
        ("among-many", vec!["10.0.0.1", "169.254.169.254", PUBLIC, "192.168.0.1", "::1"], true),
        ("both-private", vec![PRIVATE, mapped.1], false),
    ];
    let zone: Vec<(&str, Answer)> =
        cases.iter().map(|(name, texts, _)| (*name, addresses(texts))).collect();
    let names = Names::start(&zone).await;
    for (name, _, reached) in &cases {
        let answer = names.get(name).await;
        if *reached {
            assert_eq!((answer.status, &*answer.body), (200, "reached"), "{name} {answer:?}");
        } else {
            assert_eq!((answer.status, &*answer.reason()), (502, "private_address"), "{name}");
        }
        assert!(!names.private_was_dialled(), "{name}");
    }
    let dialled = names.gate.records();
    for address in dialled.iter().filter_map(|record| record["address"].as_str()) {
        let ip = address.parse::<std::net::SocketAddr>().unwrap().ip().to_canonical();
        assert_eq!(ip, PUBLIC.parse::<IpAddr>().unwrap(), "{address}");
    }
}

/// C-18: a name that is public when it is looked at, and private when it is dialled.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_that_was_checked_is_the_one_dialled() {
    let there = Answer::Rebinding(parsed(&[PUBLIC]), parsed(&[PRIVATE]));
    let back = Answer::Rebinding(parsed(&[PRIVATE]), parsed(&[PUBLIC]));
    let names = Names::start(&[("there", there), ("back", back)]).await;
    let (host, port) = ("there.named.example", names.origin.address.port());
    let request = format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    let mut stream = BufReader::new(TcpStream::connect(names.gate.running().proxy).await.unwrap());
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = within("an answer", read_answer(&mut stream)).await;
        assert_eq!((answer.status, &*answer.body), (200, "reached"), "{answer:?}");
    }
    // One question of each family for the one connection, which its requests shared.
    assert_eq!((names.dns.asked_for(host), names.origin.connections()), (2, 1));
    // Another connection asks again, and what is answered now is judged now.
    names.gate.reload();
    let answer = names.get("there").await;
    assert_eq!((answer.status, &*answer.reason()), (502, "private_address"), "{answer:?}");
    assert!(names.dns.asked_for(host) > 2);
    assert_eq!(names.origin.connections(), 1);
    assert_eq!(names.get("back").await.reason(), "private_address");
    assert_eq!(names.get("back").await.body, "reached");
    assert!(!names.private_was_dialled());
}

/// what stands in a name must not leave by the question.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_asked_for_only_once_its_call_may_leave() {
    let names = Names::start(&[("good", addresses(&[PUBLIC]))]).await;
    let (running, port) = (names.gate.running(), names.origin.address.port());
    let secret = "c2VjcmV0.evil.example";
    let refused = [
        (format!("http://{secret}/"), "GET", "out_of_scope"),
        (format!("http://{secret}:{port}/"), "GET", "out_of_scope"),
        // One label is what the wildcard has.
        (format!("http://c2Vj.cmV0.named.example:{port}/"), "GET", "out_of_scope"),
        (format!("http://named.example:{port}/"), "GET", "out_of_scope"),
        // Declared, but not there, or not so.
        ("http://c2VjcmV0.named.example/".to_owned(), "GET", "out_of_scope"),
        (format!("http://c2VjcmV0.named.example:{port}/"), "POST", "scope_violation"),
        (
            format!("http://c2VjcmV0.named.example:{port}/?access_token=0123456789abcdef0123"),
            "GET",
            "foreign_credential",
        ),
    ];
    for (url, method, reason) in refused {
        let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let request = format!("{method} {url} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = say(running.proxy, &request).await;
        assert_eq!((answer.status, &*answer.reason()), (403, reason), "{request}");
    }
    for http2 in [false, true] {
        let got = Client::open(running, secret, http2).await.get("/").await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, "out_of_scope"), "{got:?}");
    }
    // Nor by opening a tunnel and saying nothing in it.
    drop(connect(running.proxy, &format!("{secret}:443")).await);
    drop(connect(running.proxy, &format!("c2VjcmV0.named.example:{port}")).await);
    assert_eq!(names.dns.asked(), [""; 0]);
    // The server does answer when it is asked; and it is, for nothing but the name.
    assert_eq!(names.get("good").await.body, "reached");
    assert_eq!(names.dns.asked(), ["good.named.example"; 2]);
    assert_eq!(names.origin.connections(), 1);
}

/// C-24, with what the record says of it. Each is over within the deadline of connecting.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_answer_is_an_upstream_that_is_not_reached() {
    let many: Vec<IpAddr> =
        (0..500_u32).map(|n| IpAddr::from((0x7f01_0000 + n).to_be_bytes())).collect();
    let cases = [
        ("nowhere", Answer::NoSuchName, "there is no such name"),
        ("empty", Answer::Empty, "it has no address"),
        ("failing", Answer::Failure, "Server Failure"),
        ("silent", Answer::Silence, ""),
        ("alias-loop", Answer::Alias("alias-loop.named.example"), ""),
        ("alias-ring", Answer::Alias("alias-gnir.named.example"), ""),
        ("alias-gnir", Answer::Alias("alias-ring.named.example"), ""),
        ("alias-of-nothing", Answer::Alias("nowhere.named.example"), "there is no such name"),
        ("pointer-loop", Answer::PointerLoop, ""),
        ("cut-short", Answer::CutShort, ""),
        ("many", Answer::Addresses(many), "more than 64 addresses"),
    ];
    let zone: Vec<(&str, Answer)> = cases
        .iter()
        .map(|(name, answer, _)| (*name, answer.clone()))
        .chain([("good", addresses(&[PUBLIC]))])
        .collect();
    let names = Names::with(&zone, |edit| edit.section("limits: { connect: 2s }")).await;
    for (name, _, detail) in &cases {
        let answer = names.get(name).await;
        let context = format!("{name} {answer:?}");
        assert_eq!((answer.status, &*answer.reason()), (502, "upstream_unreachable"), "{context}");
        let outcome = outcome(&names.gate, &request_id(&answer));
        let said = outcome["detail"].as_str().unwrap();
        assert!(said.contains(detail), "{context} {said}");
        // A loop is not followed for long, and nothing but the names themselves was asked for.
        assert!(names.dns.asked_for(&format!("{name}.named.example")) <= 40, "{context}");
    }
    assert!(names.dns.asked().iter().all(|name| name.ends_with(".named.example")));
    assert_eq!(names.get("good").await.body, "reached");
    assert!(!names.private_was_dialled());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_right_but_roundabout_is_taken() {
    let zone = [
        // More than a datagram takes.
        ("truncated", Answer::Truncated(parsed(&[PUBLIC])), true),
        ("alias", Answer::Alias("target.named.example"), true),
        ("alias-elsewhere", Answer::Alias("inside.named.example"), false),
        ("target", addresses(&[PUBLIC]), true),
        ("inside", addresses(&[PRIVATE]), false),
        // C-26: another port, another id, another name: an impostor, whom nobody believes.
        ("forged", Answer::Forged(parsed(&[PUBLIC]), parsed(&[PRIVATE])), true),
        ("forged-back", Answer::Forged(parsed(&[PRIVATE]), parsed(&[PUBLIC])), false),
        // The form of a name is the policy's, whatever the case it comes in.
        ("CASE", Answer::NoSuchName, true),
        ("case", addresses(&[PUBLIC]), true),
    ];
    let served: Vec<(&str, Answer)> =
        zone.iter().map(|(name, answer, _)| (*name, answer.clone())).collect();
    let names = Names::start(&served).await;
    for (name, _, reached) in &zone {
        let answer = names.get(name).await;
        let wanted = if *reached { (200, "") } else { (502, "private_address") };
        assert_eq!((answer.status, &*answer.reason()), wanted, "{name} {answer:?}");
        assert!(!names.private_was_dialled(), "{name}");
    }
    assert_eq!(names.dns.asked_for("CASE.named.example"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_does_not_stop_the_others() {
    let zone = [
        ("good", addresses(&[PUBLIC])),
        ("half", Answer::OneFamily(parsed(&[PUBLIC]))),
        ("other-half", Answer::OneFamily(parsed(&["::ffff:127.0.0.1"]))),
    ];
    let silence = |(name, _): &(&str, Answer)| (format!("{name}.named.example"), Answer::Silence);
    let silent = Dns::start(zone.iter().map(silence)).await;
    let names = Names::with(&zone, |edit| {
        let first = format!("dns: [\"{}\", ", silent.address);
        edit.replace("dns: [", &first).section("limits: { connect: 4s }")
    })
    .await;
    // Which server is asked first is not said, so it is asked until it was the silent one.
    let mut asked = 0;
    for (name, _) in zone.iter().cycle().take(30) {
        let answer = names.get(name).await;
        assert_eq!((answer.status, &*answer.body), (200, "reached"), "{name} {answer:?}");
        asked += usize::from(silent.asked_for(&format!("{name}.named.example")) > 0);
        if asked >= zone.len() {
            return;
        }
    }
    assert!(asked > 0, "the silent server was never asked");
}

/// C-21: one address, one certificate for both names, HTTP/2; a browser would share it.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_one_host_is_not_anothers() {
    let hosts = ["one.shared.example", "two.shared.example"];
    let origin = Origin::raw(Identity::named(&hosts), |accepted| async move {
        let number = accepted.number;
        serve(accepted, move |request| async move {
            text(format!("{number} {}", request.uri().host().unwrap()))
        })
        .await;
    })
    .await;
    let dns = Dns::start(hosts.map(|host| (host, addresses(&[PUBLIC])))).await;
    let port = origin.address.port();
    let gate = Gate::with(Options::default(), |policy| {
        let lines =
            format!("hosts: [{}]\nports: [{port}]\nrules:\n  - allow: GET /**", hosts.join(", "));
        Edit(policy)
            .dns(dns.address)
            .proxy(&format!("allow_private: [{PUBLIC}/32]"))
            .root(&origin.roots())
            .resource("shared", &lines)
            .0
    })
    .await;
    for (host, number) in [(0, 0), (1, 1), (0, 0), (1, 1)] {
        let host = hosts[host];
        let answer = gate.curl(&["--http2", &format!("https://{host}:{port}/")]);
        assert_eq!(
            (answer.status, &*answer.body),
            (200, &*format!("{number} {host}")),
            "{answer:?}"
        );
    }
    assert_eq!(origin.connections(), 2);
}

/// C-23, I8: also where the operator lists loopback as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn no_name_leads_to_a_listener_of_the_proxy() {
    let spellings =
        ["127.0.0.1", "127.0.0.9", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::1", "::"];
    let named: Vec<(String, Answer)> = spellings
        .iter()
        .enumerate()
        .map(|(number, text)| (format!("own-{number}"), addresses(&[text])))
        .collect();
    let zone: Vec<(&str, Answer)> =
        named.iter().map(|(name, answer)| (&**name, answer.clone())).collect();
    let names = Names::with(&zone, |edit| {
        edit.replace(
            &format!("allow_private: [{PUBLIC}/32]"),
            "allow_private: [127.0.0.0/8, 0.0.0.0/8, \"::1/128\", \"::/128\"]",
        )
    })
    .await;
    let running = names.gate.running();
    let (proxy, approvals) = (running.proxy.port(), running.approvals.port());
    let policy = std::fs::read_to_string(names.gate.policy_path()).unwrap();
    let ports = format!("ports: [{}/http]", names.origin.address.port());
    let own = format!("ports: [{proxy}/http, {approvals}/http]");
    write_policy(names.gate.folder.path(), &Edit(policy).replace(&ports, &own).0);
    names.gate.reload();
    for port in [proxy, approvals] {
        for (number, spelling) in spellings.iter().enumerate() {
            let host = format!("own-{number}.named.example:{port}");
            let request = format!("GET http://{host}/healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let answer = say(running.proxy, &request).await;
            let got = (answer.status, &*answer.reason());
            assert_eq!(got, (502, "private_address"), "{spelling}:{port} {answer:?}");
        }
    }
    // Elsewhere the list counts.
    let policy = std::fs::read_to_string(names.gate.policy_path()).unwrap();
    write_policy(names.gate.folder.path(), &Edit(policy).replace(&own, &ports).0);
    names.gate.reload();
    assert_eq!(names.get("own-0").await.body, "reached");
}
