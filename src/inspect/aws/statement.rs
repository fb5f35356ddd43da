//! Which table a `PartiQL` statement of `DynamoDB` is about.
//!
//! Takes the text; returns the table's name. A statement is of one table, so whatever says another
//! (a second `FROM`, a comment, a literal in backticks, a quote that does not end) says none for
//! certain.

/// The table of a statement, where its text says so for certain.
pub(super) fn table(text: &str) -> Option<String> {
    let tokens = tokens(text)?;
    let word = |token: &Token, wanted: &str| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted));
    let at = |wanted: &str| {
        let mut places = tokens.iter().enumerate().filter(|(_, token)| word(token, wanted));
        places.next().filter(|_| places.next().is_none()).map(|(at, _)| at)
    };
    let first = tokens.first()?;
    let before = if word(first, "select") {
        at("from")?
    } else if word(first, "insert") {
        at("into").filter(|at| *at == 1)?
    } else if word(first, "delete") {
        at("from").filter(|at| *at == 1)?
    } else if word(first, "update") {
        0
    } else {
        return None;
    };
    // Neither a join nor a statement within the statement.
    let inner = tokens.iter().skip(1).any(|token| word(token, "select") || word(token, "join"));
    if inner {
        return None;
    }
    let name = match tokens.get(before + 1)? {
        Token::Quoted(name) | Token::Word(name) => name.clone(),
        Token::Other(_) => return None,
    };
    let joined =
        matches!(tokens.get(before + 2), Some(Token::Other(','))) && !word(first, "update");
    (!name.is_empty() && !joined).then_some(name)
}

#[derive(Debug, PartialEq)]
enum Token {
    /// Letters, digits and `_`.
    Word(String),
    /// In double quotes.
    Quoted(String),
    /// Another character, or a text in single quotes, which is one apostrophe here.
    Other(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '`' | ';' => return None,
            '-' if rest.peek() == Some(&'-') => return None,
            '/' if rest.peek() == Some(&'*') => return None,
            '"' | '\'' => {
                let mut inner = String::new();
                loop {
                    match rest.next()? {
                        character if character == next => {
                            // Doubled, it stands for itself.
                            if rest.next_if_eq(&next).is_none() {
                                break;
                            }
                            inner.push(next);
                        }
                        // Whether it escapes what follows, readers differ.
                        '\\' => return None,
                        character => inner.push(character),
                    }
                }
                let token = if next == '"' { Token::Quoted(inner) } else { Token::Other('\'') };
                tokens.push(token);
            }
            character if is_word(character) => {
                let mut word = String::from(character);
                while let Some(more) = rest.next_if(|more| is_word(*more)) {
                    word.push(more);
                }
                tokens.push(Token::Word(word));
            }
            character if character.is_ascii_whitespace() => {}
            character if character.is_ascii_graphic() => tokens.push(Token::Other(character)),
            _ => return None,
        }
    }
    Some(tokens)
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_one_table() {
        let cases = [
            ("SELECT * FROM orders", Some("orders")),
            ("select a, b\nfrom \"stag-t\" WHERE x = 'it''s FROM y'", Some("stag-t")),
            ("SELECT \"from\" FROM \"t\".\"by-day\" WHERE a IN ['x', 'y']", Some("t")),
            ("INSERT INTO \"t\" VALUE {'id': 7}", Some("t")),
            ("UPDATE t SET a = 1 REMOVE b WHERE id = 7", Some("t")),
            ("DELETE FROM t WHERE id = 7", Some("t")),
            ("SELECT * FROM a, b", None),
            ("SELECT * FROM a JOIN b", None),
            ("SELECT * FROM a FROM b", None),
            ("SELECT * FROM a WHERE x = (SELECT y FROM b)", None),
            ("SELECT * FROM a -- FROM b", None),
            ("SELECT /* FROM a */ * FROM b", None),
            ("SELECT * FROM `a`", None),
            ("SELECT '\\' FROM a' FROM b", None),
            ("SELECT * FROM \"a", None),
            ("SELECT * FROM ?", None),
            ("EXISTS(SELECT * FROM a)", None),
            ("INSERT INTO a; DELETE FROM b", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(table(text).as_deref(), expected, "{text}");
        }
    }
}
