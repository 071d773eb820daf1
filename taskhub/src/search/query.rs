//! What a person types into a search box.
//!
//! ```text
//! query = all-of ("or" all-of)*      all-of = item+      item = "-"* ( word | '"' phrase '"' )
//! ```
//!
//! A word finds what begins with it; one with punctuation, such as `bob@exa`, is a phrase whose last word does.
//! A phrase in quotes, and what a `-` excludes, is exact. Everything can be read: a quote that is never closed ends
//! with the text, an `or` with nothing on one side is a word, and what holds no word counts for nothing.

use std::cmp::Reverse;

use super::{
    WORKSPACE, fold,
    words::{Run, runs, shortened, slice},
};

/// Further words are left out: each costs a look into the index.
const ITEMS: usize = 32;
/// Of one item. A sentence without spaces has half as many as characters.
const PARTS: usize = 256;
/// The index is asked for so many words of one alternative. The rest is compared with what it finds.
const ASKED: usize = 8;
const ASKED_SHORT: usize = 3;
/// From so many letters on a word is no short one.
const LONG: usize = 3;

/// What is looked for: any of its alternatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query(Vec<Vec<Item>>);

/// One word or phrase.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    excluded: bool,
    /// Operands of a `tsquery`, each with its place in the phrase.
    parts: Vec<(usize, String)>,
}

/// What stands in a query, as it was typed.
enum Typed<'a> {
    Or,
    Item {
        dashes: usize,
        text: &'a str,
        quoted: bool,
    },
}

impl Query {
    pub fn read(text: &str) -> Self {
        let mut alternatives: Vec<Vec<Item>> = vec![Vec::new()];
        let mut rest = text.trim_start();
        let mut items = 0;
        while let Some((typed, after)) = next(rest) {
            rest = after.trim_start();
            let begun = alternatives.last().is_some_and(|items| !items.is_empty());
            match typed {
                Typed::Or if begun && !rest.is_empty() => alternatives.push(Vec::new()),
                Typed::Or => push(&mut alternatives, Item::read(0, "or", false)),
                Typed::Item {
                    dashes,
                    text,
                    quoted,
                } => {
                    push(&mut alternatives, Item::read(dashes, text, quoted));
                }
            }
            items += 1;
            if items == ITEMS {
                break;
            }
        }
        alternatives.retain(|items| !items.is_empty());
        Self(alternatives)
    }

    /// Whether it says nothing that could be looked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it, as a `tsquery` with [`WORKSPACE`] before each word.
    pub fn text(&self) -> String {
        let alternatives: Vec<String> = self
            .0
            .iter()
            .map(|items| {
                let items: Vec<String> = items.iter().map(Item::to_text).collect();
                format!("({})", items.join(" & "))
            })
            .collect();
        alternatives.join(" | ")
    }

    /// As [`Query::text`], where a word that only begins with one of these is none of them.
    pub fn exact(&self) -> String {
        self.text().replace(":*", "")
    }

    /// What the index is to be asked for, as a `tsquery`: it finds everything that the query finds, and maybe more.
    /// `None` where no index helps, because an alternative only says what is not to be there.
    pub fn indexed(&self) -> Option<String> {
        let alternatives: Option<Vec<String>> = self.0.iter().map(|items| asked(items)).collect();
        Some(alternatives?.join(" | "))
    }
}

/// The longest words of an alternative, which are the rarest. Short beginnings of words are asked for only where
/// there is nothing else, because the index reads everything that begins so.
fn asked(items: &[Item]) -> Option<String> {
    let wanted = items.iter().filter(|item| !item.excluded);
    let mut parts: Vec<&str> = wanted
        .flat_map(|item| item.parts.iter().map(|(_, part)| part.as_str()))
        .collect();
    let letters = |part: &str| part.trim_end_matches(":*").chars().count() - "'@'".len();
    parts.sort_by_key(|part| Reverse(letters(part)));
    parts.dedup();
    let long = parts.partition_point(|part| letters(part) >= LONG);
    parts.truncate(if long > 0 {
        long.min(ASKED)
    } else {
        ASKED_SHORT
    });
    (!parts.is_empty()).then(|| format!("({})", parts.join(" & ")))
}

impl Item {
    fn read(dashes: usize, text: &str, quoted: bool) -> Option<Self> {
        // As PostgreSQL has it: two dashes are none.
        let excluded = dashes % 2 == 1;
        let folded = fold::fold(text);
        let runs: Vec<Run<'_>> = runs(&folded).collect();
        let last = runs.len().checked_sub(1)?;
        let (mut parts, mut first) = (Vec::new(), 0);
        for (index, run) in runs.iter().enumerate() {
            let begins = index == last && !quoted && !excluded;
            push_parts(&mut parts, *run, first, begins);
            first += run.places();
        }
        parts.truncate(PARTS);
        Some(Self { excluded, parts })
    }

    fn to_text(&self) -> String {
        let no = if self.excluded { "!" } else { "" };
        format!("{no}({})", phrase(&self.parts))
    }
}

fn push(alternatives: &mut [Vec<Item>], item: Option<Item>) {
    if let (Some(items), Some(item)) = (alternatives.last_mut(), item) {
        items.push(item);
    }
}

/// The first word or phrase, and what follows it.
fn next(text: &str) -> Option<(Typed<'_>, &str)> {
    let is_quote = |character| matches!(character, '"' | '“' | '”' | '„');
    let bare = text.trim_start_matches('-');
    let dashes = text.len() - bare.len();
    let first = text.chars().next()?;
    if let Some(quoted) = bare.strip_prefix(is_quote) {
        let (phrase, rest) = quoted.split_once(is_quote).unwrap_or((quoted, ""));
        let typed = Typed::Item {
            dashes,
            text: phrase,
            quoted: true,
        };
        return Some((typed, rest));
    }
    let end = bare
        .find(|character: char| character.is_whitespace() || is_quote(character))
        .unwrap_or(bare.len());
    let (word, rest) = bare.split_at(end);
    let typed = if first != '-' && word.eq_ignore_ascii_case("or") {
        Typed::Or
    } else {
        Typed::Item {
            dashes,
            text: word,
            quoted: false,
        }
    };
    Some((typed, rest))
}

/// The parts of one run, each with its place. Of pairs of characters, every second tells all.
fn push_parts(parts: &mut Vec<(usize, String)>, run: Run<'_>, first: usize, begins: bool) {
    match run {
        Run::Word(word) => {
            let mark = if begins { ":*" } else { "" };
            parts.push((first, format!("'{WORKSPACE}{}'{mark}", shortened(word))));
        }
        Run::Unspaced(text) => {
            let starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
            let Some(pairs @ 1..) = starts.len().checked_sub(1) else {
                // A single character is the first or the last of a pair, or alone.
                parts.push((first, format!("'{WORKSPACE}{text}':*")));
                return;
            };
            let places = (0..pairs).filter(|place| place % 2 == 0 || place + 1 == pairs);
            parts.extend(places.map(|place| {
                let pair = slice(text, starts[place], 2);
                (first + place, format!("'{WORKSPACE}{pair}'"))
            }));
        }
    }
}

fn phrase(parts: &[(usize, String)]) -> String {
    let mut text = String::new();
    let mut former = None;
    for (place, part) in parts {
        if let Some(former) = former.replace(*place) {
            text.push_str(&format!(" <{}> ", place - former));
        }
        text.push_str(part);
    }
    text
}
