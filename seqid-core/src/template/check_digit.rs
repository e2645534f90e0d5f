//! Check digits: one or two characters computed from others, so that a mistyped id is noticed.

use std::fmt;
use std::str::FromStr;

use crate::charset::CharSet;

/// How a check digit is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CheckAlgorithm {
    /// Luhn's, as on payment cards: ISO/IEC 7812-1, annex B.
    Luhn,
    /// Verhoeff's: Error Detecting Decimal Codes, 1969.
    Verhoeff,
    /// Damm's: Total anti-symmetrische Quasigruppen, 2004.
    Damm,
    /// ISO/IEC 7064 MOD 11-2, as in ORCID.
    Mod11_2,
    /// ISO/IEC 7064 MOD 11,10, as in the German tax number.
    Mod11_10,
    /// ISO/IEC 7064 MOD 37-2, as on blood donations; the check character can be `*`.
    Mod37_2,
    /// ISO/IEC 7064 MOD 37,36, as in ISAN.
    Mod37_36,
    /// ISO/IEC 7064 MOD 97-10, two digits at the end.
    Mod97_10,
    /// ISO 11649, the two digits after `RF`, computed over the reference that follows them.
    Rf,
    /// Weights 7, 3, 1 from the right: the Finnish bank reference.
    Mod10_731,
    /// Modulo 11, weights 2 to 7 from the right: the Norwegian KID.
    Mod11W7,
    /// Modulo 11, weights 2 to 9 from the right: the Brazilian invoice key.
    Mod11W9,
}

/// What stands for the value ten, where a modulus of 11 leaves it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Ten {
    /// `X`.
    #[default]
    X,
    /// `0`.
    Zero,
    /// `1`.
    One,
    /// `-`.
    Hyphen,
}

impl Ten {
    /// The character.
    #[must_use]
    pub const fn as_char(self) -> char {
        match self {
            Self::X => 'X',
            Self::Zero => '0',
            Self::One => '1',
            Self::Hyphen => '-',
        }
    }
}

impl FromStr for Ten {
    type Err = UnknownCheck;
    fn from_str(text: &str) -> Result<Self, UnknownCheck> {
        match text {
            "X" => Ok(Self::X),
            "0" => Ok(Self::Zero),
            "1" => Ok(Self::One),
            "-" => Ok(Self::Hyphen),
            _ => Err(UnknownCheck::Ten(text.into())),
        }
    }
}

/// Why a text names no check digit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownCheck {
    /// Not an algorithm.
    #[error(
        "{0:?} is not a check digit; one of luhn, verhoeff, damm, mod11_2, mod11_10, mod37_2, mod37_36, mod97_10, rf, mod10_731, mod11_w7, mod11_w9"
    )]
    Algorithm(Box<str>),
    /// Not a character for the value ten.
    #[error("{0:?} cannot stand for ten; one of X, 0, 1, -")]
    Ten(Box<str>),
}

/// A character that the algorithm does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot read {character:?}; it reads {}", .algorithm.as_str(), .algorithm.input_in_words())]
pub struct CheckInput {
    /// The algorithm.
    pub algorithm: CheckAlgorithm,
    /// The character.
    pub character: char,
}

/// The check digits of a text: one or two characters of ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CheckText {
    bytes: [u8; 2],
    len: u8,
}

impl CheckText {
    fn one(character: u8) -> Self {
        Self {
            bytes: [character, 0],
            len: 1,
        }
    }

    fn two(value: u32) -> Self {
        Self {
            bytes: [digit(value / 10), digit(value)],
            len: 2,
        }
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for CheckText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const CHARACTERS: &[u8; 37] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*";

fn digit(value: u32) -> u8 {
    CHARACTERS[value as usize % 10]
}

fn character(value: u32) -> u8 {
    CHARACTERS[value as usize % CHARACTERS.len()]
}

impl CheckAlgorithm {
    /// All of them.
    pub const ALL: [CheckAlgorithm; 12] = [
        Self::Luhn,
        Self::Verhoeff,
        Self::Damm,
        Self::Mod11_2,
        Self::Mod11_10,
        Self::Mod37_2,
        Self::Mod37_36,
        Self::Mod97_10,
        Self::Rf,
        Self::Mod10_731,
        Self::Mod11W7,
        Self::Mod11W9,
    ];

    /// The name in templates: `mod97_10`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Luhn => "luhn",
            Self::Verhoeff => "verhoeff",
            Self::Damm => "damm",
            Self::Mod11_2 => "mod11_2",
            Self::Mod11_10 => "mod11_10",
            Self::Mod37_2 => "mod37_2",
            Self::Mod37_36 => "mod37_36",
            Self::Mod97_10 => "mod97_10",
            Self::Rf => "rf",
            Self::Mod10_731 => "mod10_731",
            Self::Mod11W7 => "mod11_w7",
            Self::Mod11W9 => "mod11_w9",
        }
    }

    /// Whether it reads digits only; the others read letters as well, A as 10 to Z as 35, in either case.
    #[must_use]
    pub const fn digits_only(self) -> bool {
        !matches!(self, Self::Mod37_2 | Self::Mod37_36 | Self::Mod97_10 | Self::Rf)
    }

    fn input_in_words(self) -> &'static str {
        if self.digits_only() {
            "digits only"
        } else {
            "letters A to Z and digits"
        }
    }

    /// Whether the value ten occurs, for which [`Ten`] chooses a character.
    #[must_use]
    pub const fn has_ten(self) -> bool {
        matches!(self, Self::Mod11_2 | Self::Mod11W7 | Self::Mod11W9)
    }

    /// The number of characters that it prints, 1 or 2.
    #[must_use]
    pub const fn length(self) -> usize {
        if matches!(self, Self::Mod97_10 | Self::Rf) {
            2
        } else {
            1
        }
    }

    /// The characters that it prints.
    #[must_use]
    pub fn alphabet(self, ten: Ten) -> CharSet {
        match self {
            Self::Mod37_2 => CHARACTERS.iter().map(|&b| char::from(b)).collect(),
            Self::Mod37_36 => CHARACTERS[..36].iter().map(|&b| char::from(b)).collect(),
            _ if self.has_ten() => CharSet::digits().union(&CharSet::from_iter([ten.as_char()])),
            _ => CharSet::digits(),
        }
    }

    /// Whether it can read the character, be it by skipping it as a separator: anything that is neither a
    /// letter nor a digit.
    #[must_use]
    pub fn reads(self, c: char) -> bool {
        !c.is_alphanumeric() || self.value(c).is_some()
    }

    fn value(self, c: char) -> Option<u32> {
        c.to_digit(if self.digits_only() { 10 } else { 36 })
    }

    /// The check digits of the text. Separators are skipped.
    ///
    /// # Errors
    /// [`CheckInput`] with the first character that it cannot read.
    pub fn compute(self, input: &str, ten: Ten) -> Result<CheckText, CheckInput> {
        if let Some(character) = input.chars().find(|&c| !self.reads(c)) {
            return Err(CheckInput {
                algorithm: self,
                character,
            });
        }
        let values = input.chars().filter_map(|c| self.value(c));
        let eleven = |value| {
            if value == 10 {
                CheckText::one(ten.as_char() as u8)
            } else {
                CheckText::one(digit(value))
            }
        };
        Ok(match self {
            Self::Luhn => CheckText::one(digit(luhn(values.rev()))),
            Self::Verhoeff => CheckText::one(verhoeff(values.rev())),
            Self::Damm => CheckText::one(damm(values)),
            Self::Mod11_2 => eleven(pure(values, 11)),
            Self::Mod11_10 => CheckText::one(digit(hybrid(values, 10))),
            Self::Mod37_2 => CheckText::one(character(pure(values, 37))),
            Self::Mod37_36 => CheckText::one(character(hybrid(values, 36))),
            Self::Mod97_10 => CheckText::two(98 - modulo_97(values.chain([0, 0]))),
            Self::Rf => CheckText::two(98 - modulo_97(values.chain([27, 15, 0, 0]))),
            Self::Mod10_731 => CheckText::one(digit(10 - weighted(values.rev(), &[7, 3, 1]) % 10)),
            Self::Mod11W7 => eleven((11 - weighted(values.rev(), &[2, 3, 4, 5, 6, 7]) % 11) % 11),
            Self::Mod11W9 => eleven((11 - weighted(values.rev(), &[2, 3, 4, 5, 6, 7, 8, 9]) % 11) % 11),
        })
    }
}

impl fmt::Display for CheckAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CheckAlgorithm {
    type Err = UnknownCheck;
    fn from_str(name: &str) -> Result<Self, UnknownCheck> {
        Self::ALL
            .into_iter()
            .find(|a| a.as_str() == name)
            .ok_or_else(|| UnknownCheck::Algorithm(name.into()))
    }
}

fn luhn(from_right: impl Iterator<Item = u32>) -> u32 {
    let doubled = |value: u32| value * 2 / 10 + value * 2 % 10;
    let sum = from_right
        .enumerate()
        .map(|(i, value)| if i % 2 == 0 { doubled(value) } else { value })
        .sum::<u32>();
    10 - sum % 10
}

/// The multiplication of the dihedral group of order 10.
const DIHEDRAL: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];

const DIHEDRAL_INVERSE: [u8; 10] = [0, 4, 3, 2, 1, 5, 6, 7, 8, 9];

const PERMUTATIONS: [[u8; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
    [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
    [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];

fn verhoeff(from_right: impl Iterator<Item = u32>) -> u8 {
    let check = from_right.enumerate().fold(0u8, |check, (i, value)| {
        let permuted = PERMUTATIONS[(i + 1) % 8][value as usize % 10];
        DIHEDRAL[usize::from(check)][usize::from(permuted)]
    });
    b'0' + DIHEDRAL_INVERSE[usize::from(check)]
}

/// The quasigroup of order 10 in Damm's dissertation, page 111.
const QUASIGROUP: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

fn damm(values: impl Iterator<Item = u32>) -> u8 {
    b'0' + values.fold(0u8, |check, value| {
        QUASIGROUP[usize::from(check)][value as usize % 10]
    })
}

/// The pure systems of ISO/IEC 7064 with radix 2.
fn pure(values: impl Iterator<Item = u32>, modulus: u32) -> u32 {
    let sum = values.fold(0, |sum, value| (sum + value) * 2 % modulus);
    (modulus + 1 - sum) % modulus
}

/// The hybrid systems of ISO/IEC 7064: modulo `modulus + 1` and `modulus` in turn.
fn hybrid(values: impl Iterator<Item = u32>, modulus: u32) -> u32 {
    let product = values.fold(modulus, |product, value| match (product + value) % modulus {
        0 => modulus * 2 % (modulus + 1),
        sum => sum * 2 % (modulus + 1),
    });
    (modulus + 1 - product) % modulus
}

/// The remainder of the integer that the values spell; letters, from 10 up, are two digits each.
fn modulo_97(values: impl Iterator<Item = u32>) -> u32 {
    values.fold(0, |sum, value| {
        (sum * if value < 10 { 10 } else { 100 } + value) % 97
    })
}

fn weighted(from_right: impl Iterator<Item = u32>, weights: &[u32]) -> u32 {
    from_right
        .zip(weights.iter().cycle())
        .map(|(value, weight)| value * weight)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(name: &str, input: &str, expected: &str) {
        let algorithm: CheckAlgorithm = name.parse().unwrap();
        assert_eq!(
            algorithm.compute(input, Ten::X).unwrap().as_str(),
            expected,
            "{name} {input}"
        );
        assert_eq!(algorithm.length(), expected.len());
    }

    #[test]
    fn check_digits_agree_with_published_examples() {
        // Wikipedia, "Luhn algorithm", and the Visa test card 4111 1111 1111 1111.
        check("luhn", "7992739871", "3");
        check("luhn", "411111111111111", "1");
        // Wikipedia, "Verhoeff algorithm".
        check("verhoeff", "236", "3");
        // Wikipedia, "Damm algorithm".
        check("damm", "572", "4");
        // ISO/IEC 7064, 7.2; ORCID's "Structure of the ORCID identifier", the second with X.
        check("mod11_2", "0794", "0");
        check("mod11_2", "0000-0002-1825-009", "7");
        check("mod11_2", "0000-0002-1694-233", "X");
        // ISO/IEC 7064, 8.2; the German tax number of python-stdnum's `de.idnr`.
        check("mod11_10", "0794", "5");
        check("mod11_10", "3657426180", "9");
        // python-stdnum, `iso7064.mod_37_2`.
        check("mod37_2", "G123489654321", "Y");
        // python-stdnum, `iso7064.mod_37_36`.
        check("mod37_36", "A12425GABC1234002", "M");
        // ISO/IEC 7064, MOD 97-10; python-stdnum, `iso7064.mod_97_10`.
        check("mod97_10", "794", "44");
        check("mod97_10", "99991234567890121414", "90");
        // Wikipedia, "Creditor Reference" (ISO 11649): RF18 5390 0754 7034.
        check("rf", "5390 0754 7034", "18");
        // Finance Finland, "Forming a Finnish reference number": 1234561.
        check("mod10_731", "123456", "1");
        // python-stdnum, `no.kontonr`: 8601 11 17947.
        check("mod11_w7", "8601 11 1794", "7");
        // Manual de Orientação do Contribuinte (NF-e), access key 5206 0433 0099 1100 2506 5501 2000 0007 8002 6730 1615.
        check("mod11_w9", "5206043300991100250655012000000780026730161", "5");
    }

    #[test]
    fn the_value_ten_is_printed_as_chosen() {
        let tens = [Ten::X, Ten::Zero, Ten::One, Ten::Hyphen];
        let texts = tens.map(|ten| CheckAlgorithm::Mod11W7.compute("6", ten).unwrap().to_string());
        assert_eq!(texts, ["X", "0", "1", "-"]);
    }

    #[test]
    fn letters_are_refused_by_algorithms_for_digits() {
        let error = CheckAlgorithm::Luhn.compute("INV-1", Ten::X).unwrap_err();
        assert_eq!(error.to_string(), "luhn cannot read 'I'; it reads digits only");
        assert!(CheckAlgorithm::Rf.compute("INV-1", Ten::X).is_ok());
        assert!(CheckAlgorithm::Rf.compute("É1", Ten::X).is_err());
    }

    #[test]
    fn names_are_read_as_printed() {
        for algorithm in CheckAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        assert!(
            "crc32"
                .parse::<CheckAlgorithm>()
                .unwrap_err()
                .to_string()
                .contains("mod97_10")
        );
    }

    proptest! {
        #[test]
        fn the_alphabet_and_length_hold(index in 0..CheckAlgorithm::ALL.len(), digits in "[0-9]{1,30}", letters in "[0-9A-Za-z -]{1,20}") {
            let algorithm = CheckAlgorithm::ALL[index];
            let input = if algorithm.digits_only() { digits } else { letters };
            let text = algorithm.compute(&input, Ten::Hyphen).unwrap();
            prop_assert_eq!(text.as_str().len(), algorithm.length());
            prop_assert!(text.as_str().chars().all(|c| algorithm.alphabet(Ten::Hyphen).contains(c)));
        }

        #[test]
        fn one_wrong_digit_is_noticed(index in 0..CheckAlgorithm::ALL.len(), digits in "[0-9]{2,18}", at in 0..18usize, wrong in 1..10u32) {
            let algorithm = CheckAlgorithm::ALL[index];
            let at = at % digits.len();
            let replace = |(i, c): (usize, char)| {
                let value = c.to_digit(10).unwrap();
                if i == at { char::from_digit((value + wrong) % 10, 10).unwrap() } else { c }
            };
            let changed: String = digits.chars().enumerate().map(replace).collect();
            prop_assert_ne!(algorithm.compute(&digits, Ten::X), algorithm.compute(&changed, Ten::X));
        }
    }
}
