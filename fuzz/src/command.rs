//! Texts for a shell: read within bounds, and the same however they are handed over.

use holdgate::inspect::command::Script;
use holdgate::inspect::discovery::of_call;
use serde_json::json;

/// The text that a tool is to run.
pub fn command(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let script = Script::of_text(text);
    assert!(script.commands.len() <= 512, "what is told is bounded");
    for command in &script.commands {
        for word in &command.words {
            assert!(word.text.len() <= 64 << 10, "words do not grow without end");
        }
    }
    let intent = of_call("Bash", &json!({"command": text}));
    let said = |what: &str| {
        assert!(what.chars().count() <= 120 && !what.chars().any(char::is_control), "{what:?}");
    };
    intent.discovery.iter().for_each(|found| said(&found.what));
    intent.destructive.iter().for_each(|found| said(&found.what));
    assert!(intent.calls.len() <= 32);
    // Words that are run as they are: the text within is no script of theirs.
    let words = of_call("shell", &json!({"command": ["echo", text]}));
    assert_eq!(words.unread, None, "words need no reading");
    assert!(words.destructive.is_none(), "what is printed destroys nothing");
    // A script that is handed to a shell is the script.
    if text.len() < 16 << 10 && !text.contains('\0') {
        let handed = of_call("shell", &json!({"command": ["sh", "-c", text]}));
        let told = |found: &holdgate::inspect::discovery::Intent| found.discovery.is_some();
        // One more script around it may be one too many.
        let is_read = handed.unread.is_none() && intent.unread.is_none();
        let is_bounded = is_read && !text.trim_start().starts_with(['-', '+']);
        assert!(!is_bounded || told(&intent) == told(&handed), "a shell in between hides it");
    }
}
