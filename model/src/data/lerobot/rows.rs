use super::config::Merge;

/// The rows of an episode of `len` that stay when `own_fps` frames a second become `fps`: every n-th where the rate is a
/// multiple, else those nearest in time to multiples of `1 / fps` seconds.
pub fn kept(len: usize, own_fps: f64, fps: f64) -> Vec<usize> {
    let ratio = own_fps / fps;
    // A multiple to the precision that rates are given in (29.97 is none of 10).
    let ratio = if (ratio - ratio.round()).abs() < 1e-6 { ratio.round() } else { ratio };
    (0..len).map(|i| (i as f64 * ratio).round() as usize).take_while(|row| *row < len).collect()
}

/// One action for several, taken one after the other.
pub fn merged(actions: &[Vec<f32>], merge: Merge) -> Vec<f32> {
    let sum = || {
        let mut sum = vec![0.0; actions.first().map_or(0, Vec::len)];
        for action in actions {
            sum.iter_mut().zip(action).for_each(|(sum, value)| *sum += value);
        }
        sum
    };
    match merge {
        Merge::First => actions.first().cloned().unwrap_or_default(),
        Merge::Last => actions.last().cloned().unwrap_or_default(),
        Merge::Sum => sum(),
        Merge::Mean => sum().into_iter().map(|sum| sum / actions.len() as f32).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_keeps_every_nth_row_and_other_rates_the_nearest() {
        assert_eq!(kept(7, 30.0, 10.0), [0, 3, 6]);
        assert_eq!(kept(3, 30.0, 30.0), [0, 1, 2]);
        // 25 to 10: every 100 ms, of rows every 40 ms.
        assert_eq!(kept(11, 25.0, 10.0), [0, 3, 5, 8, 10]);
    }

    #[test]
    fn actions_are_merged_as_asked() {
        let actions = [vec![1.0, 0.0], vec![2.0, 4.0]];
        assert_eq!(merged(&actions, Merge::First), [1.0, 0.0]);
        assert_eq!(merged(&actions, Merge::Last), [2.0, 4.0]);
        assert_eq!(merged(&actions, Merge::Mean), [1.5, 2.0]);
        assert_eq!(merged(&actions, Merge::Sum), [3.0, 4.0]);
    }
}
