//! What a search finds: the words of a text, made here so that no locale of a database decides it.
//!
//! A text is folded ([`fold`]), cut into words ([`words`]) and stored as a `tsvector`. What a person
//! types is read into a `tsquery` ([`query`]) in the same way. Both are written as PostgreSQL's input
//! text, which is read byte by byte, without a dictionary.

pub mod filling;
mod fold;
mod query;
mod words;

#[cfg(test)]
mod tests;

pub use query::Query;

use self::words::{Token, tokens};

/// The rules of this module. Whoever changes what is stored raises it; the worker then makes all words
/// anew ([`filling`]).
pub const VERSION: i16 = 1;

/// A `tsvector` has at most 1 MiB. Title and description have far less than these together.
const STORED_TOKENS: usize = 40_000;
const STORED_BYTES: usize = 384 * 1024;

/// So far behind the title does the description begin that no phrase leads from one into the other.
const GAP: usize = 16;

/// Stands before each word for the workspace: what goes into the database has there the last six characters of its
/// id. So nothing that others wrote is read in a search. No word has this character.
pub const WORKSPACE: char = '@';

/// The words of a title, as a `tsvector`.
pub fn title_words(title: &str) -> String {
    stored(title, 1, "A")
}

/// The words of a description, as a `tsvector`, to be appended to those of the title.
pub fn description_words(description: &str) -> String {
    stored(description, GAP, "")
}

/// PostgreSQL keeps 256 places of a word, and those beyond the 16,383rd word as that one.
fn stored(text: &str, first: usize, weight: &str) -> String {
    let (mut vector, mut bytes) = (String::new(), 0);
    let folded = fold::fold(text);
    for Token { text, place } in tokens(&folded).take(STORED_TOKENS) {
        bytes += text.len() + 6;
        if bytes > STORED_BYTES {
            break;
        }
        // A token has neither quotes nor backslashes.
        vector.push_str(&format!("'{WORKSPACE}{text}':{}{weight} ", first + place));
    }
    vector
}
