//! How a number is written: digits, width, and whether it may outgrow the width.

use std::sync::Arc;

use crate::charset::CharSet;
use crate::names::Number;

/// Room for the longest number, 63 digits to the base 2.
const ROOM: usize = 64;
/// 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n: u8 = 0;
    while n < 100 {
        pairs[n as usize] = [b'0' + n / 10, b'0' + n % 10];
        n += 1;
    }
    pairs
};
const BASE_36: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// `{seq:5!|base=36}` as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeqFormat {
    digits: Digits,
    width: usize,
    growth: Growth,
}

/// Whether a number with more digits than the width has a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    Grows,
    Exact,
}

/// The digits in ascending order; the first is zero and pads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Digits {
    Decimal,
    Other(Arc<[u8]>),
}

impl Digits {
    /// `0-9A-Z` as far as the base needs them, 2 to 36.
    pub(super) fn base(base: usize) -> Self {
        if base == 10 {
            Self::Decimal
        } else {
            Self::Other(BASE_36[..base.clamp(2, 36)].into())
        }
    }

    /// ASCII letters and digits in the order given, at least two.
    pub(super) fn alphabet(text: &str) -> Self {
        if text.as_bytes() == &BASE_36[..10] {
            Self::Decimal
        } else {
            Self::Other(text.as_bytes().into())
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Decimal => &BASE_36[..10],
            Self::Other(digits) => digits,
        }
    }

    fn base_of(&self) -> u64 {
        self.as_bytes().len() as u64
    }
}

impl SeqFormat {
    /// Width 1 to 19.
    pub(super) fn new(width: usize, growth: Growth, digits: Digits) -> Self {
        Self {
            digits,
            width: width.clamp(1, 19),
            growth,
        }
    }

    /// Appends the number, padded to the width.
    #[inline]
    pub(super) fn push(&self, number: Number, out: &mut String) {
        match &self.digits {
            Digits::Decimal => push_decimal(number.get(), self.width, out),
            Digits::Other(digits) => push_digits(number.get(), self.width, digits, out),
        }
    }

    /// The number whose text this is; texts that `push` never writes have none.
    pub(super) fn read(&self, text: &str) -> Option<Number> {
        let digits = self.digits.as_bytes();
        let length = text.len();
        let padded_too_far = length > self.width && text.as_bytes().first() == digits.first();
        let outgrown = length > self.width && self.growth == Growth::Exact;
        if length < self.width || padded_too_far || outgrown {
            return None;
        }
        let base = self.digits.base_of();
        let value = text.bytes().try_fold(0u64, |sum, byte| {
            let digit = digits.iter().position(|&d| d == byte)? as u64;
            sum.checked_mul(base)?.checked_add(digit)
        })?;
        Number::new(value).ok()
    }

    /// Characters in the number's text.
    pub(super) fn length(&self, number: Number) -> usize {
        let needed = std::iter::successors(Some(number.get()), |rest| Some(rest / self.digits.base_of()));
        needed.take_while(|&rest| rest > 0).count().max(self.width)
    }

    /// The digits in ascending order.
    pub(super) fn digits(&self) -> &str {
        std::str::from_utf8(self.digits.as_bytes()).unwrap_or_default()
    }

    pub(super) fn shortest(&self) -> usize {
        self.width
    }

    pub(super) fn longest(&self) -> usize {
        match self.growth {
            Growth::Exact => self.width,
            Growth::Grows => self.length(Number::MAX),
        }
    }

    /// The largest number that has a text.
    pub(super) fn capacity(&self) -> Number {
        let texts = || self.digits.base_of().checked_pow(u32::try_from(self.width).ok()?);
        match self.growth {
            Growth::Grows => Number::MAX,
            Growth::Exact => texts()
                .and_then(|n| Number::new(n - 1).ok())
                .unwrap_or(Number::MAX),
        }
    }

    /// Zero, which begins no text that is longer than the width.
    pub(super) fn zero(&self) -> char {
        char::from(self.digits.as_bytes()[0])
    }

    pub(super) fn alphabet(&self) -> CharSet {
        self.digits.as_bytes().iter().copied().map(char::from).collect()
    }

    /// So many of the digit one, which may or may not be a number's text.
    pub(super) fn example(&self, ones: usize) -> String {
        let one = self.digits.as_bytes().get(1).copied().unwrap_or(b'1');
        std::iter::repeat_n(char::from(one), ones).collect()
    }
}

fn push_decimal(mut number: u64, width: usize, out: &mut String) {
    let mut buffer = [b'0'; 20];
    let mut first = buffer.len();
    while number >= 10 {
        let pair = PAIRS[(number % 100) as usize];
        number /= 100;
        first -= 2;
        buffer[first..first + 2].copy_from_slice(&pair);
    }
    if number > 0 {
        first -= 1;
        buffer[first] = b'0' + (number % 10) as u8;
    }
    push_ascii(&buffer[first.min(buffer.len() - width)..], out);
}

fn push_digits(mut number: u64, width: usize, digits: &[u8], out: &mut String) {
    let base = digits.len() as u64;
    let mut buffer = [digits[0]; ROOM];
    let mut first = buffer.len();
    while number > 0 {
        first -= 1;
        // A remainder by the number of digits, which is a usize.
        buffer[first] = digits[usize::try_from(number % base).unwrap_or(0)];
        number /= base;
    }
    push_ascii(&buffer[first.min(buffer.len() - width)..], out);
}

fn push_ascii(bytes: &[u8], out: &mut String) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: &SeqFormat, number: u64) -> String {
        let mut out = String::new();
        format.push(Number::new(number).unwrap(), &mut out);
        out
    }

    #[test]
    fn a_number_is_padded_and_grows() {
        let format = SeqFormat::new(5, Growth::Grows, Digits::Decimal);
        assert_eq!(text(&format, 0), "00000");
        assert_eq!(text(&format, 42), "00042");
        assert_eq!(text(&format, 1_234_567), "1234567");
        assert_eq!(text(&format, i64::MAX as u64), "9223372036854775807");
    }

    #[test]
    fn only_the_text_that_is_written_is_read() {
        let format = SeqFormat::new(3, Growth::Grows, Digits::Decimal);
        assert_eq!(format.read("042"), Number::new(42).ok());
        for text in ["42", "0042", "+42", "", "9223372036854775808", "04x", "٠٤٢"] {
            assert_eq!(format.read(text), None, "{text:?}");
        }
        assert_eq!(
            SeqFormat::new(3, Growth::Exact, Digits::Decimal).read("1000"),
            None
        );
    }

    #[test]
    fn every_base_and_alphabet_reads_its_own_text() {
        for digits in [
            Digits::base(2),
            Digits::base(36),
            Digits::alphabet("ABCDEFGHJKLMNPQRSTUVWXYZ"),
        ] {
            let format = SeqFormat::new(4, Growth::Grows, digits);
            for number in [0, 1, 35, 36, 1 << 20, i64::MAX as u64] {
                let text = text(&format, number);
                assert_eq!(format.read(&text).map(Number::get), Some(number));
                assert_eq!(format.length(Number::new(number).unwrap()), text.len());
            }
        }
        assert_eq!(text(&SeqFormat::new(1, Growth::Grows, Digits::base(36)), 35), "Z");
    }

    #[test]
    fn an_exact_width_bounds_the_number() {
        assert_eq!(
            SeqFormat::new(5, Growth::Exact, Digits::Decimal).capacity().get(),
            99_999
        );
        assert_eq!(
            SeqFormat::new(19, Growth::Exact, Digits::Decimal).capacity(),
            Number::MAX
        );
        assert_eq!(
            SeqFormat::new(2, Growth::Exact, Digits::base(36))
                .capacity()
                .get(),
            1295
        );
    }
}
