//! The words of the generated language: every token is a word, and all of them are listed here.
//!
//! An id is the index of a word in the tables below, in the order of `TABLES`. Models store ids, so
//! a table may grow only if no model has been saved.

use crate::error::{Error, Result};
use crate::formats::pairs::Encode;
use crate::named::suggest;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The id of `<pad>`, which pads rows and never counts in a loss.
pub(crate) const PAD: u32 = 0;

/// The id of `<bos>`, the first token of every example.
pub(crate) const BOS: u32 = 1;

/// Numbers are residues of this modulus, and each is a word.
pub(crate) const MODULUS: u32 = 31;

const MARKS: &[&str] = &["<pad>", "<bos>", ".", ",", "?", ":", "#", "[none]"];

const OPERATORS: &[&str] = &["=", "+", "-", "*", "(", ")", "&", "|", "->", "~"];

pub(super) const NUMBERS: &[&str; MODULUS as usize] = &[
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30",
];

const FUNCTION: &[&str] = &[
    "the",
    "a",
    "this",
    "these",
    "that",
    "and",
    "or",
    "not",
    "implies",
    "given",
    "true",
    "false",
    "unknown",
    "came",
    "failed",
    "start",
    "add",
    "take",
    "times",
    "holds",
    "is",
    "are",
    "he",
    "she",
    "his",
    "her",
    "itself",
    "themselves",
    "was",
    "because",
    "when",
    "before",
    "in",
    "found",
    "said",
    "slept",
    "lost",
    "arrived",
    "told",
    "finished",
    "went",
    "home",
    "forgot",
    "at",
    "smiled",
    "left",
    "sold",
];

/// Singular and plural of each noun; the last [`HELD_OUT_NOUNS`] are held out of tuning.
pub(super) const NOUNS: &[(&str, &str); 32] = &[
    ("dog", "dogs"),
    ("cat", "cats"),
    ("bird", "birds"),
    ("horse", "horses"),
    ("cow", "cows"),
    ("pig", "pigs"),
    ("duck", "ducks"),
    ("goat", "goats"),
    ("bear", "bears"),
    ("lion", "lions"),
    ("wolf", "wolves"),
    ("mouse", "mice"),
    ("child", "children"),
    ("friend", "friends"),
    ("neighbor", "neighbors"),
    ("student", "students"),
    ("artist", "artists"),
    ("singer", "singers"),
    ("player", "players"),
    ("dancer", "dancers"),
    ("runner", "runners"),
    ("visitor", "visitors"),
    ("cousin", "cousins"),
    ("tourist", "tourists"),
    ("rabbit", "rabbits"),
    ("tiger", "tigers"),
    ("goose", "geese"),
    ("monkey", "monkeys"),
    ("painter", "painters"),
    ("sailor", "sailors"),
    ("hunter", "hunters"),
    ("poet", "poets"),
];

pub(super) const HELD_OUT_NOUNS: usize = 8;

/// Singular and plural of each verb; the last [`HELD_OUT_VERBS`] are held out of tuning.
pub(super) const VERBS: &[(&str, &str); 30] = &[
    ("sees", "see"),
    ("likes", "like"),
    ("hears", "hear"),
    ("finds", "find"),
    ("helps", "help"),
    ("follows", "follow"),
    ("knows", "know"),
    ("meets", "meet"),
    ("loves", "love"),
    ("calls", "call"),
    ("watches", "watch"),
    ("wants", "want"),
    ("needs", "need"),
    ("chases", "chase"),
    ("greets", "greet"),
    ("hugs", "hug"),
    ("feeds", "feed"),
    ("leads", "lead"),
    ("thanks", "thank"),
    ("visits", "visit"),
    ("trusts", "trust"),
    ("fears", "fear"),
    ("guides", "guide"),
    ("joins", "join"),
    ("admires", "admire"),
    ("pushes", "push"),
    ("carries", "carry"),
    ("teaches", "teach"),
    ("praises", "praise"),
    ("avoids", "avoid"),
];

pub(super) const HELD_OUT_VERBS: usize = 6;

pub(super) const ADVERBS: &[&str] =
    &["often", "always", "never", "rarely", "usually", "sometimes", "still", "now"];

pub(super) const PREPOSITIONS: &[&str] = &["near", "behind", "beside", "above", "below", "by"];

pub(super) const ADJECTIVES: &[&str] =
    &["happy", "tired", "hungry", "quiet", "tall", "young", "old", "kind"];

/// Occupations that WinoBias lists as stereotypically male (two of them cut to one word); the last
/// [`HELD_OUT_OCCUPATIONS`] are held out of tuning.
pub(super) const MALE: &[&str; 20] = &[
    "driver",
    "supervisor",
    "janitor",
    "cook",
    "mover",
    "laborer",
    "builder",
    "chief",
    "developer",
    "carpenter",
    "manager",
    "lawyer",
    "farmer",
    "salesperson",
    "physician",
    "guard",
    "analyst",
    "mechanic",
    "sheriff",
    "director",
];

/// Occupations that it lists as stereotypically female.
pub(super) const FEMALE: &[&str; 20] = &[
    "attendant",
    "cashier",
    "teacher",
    "nurse",
    "assistant",
    "secretary",
    "auditor",
    "cleaner",
    "receptionist",
    "clerk",
    "counselor",
    "designer",
    "hairdresser",
    "writer",
    "housekeeper",
    "baker",
    "accountant",
    "editor",
    "librarian",
    "tailor",
];

pub(super) const HELD_OUT_OCCUPATIONS: usize = 4;

/// Nouns that state the gender: male and female.
pub(super) const GENDERED: &[(&str, &str); 8] = &[
    ("man", "woman"),
    ("boy", "girl"),
    ("king", "queen"),
    ("father", "mother"),
    ("brother", "sister"),
    ("husband", "wife"),
    ("uncle", "aunt"),
    ("son", "daughter"),
];

pub(super) const BELONGINGS: &[&str] = &["hat", "coat", "house", "car", "watchdog", "ticket"];

pub(super) const DAYS: &[&str] = &["today", "yesterday", "again", "later"];

/// Propositions: letters, and their names in stories.
pub(super) const LETTERS: &[&str; 5] = &["p", "q", "r", "s", "t"];
pub(super) const WEATHER: &[&str; 5] = &["rain", "snow", "wind", "fog", "heat"];

pub(super) const COLOURS: &[&str; 8] =
    &["red", "blue", "green", "white", "black", "yellow", "brown", "pink"];

pub(super) const CONTAINERS: &[&str; 10] =
    &["box", "bag", "jar", "drawer", "basket", "chest", "cup", "shelf", "tin", "crate"];

pub(super) const ITEMS: &[&str; 12] = &[
    "keys", "coins", "books", "pens", "apples", "cards", "stones", "shells", "rings", "buttons",
    "nuts", "stamps",
];

pub(super) const COUNTS: &[&str; 8] =
    &["two", "three", "four", "five", "six", "seven", "eight", "nine"];

pub(super) const WENT: &[&str] =
    &["walked", "ran", "played", "sang", "danced", "rested", "waited", "laughed"];

pub(super) const TO_ONESELF: &[&str] = &["washed", "saw", "hid", "hurt"];

pub(super) const PLACES: &[&str] = &[
    "park", "river", "market", "garden", "school", "forest", "bridge", "beach", "village", "hill",
];

/// Tables of words, in the order of their ids.
const TABLES: [&[&str]; 20] = [
    MARKS,
    OPERATORS,
    NUMBERS,
    FUNCTION,
    ADVERBS,
    PREPOSITIONS,
    ADJECTIVES,
    MALE,
    FEMALE,
    BELONGINGS,
    DAYS,
    LETTERS,
    WEATHER,
    COLOURS,
    CONTAINERS,
    ITEMS,
    COUNTS,
    WENT,
    TO_ONESELF,
    PLACES,
];

/// Tables of two forms each, whose ids follow.
const FORMS: [&[(&str, &str)]; 3] = [NOUNS, VERBS, GENDERED];

/// The words of the language and their ids.
///
/// ```
/// use edgegrad::tasks::language::vocabulary::Vocabulary;
/// let words = Vocabulary::get();
/// let ids = words.encode("<bos> the dog near the cats sees the bird .")?;
/// assert_eq!(words.decode(&ids)?, "<bos> the dog near the cats sees the bird .");
/// assert_eq!(words.id("sea"), None);
/// let e = words.encode("the dog seas").unwrap_err();
/// assert_eq!(e.help(), "did you mean `sees`?");
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Vocabulary {
    words: Vec<&'static str>,
    ids: HashMap<&'static str, u32>,
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let forms = FORMS.into_iter().flatten().flat_map(|&(a, b)| [a, b]);
    let words: Vec<_> = TABLES.into_iter().flatten().copied().chain(forms).collect();
    let ids = words.iter().zip(0..).map(|(&word, id)| (word, id)).collect();
    Vocabulary { words, ids }
});

impl Vocabulary {
    /// The one vocabulary.
    pub fn get() -> &'static Vocabulary {
        &VOCABULARY
    }

    /// The number of words: ids are in 0..size.
    pub fn size(&self) -> usize {
        self.words.len()
    }

    /// All words, by id.
    pub fn words(&self) -> &[&'static str] {
        &self.words
    }

    /// The id of a word.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// The ids of the words of `text`, separated by spaces; punctuation marks are words too.
    ///
    /// # Errors
    /// If a word is unknown; the help names the nearest one.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let id = |word| self.id(word).ok_or_else(|| self.unknown(word));
        text.split_whitespace().map(id).collect()
    }

    /// The words of `ids`, separated by spaces.
    ///
    /// # Errors
    /// If an id is not in 0..size.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let word = |&id: &u32| {
            self.words.get(id as usize).copied().ok_or_else(|| {
                let help = format!("ids lie in 0..{}", self.size());
                Error::input("token", format!("{id} is outside of the vocabulary"), help)
            })
        };
        Ok(ids.iter().map(word).collect::<Result<Vec<_>>>()?.join(" "))
    }

    fn unknown(&self, word: &str) -> Error {
        let help = match suggest(word, self.words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "use the words of the vocabulary, with spaces between words and marks".into(),
        };
        // A file may hold one endless word.
        let short: String = word.chars().take(40).collect();
        Error::input("text", format!("`{short}` is no word of the vocabulary"), help)
    }
}

/// Pairs of text: a whole sequence gets a `<bos>` unless it has one.
impl Encode for Vocabulary {
    fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        let mut ids = Vocabulary::encode(self, text)?;
        if whole && ids.first() != Some(&BOS) {
            ids.insert(0, BOS);
        }
        Ok(ids)
    }

    fn piece(&self, id: u32) -> String {
        self.words.get(id as usize).map_or_else(|| id.to_string(), |word| (*word).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    #[test]
    fn about_four_hundred_different_words() {
        let words = Vocabulary::get();
        assert_eq!(words.ids.len(), words.size(), "a word stands in two tables");
        assert!((360..=420).contains(&words.size()), "{}", words.size());
        assert!(words.words().iter().all(|w| !w.is_empty() && !w.contains(char::is_whitespace)));
        assert_eq!((words.words()[PAD as usize], words.words()[BOS as usize]), ("<pad>", "<bos>"));
        for (n, word) in NUMBERS.iter().enumerate() {
            assert_eq!(*word, n.to_string());
        }
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let words = Vocabulary::get();
        let e = words.decode(&[1, u32::MAX]).unwrap_err();
        assert_eq!(e.to_string(), "token: 4294967295 is outside of the vocabulary");
        let e = words.encode("the \u{1f415} sees").unwrap_err();
        assert!(e.help().starts_with("use the words"), "{}", e.help());
        assert!(words.encode(" \n").unwrap().is_empty());
    }

    #[test]
    fn a_whole_sequence_begins_with_its_mark_once() {
        let words = Vocabulary::get();
        let dog = words.id("dog").unwrap();
        for (text, whole, ids) in [
            ("dog", true, &[BOS, dog][..]),
            ("<bos> dog", true, &[BOS, dog]),
            ("dog", false, &[dog]),
        ] {
            assert_eq!(Encode::encode(words, text, whole).unwrap(), ids);
        }
    }

    proptest! {
        #[test]
        fn ids_come_back(list in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
            let words = Vocabulary::get();
            let ids: Vec<u32> = list.iter().map(|i| i.index(words.size()) as u32).collect();
            let text = words.decode(&ids).unwrap();
            prop_assert_eq!(words.encode(&text).unwrap(), ids);
        }
    }
}
