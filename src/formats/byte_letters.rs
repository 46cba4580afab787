//! The letters that byte-level vocabularies (GPT-2's) write for bytes: printable ones of Latin-1
//! stand for themselves, the others are letters from U+0100 on, in their order.

/// The letter of a byte.
pub(crate) fn letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !printable(byte)).count() as u32;
    char::from_u32(0x100 + before).expect("256 letters from U+0100 on")
}

/// The bytes that `letters` stand for, if each stands for one.
pub(crate) fn bytes(letters: &str) -> Option<Vec<u8>> {
    letters.chars().map(byte).collect()
}

fn byte(letter: char) -> Option<u8> {
    let is_its = |&byte: &u8| self::letter(byte) == letter;
    match u8::try_from(letter) {
        Ok(byte) if is_its(&byte) => Some(byte),
        Ok(_) => None,
        Err(_) if letter > '\u{143}' => None,
        Err(_) => (0..=255).find(is_its),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_byte_has_a_letter_of_its_own() {
        let letters: BTreeSet<char> = (0..=255).map(letter).collect();
        assert_eq!((letters.len(), letter(255), letter(173)), (256, '\u{ff}', '\u{143}'));
        for byte in 0..=255 {
            assert_eq!(bytes(&letter(byte).to_string()), Some(vec![byte]));
        }
        for other in ["\u{144}", "\n", " ", "a\u{ad}"] {
            assert_eq!(bytes(other), None, "{other:?}");
        }
    }
}
