//! A set of connections that is asked for its next member, round and round.
//!
//! One bit for each connection. Adding, removing and asking never allocate, and members are handed
//! out in turn, so that no connection is used more than another.

/// Some of the connections `0 .. len`.
#[derive(Debug)]
pub(super) struct Places {
    words: Box<[u64]>,
    count: u32,
    /// Where the next search begins.
    from: u32,
}

impl Places {
    /// None of `len` connections.
    pub(super) fn new(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)].into_boxed_slice(), count: 0, from: 0 }
    }

    /// How many are in it.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Puts `index` in, or takes it out.
    #[inline]
    pub(super) fn set(&mut self, index: u32, is_in: bool) {
        let (word, bit) = ((index / 64) as usize, 1_u64 << (index % 64));
        if (self.words[word] & bit != 0) != is_in {
            self.words[word] ^= bit;
            self.count = if is_in { self.count + 1 } else { self.count - 1 };
        }
    }

    /// The first member after the one handed out last.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let first = (self.from / 64) as usize;
        let mut word = self.words[first] & (u64::MAX << (self.from % 64));
        for step in 1..=self.words.len() + 1 {
            if word != 0 {
                let at = (first + step - 1) % self.words.len();
                let index = at as u32 * 64 + word.trailing_zeros();
                self.from = (index + 1) % (self.words.len() as u32 * 64);
                return Some(index);
            }
            word = self.words[(first + step) % self.words.len()];
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn members_come_in_turn_and_each_as_often_as_any_other() {
        for len in [1, 63, 64, 65, 200] {
            let mut places = Places::new(len);
            let members: Vec<u32> = (0..len).filter(|index| index % 3 == 0).collect();
            for &index in &members {
                places.set(index, true);
                places.set(index, true);
            }
            assert_eq!(places.count() as usize, members.len());
            for _ in 0..3 {
                let round: Vec<_> = members.iter().map(|_| places.next().unwrap()).collect();
                assert_eq!(round, members);
            }
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_not_taken_out() {
        let mut rng = Rng::new(5);
        let mut places = Places::new(130);
        let mut model = [false; 130];
        for _ in 0..10_000 {
            let (index, is_in) = (rng.below(130) as u32, rng.below(2) == 0);
            places.set(index, is_in);
            model[index as usize] = is_in;
            assert_eq!(places.count() as usize, model.iter().filter(|&&m| m).count());
            match places.next() {
                Some(next) => assert!(model[next as usize], "{next} is not in"),
                None => assert!(model.iter().all(|&m| !m)),
            }
        }
    }
}
