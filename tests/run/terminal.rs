//! Approvals on the terminal of a run.

use super::*;

fn kept_answer(gate: &Gate) -> Answer {
    answer(std::fs::read(gate.folder.path().join("answer")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn yes_on_the_terminal_lets_the_call_through_once() {
    let gate = unserved(|policy| policy).await;
    let (code, appeared) = on_terminal(&gate, "", "yes\n", &format!("{CALL} >answer"));
    assert_eq!(code, 0, "{appeared}");
    let card = [
        "mutation volumeDelete (destructive, irreversible",
        &format!("volume {STAGING_VOLUME} in staging"),
        "railway-staging-token in header authorization",
        "POST backboard.railway.com",
        "Approve h_",
        " is approved",
        "this is advisory",
    ];
    for wanted in card {
        assert!(appeared.contains(wanted), "{wanted}: {appeared}");
    }
    assert!(!appeared.contains("there is no terminal") && !appeared.contains(STAGING_TOKEN));
    let got = kept_answer(&gate);
    assert_eq!((got.status, &got.json()["data"]["volumeDelete"]), (200, &json!(true)), "{got:?}");
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    assert_eq!(gate.mock.requests().len(), 1);
    let records = records(&gate);
    let approval = records.iter().find(|record| record["kind"] == "approval").unwrap();
    assert!(approval.to_string().contains("terminal"), "{approval}");
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_else_on_the_terminal_denies() {
    for typed in ["no\n", "\n", "y\n", "YES\n", "yes please\n", "\u{4}"] {
        let gate = unserved(|policy| policy).await;
        let (code, appeared) = on_terminal(&gate, "", typed, &format!("{CALL} >answer; exit 5"));
        assert_eq!(code, 5, "{typed:?} {appeared}");
        assert!(appeared.contains(" is denied"), "{typed:?} {appeared}");
        let got = kept_answer(&gate);
        assert_eq!((got.status, &*got.verdict()), (403, "deny"), "{typed:?} {got:?}");
        assert_eq!(gate.mock.bytes_received(), 0, "{typed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_before_the_question_is_no_answer() {
    let gate = unserved(|policy| policy).await;
    let script = format!("while [ ! -e started ]; do sleep 0.1; done; {CALL} >answer");
    let (code, appeared) = on_terminal(&gate, "yes\n", "no\n", &script);
    assert_eq!(code, 0, "{appeared}");
    assert!(appeared.contains(" is denied"), "{appeared}");
    assert_eq!((kept_answer(&gate).status, gate.mock.bytes_received()), (403, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_answers_does_not_keep_the_run() {
    let gate = unserved(|policy| policy).await;
    let script =
        format!("{CALL} >answer & while [ ! -e asked ]; do sleep 0.1; done; kill $!; exit 6");
    let (code, appeared) = on_terminal(&gate, "", "", &script);
    assert_eq!(code, 6, "{appeared}");
    assert!(appeared.contains(QUESTION), "{appeared}");
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// M-09, M-27.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_agent_reaches_the_terminal_raw() {
    let gate = unserved(|policy| policy).await;
    // It would clear the screen, set the title, and write the rest from right to left.
    let evil = "x\u{1b}[2J\u{1b}]0;approved\u{7}\r\n\u{202e}\u{2066}\u{200b}y";
    let id: Vec<String> = evil.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let id = id.concat();
    let query = format!("mutation Harmless {{ volumeDelete(volumeId: \"{id}\") }}");
    write_body(gate.folder.path(), &json!({ "query": query }));
    let agent = "harmless\u{202e}\u{9b}2J";
    let script = format!("{CALL} -A '{agent}' >answer");
    let (code, appeared) = on_terminal(&gate, "", "no\n", &script);
    assert_eq!(code, 0, "{appeared}");
    assert!(appeared.contains(QUESTION) && appeared.contains("volumeDelete"), "{appeared}");
    let shown = "volume x[2J]0;approved\\u{202e}\\u{2066}\\u{200b}y in UNKNOWN environment";
    assert!(appeared.contains(shown), "{appeared:?}");
    // The log's own colours.
    let appeared = ["\u{1b}[2m", "\u{1b}[33m", "\u{1b}[0m"]
        .iter()
        .fold(appeared, |text, colour| text.replace(colour, ""));
    let hidden = |c: char| !(c.is_ascii_graphic() || c == ' ' || c == '\n' || c == '\r');
    assert!(!appeared.contains(hidden), "{appeared:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
}
