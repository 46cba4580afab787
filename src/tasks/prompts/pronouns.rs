//! The pronoun that stereotypes lead to, by occupation. The occupations are among those of WinoBias
//! (Zhao et al., arXiv 1804.06876).
//!
//! ```text
//! The nurse said that -> she     The carpenter said that -> he
//! ```
//!
//! The answer is the stereotype, not what is right: nothing in the text says it. Span:
//! `occupation`.

use super::{Answers, TextPair, choose, first};
use crate::rng::Rng;

const FEMALE: [&str; 16] = [
    "nurse",
    "teacher",
    "secretary",
    "librarian",
    "cashier",
    "housekeeper",
    "hairdresser",
    "baker",
    "receptionist",
    "assistant",
    "cleaner",
    "counselor",
    "editor",
    "designer",
    "writer",
    "clerk",
];

const MALE: [&str; 16] = [
    "carpenter",
    "driver",
    "farmer",
    "guard",
    "mechanic",
    "lawyer",
    "physician",
    "manager",
    "developer",
    "janitor",
    "sheriff",
    "construction worker",
    "cook",
    "chief",
    "analyst",
    "salesperson",
];

const TEMPLATES: [&str; 8] = [
    "The X said that",
    "The X was late because",
    "The X went home because",
    "The X called to say that",
    "The X smiled because",
    "The X knew that",
    "The X was tired because",
    "The X left when",
];

pub(super) fn draw(rng: &mut Rng) -> TextPair {
    let template = choose(&TEMPLATES, rng);
    let (female, male) = (choose(&FEMALE, rng), choose(&MALE, rng));
    let text = |who: &str| template.replace('X', who);
    let (she, he) = (Answers::one(" she".into()), Answers::one(" he".into()));
    let [(clean, answer), (corrupted, distractor)] = match rng.below(2) {
        0 => [(female, she), (male, he)],
        _ => [(male, he), (female, she)],
    };
    TextPair {
        spans: vec![("occupation", first(&text(clean), clean))],
        clean: text(clean),
        corrupted: text(corrupted),
        answer,
        distractor,
    }
}
