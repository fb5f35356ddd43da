//! What a command is fed by the stages before it.
//!
//! Takes a place in a pipeline; says what arrives there as far as the text tells, and reads it as a
//! script where a shell takes it.

use super::{Place, Reader, Simple, Unread, Word, output};

/// Words that a command is handed at most.
const MOST: usize = 64;

impl Reader {
    /// The stages before a place.
    fn before(&self, place: Place) -> Vec<Simple> {
        let is_before =
            |one: &&Simple| one.place.pipeline == place.pipeline && one.place.stage < place.stage;
        self.commands.iter().filter(is_before).cloned().collect()
    }

    /// The text that arrives at a place, if nothing else than the script says it.
    pub(super) fn fed(&self, place: Place) -> Option<String> {
        let before = if place.stage > 0 { self.before(place) } else { Vec::new() };
        output::of(&before).filter(|_| before.len() == place.stage)
    }

    /// Reads what a shell is fed, or notes why nobody can.
    pub(super) fn fed_to_shell(&mut self, place: Place, nested: usize) {
        let before = self.before(place);
        if before.is_empty() {
            return;
        }
        match self.fed(place) {
            Some(text) => self.read(&text, nested + 1),
            None if before.iter().any(is_client) && !before.iter().any(output::is_decoder) => {
                self.unread(Unread::Fetched);
            }
            None => self.unread(Unread::Hidden),
        }
    }

    /// Notes why a text that is put together by commands cannot be known.
    pub(super) fn made_by(&mut self, since: usize) {
        let made = self.commands.get(since..).unwrap_or_default();
        let (decoded, fetched) = (made.iter().any(output::is_decoder), made.iter().any(is_client));
        if decoded {
            self.unread(Unread::Hidden);
        } else if fetched {
            self.unread(Unread::Fetched);
        }
    }

    /// The words that `xargs` hands on.
    pub(super) fn fed_words(&self, place: Place) -> Vec<Word> {
        let before = self.before(place);
        if let Some(found) = before.first().map(sought).filter(|found| !found.is_empty()) {
            return found;
        }
        let text = output::of(&before).unwrap_or_default();
        text.split_whitespace().take(MOST).map(Word::plain).collect()
    }
}

fn is_client(command: &Simple) -> bool {
    matches!(command.head(), "curl" | "wget" | "http" | "https" | "xh" | "fetch")
}

/// The names that a search for files asks for.
pub(super) fn sought(command: &Simple) -> Vec<Word> {
    let wild = |word: &Word| Word { is_wild: true, ..word.clone() };
    match command.head() {
        "find" | "gfind" => {
            let is_name = |word: &Word| {
                matches!(
                    word.text.as_str(),
                    "-name" | "-iname" | "-path" | "-ipath" | "-wholename" | "-regex" | "-iregex"
                )
            };
            let pairs = command.words.iter().zip(command.words.iter().skip(1));
            pairs.filter(|(option, _)| is_name(option)).map(|(_, name)| wild(name)).collect()
        }
        "fd" | "fdfind" | "locate" | "mlocate" | "plocate" | "ls" => {
            command.operands().map(wild).collect()
        }
        _ => Vec::new(),
    }
}
