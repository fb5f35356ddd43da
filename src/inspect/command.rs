//! What a text for a shell runs: simple commands, however they are written down.
//!
//! Takes the text, or words that are run without a shell; returns [`Script`]: every [`Simple`] command
//! in it with its words as the shell would hand them over, from lists, pipelines, substitutions, here
//! documents and wrappers (`sudo`, `env`, `xargs`, `bash -c` …). Nothing is run and nothing looked up.
//! A text takes so much work as its length allows, and no more: what is past that, or does not parse, is
//! read line by line, split into words as well as that goes, and says so.

mod bounds;
mod input;
mod loose;
mod output;
mod tree;
mod word;
mod wrap;

#[cfg(test)]
mod tests;

pub(super) use input::sought;
use std::collections::HashMap;

/// What of a text is looked at.
const LONGEST: usize = 1 << 18;
/// Scripts within scripts.
const NESTED: usize = 6;
/// What a script within costs beside what it is read for, so that there are only so many of them.
const LEAST: usize = 64;
/// So many commands say enough.
const COMMANDS: usize = 1_024;
/// And so many words in all of them.
const WORDS: usize = 4_096;
/// And so many with wildcards, which are compared with all names that are known.
const WILD: usize = 256;

/// The work that a text of so many bytes may take. One step is about what the parser takes for a
/// letter: in the order of 50 ns.
fn allowance(length: usize) -> usize {
    let length = length.min(LONGEST);
    (24 * length + (4 << 10)).min(3 * length + (32 << 10)).min(128 << 10)
}

/// What stays unknown of what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unread {
    /// A part of what it sends stands in a file.
    Elsewhere,
    /// A part comes from the network before it runs.
    Fetched,
    /// A part is decoded before it runs.
    Hidden,
    /// It does not parse, or takes more work than the limits allow.
    Unparsed,
    /// There is more of it than is looked at.
    TooMuch,
}

impl Unread {
    /// The word of records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Fetched => "fetched",
            Self::Hidden => "hidden",
            Self::Unparsed => "unparsed",
            Self::TooMuch => "too_much",
        }
    }
}

/// A word as the shell would hand it over, as far as that is known.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Its letters; what is not known stands there as it is written.
    pub text: String,
    /// Whether all of it is known.
    pub is_known: bool,
    /// Whether it has wildcards that are not quoted.
    pub is_wild: bool,
    /// The variables of the environment that it consists of.
    pub names: Vec<String>,
}

/// A program's text in another language than the shell's.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// What runs it.
    pub program: String,
    /// The text.
    pub text: String,
}

/// A simple command.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Simple {
    /// What is assigned for it, or in the shell where it has no words.
    pub assignments: Vec<(String, Word)>,
    /// The command and its arguments.
    pub words: Vec<Word>,
    /// Files it reads from by `<`.
    pub reads: Vec<Word>,
    /// Files it writes to by `>` and the like.
    pub writes: Vec<Word>,
    /// Here documents and here strings.
    pub input: Vec<String>,
    /// Text it runs in another language.
    pub code: Vec<Code>,
    /// Its pipeline, and its place in that.
    pub place: Place,
}

/// Where in which pipeline a command stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The number of the pipeline.
    pub pipeline: usize,
    /// The stage, from 0.
    pub stage: usize,
}

/// What a text runs.
#[derive(Clone, Default)]
pub struct Script {
    /// The commands, in the order of the text.
    pub commands: Vec<Simple>,
    /// What stays unknown, the gravest.
    pub unread: Option<Unread>,
    /// Where the first command of each place stands.
    places: HashMap<Place, usize>,
}

impl Word {
    /// A word that stands there as it is.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_known: true, ..Self::default() }
    }
}

impl Simple {
    /// The name of the program, without its folder.
    pub fn head(&self) -> &str {
        self.words.first().map_or("", |word| base(&word.text))
    }
    /// What follows the program.
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }
    /// The argument at this place, or nothing.
    pub fn argument(&self, at: usize) -> &str {
        self.arguments().get(at).map_or("", |word| &word.text)
    }
    /// Whether one of the arguments is this.
    pub fn has(&self, argument: &str) -> bool {
        self.arguments().iter().any(|word| word.text == argument)
    }
    /// Whether one of the options in clusters, as in `-rf`, has this letter.
    pub fn has_flag(&self, letter: char) -> bool {
        self.arguments().iter().any(|word| {
            let cluster = word.text.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
            cluster.is_some_and(|rest| rest.contains(letter))
        })
    }
    /// The arguments that are no options, up to no limit but theirs.
    pub fn operands(&self) -> impl Iterator<Item = &Word> {
        self.arguments().iter().filter(|word| !word.text.starts_with('-') || word.text == "-")
    }
}

impl Script {
    /// Reads the text of a shell.
    pub fn of_text(text: &str) -> Self {
        let mut reader = Reader::new(text.len());
        reader.read(text, 0);
        reader.done()
    }

    /// Reads words that are run as they are.
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<Word> = words.into_iter().take(WORDS).map(Word::plain).collect();
        let mut reader = Reader::new(words.iter().map(|word| word.text.len() + 1).sum());
        let place = reader.pipeline();
        reader.run(Simple { words, place, ..Simple::default() }, 0);
        reader.done()
    }

    /// What comes directly after a command in its pipeline.
    pub fn after(&self, command: &Simple) -> Option<&Simple> {
        let Place { pipeline, stage } = command.place;
        self.at(Place { pipeline, stage: stage + 1 })
    }

    /// What comes directly before a command in its pipeline.
    pub fn before(&self, command: &Simple) -> Option<&Simple> {
        let Place { pipeline, stage } = command.place;
        self.at(Place { pipeline, stage: stage.checked_sub(1)? })
    }

    fn at(&self, place: Place) -> Option<&Simple> {
        self.commands.get(*self.places.get(&place)?)
    }
}

/// The last part of a path.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What is known while a text is read.
#[derive(Default)]
struct Reader {
    commands: Vec<Simple>,
    unread: Option<Unread>,
    /// What the text itself assigns.
    variables: HashMap<String, Vec<String>>,
    /// What passes through the pipelines so far, by their numbers.
    flows: HashMap<usize, input::Flow>,
    pipelines: usize,
    /// Words that were noted, and those of them with wildcards.
    words: usize,
    wild: usize,
    /// The work that is left.
    steps: usize,
}

impl Reader {
    fn new(length: usize) -> Self {
        Self { steps: allowance(length), ..Self::default() }
    }

    /// Takes some of the work that is left. What is more than that is not done, and the text is not
    /// all read then.
    fn spend(&mut self, steps: usize) -> bool {
        let left = self.steps.checked_sub(steps);
        if left.is_none() {
            self.unread(Unread::Unparsed);
        }
        self.steps = left.unwrap_or(self.steps);
        left.is_some()
    }

    /// Reads a text, at a depth of scripts within scripts.
    fn read(&mut self, text: &str, nested: usize) {
        let mut end = text.len().min(LONGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let whole = text.get(..end).unwrap_or_default();
        if nested > NESTED || end < text.len() {
            self.unread(Unread::TooMuch);
        }
        if nested > NESTED || !self.spend(LEAST) {
            return;
        }
        match bounds::parse(whole, &mut self.steps) {
            Ok(parsed) => self.walk_all(&parsed, nested),
            Err(refused) => {
                if refused == bounds::Refused::Wrong {
                    self.unread(Unread::Unparsed);
                }
                self.by_pieces(whole, nested);
            }
        }
    }

    fn walk_all(&mut self, parsed: &bounds::Parsed, nested: usize) {
        let at = tree::At::start(&parsed.bodies, nested);
        parsed.nodes.iter().for_each(|node| self.walk(node, at));
    }

    fn unread(&mut self, unread: Unread) {
        self.unread = self.unread.max(Some(unread));
    }

    /// The first place of a new pipeline.
    const fn pipeline(&mut self) -> Place {
        self.pipelines += 1;
        Place { pipeline: self.pipelines, stage: 0 }
    }

    /// Notes a command.
    fn note(&mut self, mut command: Simple) {
        if self.commands.len() >= COMMANDS {
            self.unread(Unread::TooMuch);
            return;
        }
        let left = WORDS.saturating_sub(self.words);
        if command.words.len() > left {
            self.unread(Unread::TooMuch);
            command.words.truncate(left);
        }
        self.words += command.words.len();
        for word in command.words.iter_mut().filter(|word| word.is_wild) {
            self.wild += 1;
            if self.wild > WILD {
                word.is_wild = false;
                self.unread(Unread::TooMuch);
            }
        }
        self.flow(&command);
        self.commands.push(command);
    }

    fn done(self) -> Script {
        let mut places = HashMap::new();
        for (at, command) in self.commands.iter().enumerate() {
            places.entry(command.place).or_insert(at);
        }
        Script { commands: self.commands, unread: self.unread, places }
    }
}
