//! Calls over HTTP that commands make.

use super::shell;
use crate::inspect::command::Unread;

#[test]
fn calls_are_given_back_with_method_and_body() {
    for (command, expected) in [
        ("curl https://a.example/x", vec![("GET", "https://a.example/x", None)]),
        ("curl -sSL -o f https://a.example/x", vec![("GET", "https://a.example/x", None)]),
        ("curl -XDELETE https://a.example/x", vec![("DELETE", "https://a.example/x", None)]),
        ("curl -sX delete https://a.example/x", vec![("DELETE", "https://a.example/x", None)]),
        (
            "curl --request=PUT -d a=b https://a.example/x",
            vec![("PUT", "https://a.example/x", Some("a=b"))],
        ),
        (
            "curl -d '{\"a\":1}' -H 'A: b' https://a.example/x",
            vec![("POST", "https://a.example/x", Some("{\"a\":1}"))],
        ),
        ("curl -sd a https://a.example/x", vec![("POST", "https://a.example/x", Some("a"))]),
        ("curl -G -d a=b https://a.example/x", vec![("GET", "https://a.example/x", Some("a=b"))]),
        ("curl -I https://a.example/x", vec![("HEAD", "https://a.example/x", None)]),
        (
            "curl -ofile -e https://b.example https://a.example/x",
            vec![("GET", "https://a.example/x", None)],
        ),
        (
            "curl -d a https://a.example/x --next -X DELETE https://a.example/y",
            vec![
                ("POST", "https://a.example/x", Some("a")),
                ("DELETE", "https://a.example/y", None),
            ],
        ),
        ("curl -T f https://a.example/x", vec![("PUT", "https://a.example/x", None)]),
        (
            "curl https://a.example/x https://b.example/y",
            vec![("GET", "https://a.example/x", None), ("GET", "https://b.example/y", None)],
        ),
        (
            "echo '{}' | curl -d @- https://a.example/x",
            vec![("POST", "https://a.example/x", Some("{}"))],
        ),
        ("wget https://a.example/x", vec![("GET", "https://a.example/x", None)]),
        ("wget --method=DELETE https://a.example/x", vec![("DELETE", "https://a.example/x", None)]),
        ("wget --method DELETE https://a.example/x", vec![("DELETE", "https://a.example/x", None)]),
        ("http DELETE https://a.example/x", vec![("DELETE", "https://a.example/x", None)]),
        ("http https://a.example/x a=b", vec![("POST", "https://a.example/x", Some("a=b"))]),
        ("gh api -X DELETE repos/a/b", vec![("DELETE", "https://api.github.com/repos/a/b", None)]),
        ("U=https://a.example; curl -X DELETE $U/v", vec![("DELETE", "https://a.example/v", None)]),
        (
            "python -c \"import requests; requests.delete('https://a.example/x')\"",
            vec![("DELETE", "https://a.example/x", None)],
        ),
        (
            "node -e \"fetch('https://a.example/x', {method: 'POST'})\"",
            vec![("POST", "https://a.example/x", None)],
        ),
        ("ls", vec![]),
    ] {
        let calls = shell(command).calls;
        let calls: Vec<_> =
            calls.iter().map(|call| (&*call.method, &*call.url, call.body.as_deref())).collect();
        assert_eq!(calls, expected, "{command}");
    }
}

#[test]
fn a_request_of_which_a_part_stands_in_a_file_is_not_all_read() {
    for command in [
        "curl -K calls.txt",
        "curl --config calls.txt",
        "curl -d @body.json https://a.example/x",
        "curl --data-binary=@body.json https://a.example/x",
        "curl -F f=@notes.txt https://a.example/x",
        "curl -T notes.txt https://a.example/x",
        "curl -d @- https://a.example/x < body.json",
        "wget --post-file=body.json https://a.example/x",
        "http POST https://a.example/x < body.json",
        "gh api repos/a/b --input body.json",
    ] {
        assert_eq!(shell(command).unread, Some(Unread::Elsewhere), "{command}");
    }
    for command in ["curl --data-raw @body https://a.example/x", "curl -d a=b https://a.example/x"]
    {
        assert_eq!(shell(command).unread, None, "{command}");
    }
}

#[test]
fn a_mutation_that_deletes_is_destructive() {
    let url = "https://backboard.railway.app/graphql/v2";
    for (body, is_destructive) in [
        ("{\"query\":\"mutation { volumeDelete(volumeId: \\\"x\\\") }\"}", true),
        ("{\"query\":\"mutation D($id: String!) { volumeDelete(volumeId: $id) }\"}", true),
        ("{\"query\":\"mutation { serviceInstanceRedeploy(serviceId: 1) }\"}", false),
        ("{\"query\":\"query { deleted { id } }\"}", false),
    ] {
        let intent = shell(&format!("curl {url} -H 'Authorization: Bearer x' -d '{body}'"));
        assert_eq!(intent.destructive.is_some(), is_destructive, "{body}");
        assert_eq!(intent.calls.first().map(|call| &*call.method), Some("POST"));
    }
    let what = shell("curl -X DELETE 'https://u:hunter2@a.example/v?token=hunter2'")
        .destructive
        .map(|one| one.what);
    assert!(what.is_some_and(|what| !what.contains("hunter2")));
}
