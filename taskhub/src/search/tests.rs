use proptest::prelude::*;

use super::{fold::fold, *};

#[test]
fn spellings_of_the_same_are_the_same() {
    for (text, folded) in [
        ("Café", "cafe"),
        ("CAFE\u{301}", "cafe"),
        ("МОЛОКО", "молоко"),
        ("Ёлка мой", "елка мой"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("GROẞ", "gross"),
        ("İstanbul ISPARTA ısparta", "istanbul isparta isparta"),
        ("ΟΔΥΣΣΕΥΣ Οδυσσεύς", "οδυσσευσ οδυσσευσ"),
        ("Łódź Ærø", "lodz aero"),
        ("Đặng", "dang"),
        ("ＡＢＣ１２ ｶﾞ", "abc12 ガ"),
        ("ﬁle №5", "file no5"),
        ("한글", "한글"),
        ("が", "が"),
        ("हिन्दी", "हिन्दी"),
        ("ภาษาไทย", "ภาษาไทย"),
        ("مَكْتَب أحمد", "مكتب احمد"),
        ("שָׁלוֹם", "שלום"),
        ("soft\u{AD}ware", "software"),
    ] {
        assert_eq!(fold(text), folded.nfc_text(), "{text}");
    }
}

#[test]
fn a_text_is_stored_by_its_words_and_by_pairs_where_it_has_no_spaces() {
    for (text, vector) in [
        ("Buy milk, 2 l", "'@buy':1A '@milk':2A '@2':3A '@l':4A "),
        ("bob@example.com", "'@bob':1A '@example':2A '@com':3A "),
        (
            "牛乳を買う",
            "'@牛乳':1A '@乳を':2A '@を買':3A '@買う':4A '@う':5A ",
        ),
        ("ab牛乳c", "'@ab':1A '@牛乳':2A '@乳':3A '@c':4A "),
        ("party 🎉🎂", "'@party':1A '@🎉':2A '@🎂':3A "),
        ("!!", ""),
    ] {
        assert_eq!(title_words(text), vector);
    }
    assert_eq!(description_words("Milk"), "'@milk':16 ");
}

#[test]
fn a_query_is_read_as_people_type_it() {
    for (text, query) in [
        ("mil", "(('@mil':*))"),
        ("Buy MILK", "(('@buy':*) & ('@milk':*))"),
        ("bob@exa", "(('@bob' <1> '@exa':*))"),
        (
            "\"quick brown\" fox",
            "(('@quick' <1> '@brown') & ('@fox':*))",
        ),
        ("report -send", "(('@report':*) & !('@send'))"),
        (
            "report -\"to bob\"",
            "(('@report':*) & !('@to' <1> '@bob'))",
        ),
        ("a b or c", "(('@a':*) & ('@b':*)) | (('@c':*))"),
        ("or foo", "(('@or':*) & ('@foo':*))"),
        ("foo or", "(('@foo':*) & ('@or':*))"),
        ("foo OR -bar", "(('@foo':*)) | (!('@bar'))"),
        ("--verbose", "(('@verbose':*))"),
        ("- foo !! ,", "(('@foo':*))"),
        ("\"never closed", "(('@never' <1> '@closed'))"),
        ("“curly quotes”", "(('@curly' <1> '@quotes'))"),
        ("牛", "(('@牛':*))"),
        ("牛乳", "(('@牛乳'))"),
        ("牛乳を買う", "(('@牛乳' <2> '@を買' <1> '@買う'))"),
        ("iphone15を", "(('@iphone15' <1> '@を':*))"),
        ("", ""),
        ("!! - \"\" ", ""),
    ] {
        assert_eq!(Query::read(text).text(), query, "{text}");
    }
}

#[test]
fn the_index_is_asked_for_what_is_rarest() {
    let indexed = |text| Query::read(text).indexed();
    assert_eq!(
        indexed("a of passport \"my old\" -new or 牛乳").unwrap(),
        "('@passport':* & '@old') | ('@牛乳')"
    );
    assert_eq!(
        indexed("a to b do").unwrap(),
        "('@to':* & '@do':* & '@a':*)"
    );
    assert_eq!(indexed("牛乳を").unwrap(), "('@牛乳' & '@乳を')");
    assert_eq!(indexed("milk or -butter"), None);
    assert_eq!(indexed("-butter"), None);
}

#[test]
fn what_is_stored_and_asked_has_bounds() {
    let long = "x".repeat(64 * 1024);
    assert!(description_words(&long).len() < 300);
    let expanding = "a\u{FDFA}".repeat(20_000);
    assert!(description_words(&expanding).len() < 1024 * 1024);
    let many = "ab ".repeat(200);
    assert_eq!(Query::read(&many).text().matches("ab").count(), 32);
    let unspaced = "牛乳を買う".repeat(100);
    assert_eq!(Query::read(&unspaced).text().matches('\'').count(), 500);
}

proptest! {
    #[test]
    fn any_text_makes_words_without_quotes(text in "\\PC{0,60}") {
        let vector = title_words(&text);
        for entry in vector.split_terminator(' ') {
            let inner = entry.strip_prefix('\'').and_then(|entry| entry.rsplit_once('\''));
            let (word, place) = inner.expect("a quoted word");
            let word = word.strip_prefix(WORKSPACE).expect("room for the workspace");
            prop_assert!(!word.is_empty() && !word.contains(['\'', '\\', WORKSPACE, ' ']));
            prop_assert!(place.ends_with('A'));
        }
    }
}

trait Normalised {
    fn nfc_text(&self) -> String;
}

impl Normalised for str {
    fn nfc_text(&self) -> String {
        use unicode_normalization::UnicodeNormalization;
        self.nfc().collect()
    }
}
