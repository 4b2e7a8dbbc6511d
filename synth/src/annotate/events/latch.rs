//! A switch that a single row does not flip.

/// Two states with hysteresis in value (by the caller, who may be undecided) and in time.
#[derive(Clone, Copy, Debug)]
pub struct Latch {
    on: bool,
    rows_min: usize,
    /// First of the latest rows that all asked for the other state.
    since: Option<usize>,
}

impl Latch {
    /// In state `on`; `rows_min` rows in a row have to ask for the other one.
    pub fn new(on: bool, rows_min: usize) -> Self {
        Self { on, rows_min, since: None }
    }

    /// The state.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Row `row` asks for `wanted`, or for nothing. Gives the row of the change when there is one.
    pub fn feed(&mut self, row: usize, wanted: Option<bool>) -> Option<usize> {
        if wanted != Some(!self.on) {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(row);
        if row + 1 - since < self.rows_min {
            return None;
        }
        self.on = !self.on;
        self.since = None;
        Some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_does_not_flip_it_and_two_do_from_the_first_of_them() {
        let mut latch = Latch::new(false, 2);
        let asked = [false, true, false, true, true, true, false, false];
        let changes: Vec<_> =
            asked.iter().enumerate().map(|(row, asked)| latch.feed(row, Some(*asked))).collect();
        assert_eq!(changes, [None, None, None, None, Some(3), None, None, Some(6)]);
    }

    #[test]
    fn an_undecided_row_breaks_a_change_off() {
        let mut latch = Latch::new(false, 2);
        assert_eq!([Some(true), None, Some(true)].map(|wanted| latch.feed(0, wanted)), [None; 3]);
        assert!(!latch.is_on());
    }
}
