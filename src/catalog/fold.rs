//! Ids that are the same in another spelling.
//!
//! Takes an id and what its catalog says of its kind; returns the one form in which it is compared,
//! whether a policy declares it or a call asks for it. A fold may only make ids one that the service
//! itself takes for one, or of which it lets only one be.

use std::borrow::Cow;

/// What makes no difference between two ids of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// Capital letters and small ones.
    Case,
    /// `_` and `-`.
    Dashes,
    /// `-`, `_` and `.`, and how many of them stand together (PEP 503).
    Separators,
    /// In the name of a repository, as in `acme/web`: capital letters and small ones, and `.git` and
    /// `.wiki` behind it. An id without a slash is no name, and its letters count.
    Repository,
    /// In the name of a user or an organization: capital letters and small ones. What has the form of a
    /// node id is no name, and its letters count.
    Login,
    /// `.json`, `.yaml`, `.yml` and `.xml` behind a name, which ask for a form of the answer.
    Format,
    /// Zeros before a number.
    Number,
    /// `@` before a name.
    Scope,
}

/// An id in the one form it is compared in: what holds of every id, then what is said of its kind.
pub fn folded<'a>(id: &'a str, folds: &[Fold]) -> Cow<'a, str> {
    folds.iter().fold(crate::policy::folded(id), |id, fold| fold.apply(id))
}

impl Fold {
    fn apply(self, id: Cow<'_, str>) -> Cow<'_, str> {
        let folded: String = match self {
            Self::Case => id.to_lowercase(),
            Self::Dashes => id.replace('_', "-"),
            Self::Separators => {
                let mut folded = String::with_capacity(id.len());
                for c in id.chars() {
                    match c {
                        '-' | '_' | '.' if folded.ends_with('-') => {}
                        '-' | '_' | '.' => folded.push('-'),
                        c => folded.push(c),
                    }
                }
                folded
            }
            Self::Repository if id.contains('/') => {
                let bare = without(&id, &[".git"]);
                without(bare, &[".wiki"]).to_lowercase()
            }
            Self::Login if !is_node_id(&id) => id.to_lowercase(),
            Self::Format => without(&id, &[".json", ".yaml", ".yml", ".xml"]).to_owned(),
            Self::Number if id.bytes().all(|byte| byte.is_ascii_digit()) => {
                let digits = id.trim_start_matches('0');
                if digits.is_empty() { id.into_owned() } else { digits.to_owned() }
            }
            Self::Repository | Self::Login | Self::Number => return id,
            Self::Scope => id.strip_prefix('@').unwrap_or(&id).to_owned(),
        };
        folded.into()
    }
}

/// Whether an id is one of GitHub's node ids, of the new form or of the old, and no login: logins have
/// no underscore.
fn is_node_id(id: &str) -> bool {
    const OLD: &[&str] = &["MDQ6VXNlc", "MDEyOk9yZ2FuaXphdGlvb"];
    id.contains('_') || OLD.iter().any(|old| id.starts_with(old))
}

/// A text without the first of some endings that it has, if something stands before it.
fn without<'a>(text: &'a str, endings: &[&str]) -> &'a str {
    let bare = endings.iter().find_map(|ending| {
        let at = text.len().checked_sub(ending.len())?;
        let (before, end) = text.split_at_checked(at)?;
        (end.eq_ignore_ascii_case(ending) && !before.is_empty() && !before.ends_with('/'))
            .then_some(before)
    });
    bare.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_no_difference_is_folded() {
        use Fold::*;
        type Row<'a> = (&'a [Fold], &'a [&'a str], &'a [&'a str]);
        let same: &[Row<'_>] = &[
            (
                &[Repository, Number],
                &[
                    "acme/prod",
                    "ACME/Prod",
                    "acme/prod.git",
                    "Acme/prod.WIKI.git",
                    "acme/prod.wiki",
                ],
                &["acme/prod2", "acme/prod.github", "acme/.git", "acme/prod.git.git", "acme/pro_d"],
            ),
            (&[Repository, Number], &["222", "0222"], &["2220", "222a", "0222a", "0"]),
            (&[Repository, Number], &["R_kgDOB1vNFQ"], &["R_kgDOb1vNFQ", "r_kgDOB1vNFQ"]),
            (&[Login], &["acme", "ACME"], &["acme2", "0acme"]),
            (&[Login], &["O_kgDOB1vNFQ"], &["O_kgDOb1vNFQ"]),
            (&[Login], &["MDQ6VXNlcjE"], &["MDQ6VXNlcjE5", "mdq6vxnlcje"]),
            (&[Case, Dashes], &["my-crate", "My_Crate"], &["my--crate", "my.crate", "mycrate"]),
            (&[Case, Separators], &["my-proj", "My_Proj", "my.proj", "my-_-proj"], &["myproj"]),
            (&[Case, Scope], &["acme", "@Acme"], &["@@acme", "@"]),
            (&[Format], &["rails", "rails.json", "rails.YAML"], &["Rails", "rails.rb", ".json"]),
            (
                &[],
                &["B0000000-0000-4000-8000-00000000000b", "b000000000004000800000000000000b"],
                &["x"],
            ),
        ];
        for (folds, one, others) in same {
            let first = folded(one[0], folds);
            for id in *one {
                assert_eq!(folded(id, folds), first, "{id}");
            }
            for id in *others {
                assert_ne!(folded(id, folds), first, "{id}");
            }
        }
    }
}
