/// Bytes that are to be copied to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// From host memory.
    Host(&'a [u8]),
    /// From the card's own.
    Card {
        /// Where they begin (a `CUdeviceptr`).
        address: u64,
        /// How many they are.
        len: usize,
    },
}

impl Part<'_> {
    /// How many they are.
    pub fn len(&self) -> usize {
        match self {
            Self::Host(bytes) => bytes.len(),
            Self::Card { len, .. } => *len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its first `len` bytes, and the others.
    ///
    /// # Panics
    /// If it has fewer.
    pub fn split_at(self, len: usize) -> (Self, Self) {
        match self {
            Self::Host(bytes) => {
                let (head, tail) = bytes.split_at(len);
                (Self::Host(head), Self::Host(tail))
            }
            Self::Card { address, len: all } => {
                assert!(len <= all, "{len} of {all} bytes");
                let head = Self::Card { address, len };
                (head, Self::Card { address: address + len as u64, len: all - len })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_split_lies_one_after_the_other_wherever_it_is() {
        assert_eq!(Part::Host(&[1, 2, 3]).split_at(2), (Part::Host(&[1, 2]), Part::Host(&[3])));
        let (head, tail) = Part::Card { address: 100, len: 6 }.split_at(2);
        assert_eq!(head, Part::Card { address: 100, len: 2 });
        assert_eq!(tail, Part::Card { address: 102, len: 4 });
    }
}
