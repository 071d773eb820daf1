//! One spelling for everything that people take for the same.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The text in Unicode's compatibility form, without accents, in one case.
///
/// Marks that are letters of their own stay: vowel signs of India and South-East Asia, the voicing marks of
/// kana, the breve of й. The case is that of full case folding: ß is ss, and İ, I, ı and i are one letter, in every
/// language.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    let mut base = ' ';
    for character in text.nfkd().filter(|&character| !is_ignorable(character)) {
        if is_combining_mark(character) {
            if !is_accent(base, character) {
                folded.push(character);
            }
        } else {
            base = character;
            push_folded(&mut folded, character);
        }
    }
    // Syllables of Hangul and voiced kana count as one character again.
    folded.nfc().collect()
}

/// Lower, upper and lower again is the full case folding of every letter but a few of liturgical scripts.
fn push_folded(folded: &mut String, character: char) {
    let cases = character.to_lowercase().flat_map(char::to_uppercase);
    for character in cases.flat_map(char::to_lowercase) {
        match character {
            // Letters with a stroke and ligatures, which Unicode does not take apart.
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ŧ' => folded.push('t'),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            other => folded.push(other),
        }
    }
}

/// Whether readers take the letter for the same without this mark.
fn is_accent(base: char, mark: char) -> bool {
    match mark {
        // й, ў and ї are letters; ё is an е.
        '\u{306}' | '\u{308}' if is_cyrillic(base) => matches!(base, 'е' | 'Е'),
        // Marks on Latin, Greek and Cyrillic letters, and on symbols.
        '\u{300}'..='\u{36F}'
        | '\u{483}'..='\u{489}'
        | '\u{1AB0}'..='\u{1AFF}'
        | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}'
        | '\u{FE20}'..='\u{FE2F}' => true,
        // Vowel points of Hebrew, Arabic and Syriac, and hamza and madda above.
        '\u{591}'..='\u{5C7}'
        | '\u{610}'..='\u{61A}'
        | '\u{64B}'..='\u{65F}'
        | '\u{670}'
        | '\u{6D6}'..='\u{6ED}'
        | '\u{711}'..='\u{74A}'
        | '\u{898}'..='\u{8FF}' => true,
        // How a character is drawn.
        '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' => true,
        _ => false,
    }
}

fn is_cyrillic(character: char) -> bool {
    matches!(character, '\u{400}'..='\u{52F}' | '\u{1C80}'..='\u{1C8F}' | '\u{A640}'..='\u{A69F}')
}

/// Hyphenation, joiners, directions, the stretching stroke of Arabic, and colours of skin.
fn is_ignorable(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{61C}' | '\u{640}' | '\u{180B}'..='\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
            | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0020}'..='\u{E007F}'
    )
}
