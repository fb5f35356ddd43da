//! Names with wildcards.
//!
//! Takes a name as the shell has it, with `*`, `?` and `[…]`; says what it may stand for. It is taken
//! apart once; a comparison takes at most the product of both lengths, and names are short.

/// A part of a pattern.
enum Part {
    /// This letter.
    Letter(char),
    /// Any letter.
    Any,
    /// One of these, or none of them.
    Set(Vec<char>, bool),
    /// Any letters, or none.
    Star,
}

/// Letters of a set that are looked at.
const SET: usize = 64;
/// Parts that are looked at: a name that has more stands for none that is known.
const PARTS: usize = 64;

/// A name that may stand for several.
pub(super) struct Glob {
    parts: Vec<Part>,
    is_long: bool,
}

impl Part {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Letter(one) => *one == letter,
            Self::Any => true,
            Self::Set(set, is_not) => in_set(set, letter) != *is_not,
            Self::Star => false,
        }
    }
}

impl Glob {
    /// Takes a name apart.
    pub(super) fn of(name: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let mut letters = name.chars();
        while let Some(letter) = letters.next() {
            if parts.len() == PARTS {
                return Self { parts, is_long: true };
            }
            parts.push(match letter {
                '*' if matches!(parts.last(), Some(Part::Star)) => continue,
                '*' => Part::Star,
                '?' => Part::Any,
                '[' => {
                    let mut set: Vec<char> =
                        letters.by_ref().take_while(|c| *c != ']').take(SET).collect();
                    let is_not = matches!(set.first(), Some('!' | '^'));
                    if is_not {
                        set.remove(0);
                    }
                    Part::Set(set, is_not)
                }
                letter => Part::Letter(letter),
            });
        }
        Self { parts, is_long: false }
    }

    /// Whether it has wildcards.
    pub(super) fn is_wild(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::Letter(_)))
    }

    /// Whether anything may stand at its end.
    pub(super) fn is_open(&self) -> bool {
        !self.is_long && matches!(self.parts.last(), Some(Part::Star))
    }

    /// Letters that stand for themselves.
    pub(super) fn literals(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part, Part::Letter(_))).count()
    }

    /// Whether it ends with this however it begins: two letters of it at least stand there.
    pub(super) fn spells(&self, end: &str) -> bool {
        let mut parts = self.parts.iter().rev();
        let mut literals = 0;
        let is_spelt = end.chars().rev().all(|letter| {
            parts.next().is_some_and(|part| {
                literals += usize::from(matches!(part, Part::Letter(_)));
                part.takes(letter)
            })
        });
        is_spelt && literals >= 2 && !self.is_long
    }

    /// Whether it may stand for a name. The wildcards of a shell stand for no dot at the beginning,
    /// those of a search do.
    pub(super) fn matches(&self, name: &str, is_search: bool) -> bool {
        if self.is_long {
            return false;
        }
        let is_hidden = name.starts_with('.') && !is_search;
        if is_hidden && matches!(self.parts.first(), Some(Part::Star | Part::Any)) {
            return false;
        }
        // Most names are told apart by their first or last letter.
        let ends = [
            (self.parts.first(), name.chars().next()),
            (self.parts.last(), name.chars().next_back()),
        ];
        let differs = |(part, letter): &(Option<&Part>, Option<char>)| matches!(part, Some(Part::Letter(one)) if Some(*one) != *letter);
        // The names that are known are of ASCII.
        if ends.iter().any(differs) || !name.is_ascii() {
            return false;
        }
        let name = name.as_bytes();
        // After a star, what follows is tried at one letter after the other.
        let (mut part, mut letter, mut star) = (0, 0, None);
        while let Some(one) = name.get(letter) {
            match self.parts.get(part) {
                Some(Part::Star) => {
                    star = Some((part + 1, letter));
                    part += 1;
                }
                Some(given) if given.takes(char::from(*one)) => {
                    part += 1;
                    letter += 1;
                }
                _ => match star.as_mut() {
                    Some((after, from)) => {
                        *from += 1;
                        part = *after;
                        letter = *from;
                    }
                    None => return false,
                },
            }
        }
        self.parts.iter().skip(part).all(|part| matches!(part, Part::Star))
    }
}

fn in_set(set: &[char], letter: char) -> bool {
    let in_range = set
        .windows(3)
        .any(|three| matches!(three, [from, '-', to] if (*from..=*to).contains(&letter)));
    set.contains(&letter) || in_range
}
