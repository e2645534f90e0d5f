//! How an id is divided: from the left and from the right, until at most one piece is left in the middle.

use super::piece::{Piece, Profile};
use crate::charset::CharSet;

/// Where each piece of a text ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// Pieces before this are cut off from the left.
    left: usize,
    /// Pieces from this on are cut off from the right.
    right: usize,
    extents: Vec<Extent>,
}

#[derive(Debug, Clone)]
enum Extent {
    /// So many characters.
    Exactly(usize),
    /// As long as the characters are of its alphabet.
    Run(CharSet),
}

impl Plan {
    /// The only way to divide the texts of these pieces.
    ///
    /// # Errors
    /// The first and the last of several pieces between which no boundary can be found.
    pub(super) fn of(pieces: &[Piece]) -> Result<Self, (usize, usize)> {
        let profiles: Vec<Profile> = pieces.iter().map(Piece::profile).collect();
        let ends_left = |index: usize| {
            let next = profiles.get(index + 1);
            next.is_some_and(|next| next.shortest > 0 && next.starts.is_disjoint(&profiles[index].alphabet))
        };
        let ends_right = |index: usize| {
            let next = index.checked_sub(1).map(|before| &profiles[before]);
            next.is_some_and(|next| next.shortest > 0 && next.ends.is_disjoint(&profiles[index].alphabet))
        };
        let fixed = |index: usize| profiles[index].shortest == profiles[index].longest;
        let left = (0..pieces.len())
            .take_while(|&i| fixed(i) || ends_left(i))
            .count();
        let from_right = (left..pieces.len())
            .rev()
            .take_while(|&i| fixed(i) || ends_right(i))
            .count();
        let right = pieces.len() - from_right;
        if right > left + 1 {
            return Err((left, right - 1));
        }
        let extent = |profile: Profile| {
            if profile.shortest == profile.longest {
                Extent::Exactly(profile.shortest)
            } else {
                Extent::Run(profile.alphabet)
            }
        };
        Ok(Self {
            left,
            right,
            extents: profiles.into_iter().map(extent).collect(),
        })
    }

    /// The text of each piece; `None` if the whole is too short.
    pub(super) fn divide<'a>(&self, id: &'a str) -> Option<Vec<&'a str>> {
        let mut texts = vec![""; self.extents.len()];
        let mut rest = id;
        for (extent, text) in self.extents.iter().zip(&mut texts).take(self.left) {
            (*text, rest) = rest.split_at(extent.end_in(rest)?);
        }
        for (extent, text) in self.extents.iter().zip(&mut texts).skip(self.right).rev() {
            (rest, *text) = rest.split_at(extent.start_in(rest)?);
        }
        match texts.get_mut(self.left..self.right) {
            Some([middle]) => *middle = rest,
            _ if !rest.is_empty() => return None,
            _ => (),
        }
        Some(texts)
    }
}

impl Extent {
    /// Bytes up to the end of the piece that stands at the beginning.
    fn end_in(&self, text: &str) -> Option<usize> {
        match self {
            Self::Exactly(count) => text
                .char_indices()
                .map(|(index, _)| index)
                .chain([text.len()])
                .nth(*count),
            Self::Run(alphabet) => Some(text.find(|c| !alphabet.contains(c)).unwrap_or(text.len())),
        }
    }

    /// Bytes before the piece that stands at the end.
    fn start_in(&self, text: &str) -> Option<usize> {
        match self {
            Self::Exactly(0) => Some(text.len()),
            Self::Exactly(count) => text.char_indices().rev().map(|(index, _)| index).nth(*count - 1),
            Self::Run(alphabet) => {
                let last = text.char_indices().rev().find(|(_, c)| !alphabet.contains(*c));
                Some(last.map_or(0, |(index, c)| index + c.len_utf8()))
            }
        }
    }
}
