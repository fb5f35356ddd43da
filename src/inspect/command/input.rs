//! What a command is fed by the stages before it.
//!
//! Takes a place in a pipeline; says what arrives there as far as the text tells, and reads it as a
//! script where a shell takes it. What passes is kept stage by stage, so that a long pipeline is not
//! gone through again for each of its commands.

use super::{Place, Reader, Simple, Unread, Word, output};

/// Words that a command is handed at most.
const MOST: usize = 64;

/// What passes through a pipeline, after the commands that were noted of it.
#[derive(Default)]
pub(super) struct Flow {
    /// How many commands were noted.
    commands: usize,
    /// What the last of them prints, if nothing else than the text says it.
    text: Option<String>,
    /// The names that the first asks for, where it looks for files.
    found: Vec<Word>,
    has_client: bool,
    has_decoder: bool,
}

impl Reader {
    /// Keeps what a command prints for the next of its pipeline.
    pub(super) fn flow(&mut self, command: &Simple) {
        let Place { pipeline, stage } = command.place;
        let flow = self.flows.entry(pipeline).or_default();
        let arrives = flow.text.take();
        // Several commands in one stage print after each other.
        let is_next = flow.commands == stage;
        if flow.commands == 0 {
            flow.found = sought(command);
        }
        flow.commands += 1;
        flow.has_client |= is_client(command);
        flow.has_decoder |= output::is_decoder(command);
        let prints = match stage {
            _ if !is_next => None,
            0 => output::first(command),
            _ => arrives.and_then(|text| output::passed(command, text)),
        };
        let cost = prints.as_ref().map_or(0, |text| text.len() / 4);
        let prints = prints.filter(|text| text.len() <= output::LONGEST && self.spend(cost));
        if let Some(flow) = self.flows.get_mut(&pipeline) {
            flow.text = prints;
        }
    }

    /// What passes before a place in a pipeline.
    fn before(&self, place: Place) -> Option<&Flow> {
        self.flows.get(&place.pipeline).filter(|flow| place.stage > 0 && flow.commands > 0)
    }

    /// The text that arrives at a place, if nothing else than the script says it.
    pub(super) fn fed(&mut self, place: Place) -> Option<String> {
        let text = self.before(place).filter(|flow| flow.commands == place.stage)?.text.clone()?;
        self.spend(text.len() / 4).then_some(text)
    }

    /// Reads what a shell is fed, or notes why nobody can.
    pub(super) fn fed_to_shell(&mut self, place: Place, nested: usize) {
        let Some(before) = self.before(place) else { return };
        let is_fetched = before.has_client && !before.has_decoder;
        match self.fed(place) {
            Some(text) => self.read(&text, nested + 1),
            None if is_fetched => self.unread(Unread::Fetched),
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
    pub(super) fn fed_words(&mut self, place: Place) -> Vec<Word> {
        let found = self.before(place).map(|flow| flow.found.clone()).unwrap_or_default();
        if !found.is_empty() {
            return found;
        }
        let text = self.fed(place).unwrap_or_default();
        text.split_whitespace().take(MOST).map(Word::plain).collect()
    }
}

fn is_client(command: &Simple) -> bool {
    matches!(command.head(), "curl" | "wget" | "http" | "https" | "xh" | "fetch")
}

/// The names that a search for files asks for. Without a name it asks for all files in its folders.
pub(in crate::inspect) fn sought(command: &Simple) -> Vec<Word> {
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
            let names = pairs.filter(|(option, _)| is_name(option)).map(|(_, name)| wild(name));
            let names: Vec<Word> = names.take(MOST).collect();
            if names.is_empty() { all_in(command) } else { names }
        }
        "fd" | "fdfind" => {
            let runs =
                |word: &&Word| matches!(&*word.text, "-x" | "-X" | "--exec" | "--exec-batch");
            let words: Vec<&Word> =
                command.arguments().iter().take_while(|word| !runs(word)).take(MOST).collect();
            let pairs = words.iter().zip(words.iter().skip(1));
            let ends = pairs.filter(|(option, _)| matches!(&*option.text, "-e" | "--extension"));
            let mut names: Vec<Word> = ends
                .map(|(_, end)| Word { text: format!("*.{}", end.text), ..wild(end) })
                .collect();
            if names.is_empty() {
                let named = words.iter().filter(|word| !word.text.starts_with('-'));
                names.extend(named.map(|word| wild(word)));
            }
            names
        }
        "locate" | "mlocate" | "plocate" | "ls" => {
            command.operands().take(MOST).map(wild).collect()
        }
        _ => Vec::new(),
    }
}

/// All files in the folders that `find` begins at.
fn all_in(command: &Simple) -> Vec<Word> {
    let is_path = |word: &&Word| !word.text.starts_with(['-', '(', '!']);
    let all = |path: &str| Word { is_wild: true, ..Word::plain(format!("{path}/*")) };
    let options =
        command.arguments().iter().take_while(|word| matches!(&*word.text, "-L" | "-H" | "-P"));
    let paths = command.arguments().iter().skip(options.count()).take_while(is_path);
    let paths: Vec<Word> =
        paths.take(MOST).map(|word| all(word.text.trim_end_matches('/'))).collect();
    if paths.is_empty() { vec![all(".")] } else { paths }
}
