//! How a folded text is cut up.
//!
//! A word is a run of letters, digits and marks; everything else only parts words. That is finer than
//! the words of UAX #29: those hold `example.com` and `don't` together, whose parts people look for.
//! Where words are written without spaces, each pair of neighbouring characters counts.

use unicode_normalization::char::is_combining_mark;

/// A longer word is stored, and looked for, by its beginning.
const WORD_CHARACTERS: usize = 64;

/// One entry of a `tsvector`: letters, digits and marks, or a symbol.
#[derive(Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Counted from 0. A word has one place; where there are no spaces, each character has one.
    pub(super) place: usize,
}

/// A stretch of text of one manner of writing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Run<'a> {
    Word(&'a str),
    /// Of a script that puts no spaces between words.
    Unspaced(&'a str),
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Letter,
    Unspaced,
    Symbol,
    None,
}

impl<'a> Run<'a> {
    /// How many places it takes.
    pub(super) fn places(self) -> usize {
        match self {
            Self::Word(_) => 1,
            Self::Unspaced(text) => text.chars().count(),
        }
    }

    /// The first character of a run without spaces comes with the second, and the last alone: what begins with
    /// a character is then found by a prefix.
    fn tokens(self) -> impl Iterator<Item = &'a str> {
        let (word, unspaced) = match self {
            Self::Word(word) => (Some(shortened(word)), ""),
            Self::Unspaced(text) => (None, text),
        };
        let pairs = unspaced
            .char_indices()
            .map(move |(start, _)| slice(unspaced, start, 2));
        word.into_iter().chain(pairs)
    }
}

/// The entries of a folded text, in order.
pub(super) fn tokens(folded: &str) -> impl Iterator<Item = Token<'_>> {
    let mut next = 0;
    runs(folded).flat_map(move |run| {
        let first = next;
        next += run.places();
        run.tokens().enumerate().map(move |(index, text)| Token {
            text,
            place: first + index,
        })
    })
}

/// Each symbol is a run.
pub(super) fn runs(folded: &str) -> impl Iterator<Item = Run<'_>> {
    let mut rest = folded;
    std::iter::from_fn(move || {
        let start = rest.find(|character| class(character) != Class::None)?;
        rest = &rest[start..];
        let kind = class(rest.chars().next()?);
        // A mark belongs to its letter, of whatever script that is.
        let belongs = |character| class(character) == kind || is_combining_mark(character);
        let mut ends = rest.char_indices().skip(1);
        let end = ends.find(|(_, character)| kind == Class::Symbol || !belongs(*character));
        let (run, remaining) = rest.split_at(end.map_or(rest.len(), |(end, _)| end));
        rest = remaining;
        Some(if kind == Class::Unspaced {
            Run::Unspaced(run)
        } else {
            Run::Word(run)
        })
    })
}

/// Up to `count` characters from `start` on.
pub(super) fn slice(text: &str, start: usize, count: usize) -> &str {
    let tail = &text[start..];
    let end = tail
        .char_indices()
        .nth(count)
        .map_or(tail.len(), |(end, _)| end);
    &tail[..end]
}

pub(super) fn shortened(word: &str) -> &str {
    slice(word, 0, WORD_CHARACTERS)
}

fn class(character: char) -> Class {
    match character {
        'a'..='z' | '0'..='9' => Class::Letter,
        // Pictures.
        '\u{2600}'..='\u{27BF}' | '\u{2B50}' | '\u{2B55}' | '\u{1F000}'..='\u{1FAFF}' => Class::Symbol,
        _ if !character.is_alphanumeric() && !is_combining_mark(character) => Class::None,
        // Thai and Lao; Myanmar; Hangul; Khmer; Tai Le to Khmer symbols; Tai Tham.
        '\u{E00}'..='\u{EFF}'
        | '\u{1000}'..='\u{109F}'
        | '\u{1100}'..='\u{11FF}'
        | '\u{1780}'..='\u{17FF}'
        | '\u{1950}'..='\u{19FF}'
        | '\u{1A20}'..='\u{1AAF}'
        // Kana, Bopomofo and Han with their marks; Yi; Hangul; the supplementary planes of Han.
        | '\u{3005}'..='\u{3007}'
        | '\u{3021}'..='\u{9FFF}'
        | '\u{A000}'..='\u{A4CF}'
        | '\u{A960}'..='\u{A97F}'
        | '\u{AC00}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{1AFF0}'..='\u{1B16F}'
        | '\u{20000}'..='\u{3FFFF}' => Class::Unspaced,
        _ => Class::Letter,
    }
}
