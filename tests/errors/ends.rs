//! The end of a proxy, and of the room on its disk.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_requests_end_and_takes_no_new_ones() {
    for http2 in [false, true] {
        let (go, (here, mut arrived)) = (Arc::new(Notify::new()), mpsc::channel(4));
        let waiting = go.clone();
        let origin = Origin::http(Identity::named(&[HOST]), move |request| {
            let (waiting, here) = (waiting.clone(), here.clone());
            async move {
                here.send(()).await.unwrap();
                waiting.notified().await;
                text(format!("{} done", request.uri().path()))
            }
        })
        .await;
        let mut gate =
            Gate::with(Options::default(), |policy| origin.declared(policy, HOST, RULES)).await;
        let mut idle = Client::open(gate.running(), "docs.railway.com", http2).await;
        assert_eq!(idle.get("/").await.status, 200);
        let mut client = Client::open(gate.running(), HOST, http2).await;
        let request = client.request("POST", "/late").body(full("body")).unwrap();
        let (got, process) = tokio::join!(client.exchange(request), async {
            crate::support::client::within("the request", arrived.recv()).await.unwrap();
            let process = gate.process.take().unwrap();
            process.signal("TERM");
            tokio::task::spawn_blocking(move || {
                until("no new connections", || {
                    std::net::TcpStream::connect(process.proxy).is_err().then_some(())
                });
                go.notify_one();
                process
            })
            .await
            .unwrap()
        });
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"/late done"[..]), "{got:?}");
        let mut process: Running = process;
        let status = tokio::task::spawn_blocking(move || process.ended()).await.unwrap();
        assert_eq!(status.code(), Some(0), "http2={http2}");
        // The idle connection was told that it ends.
        let request = idle.request("GET", "/").body(empty()).unwrap();
        assert!(idle.send(request).await.is_err());
        let records = gate.records();
        let outcome = records.iter().rev().find(|record| record["kind"] == "outcome").unwrap();
        assert_eq!((&outcome["status"], &outcome["detail"]), (&200.into(), &Value::Null));
        // The log ends in a signature.
        assert_eq!(records.last().unwrap()["kind"], "checkpoint");
        let verified = gate.holdgate(&["audit", "verify"]);
        assert!(verified.status.success(), "{verified:?}");
    }
}

/// O-10.
#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_records_nothing_leaves() {
    let mut gate = Gate::start().await;
    gate.kill();
    // A process that ignores the signal sees a full disk as an error, as on a real one.
    let mut command = Command::new("sh");
    command.current_dir(gate.folder.path()).args([
        "-c",
        "trap '' XFSZ; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_holdgate"),
        "serve",
    ]);
    gate.process = Some(Running::of(command).unwrap());
    let write =
        |gate: &Gate| gate.curl(&["-d", "{}", "https://api.staging.railway.app/deployments"]);
    let read = |gate: &Gate| gate.curl(&["https://docs.railway.com/"]);
    assert_eq!((write(&gate).status, read(&gate).status), (201, 200));
    let pid = Pid::from_raw(gate.running().pid().cast_signed());
    let room = |bytes: Option<u64>| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    };
    let before = gate.mock.requests().len();
    let ids = |gate: &Gate| -> Vec<Value> {
        gate.records().iter().map(|record| record["request_id"].clone()).collect()
    };
    let recorded = until("two outcomes", || {
        Some(ids(&gate)).filter(|ids| ids.iter().filter(|id| id.is_string()).count() == 4)
    });
    room(Some(1));
    for _ in 0..3 {
        let answer = write(&gate);
        assert_eq!((answer.status, &*answer.reason()), (403, "not_recorded"), "{answer:?}");
        let body = serde_json::json!({
            "query": format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}")
        });
        let answer = gate.graphql(STAGING_TOKEN, &body);
        assert_eq!((answer.status, &*answer.reason()), (403, "not_recorded"), "{answer:?}");
        // Not even a read, once it is known.
        let answer = read(&gate);
        assert_eq!((answer.status, &*answer.reason()), (403, "not_recorded"), "{answer:?}");
    }
    assert_eq!(gate.mock.requests().len(), before);
    assert!(gate.mock.volume_exists(STAGING_VOLUME));
    // A refusal stands whether or not it is recorded.
    assert_eq!(gate.curl(&["https://nowhere.example/"]).reason(), "out_of_scope");
    room(None);
    until("traffic", || (write(&gate).status == 201).then_some(()));
    assert_eq!(read(&gate).status, 200);
    let records = gate.records();
    // What stood there before still does.
    let (now, before) = (ids(&gate), recorded);
    assert_eq!(now[..before.len()], before[..]);
    let recovered = |record: &Value| {
        record["detail"].as_str().is_some_and(|detail| detail.starts_with("recovered: "))
    };
    assert!(records.iter().any(recovered), "{records:#?}");
    let verified = gate.holdgate(&["audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
}
