use serde_json::{Map, Value, json};

/// Range and moments of one feature, per element.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureStats {
    /// Smallest value of each element.
    pub min: Vec<f64>,
    /// Largest value of each element.
    pub max: Vec<f64>,
    /// Mean of each element.
    pub mean: Vec<f64>,
    /// Standard deviation of each element (of the population).
    pub std: Vec<f64>,
    /// Samples.
    pub count: i64,
}

impl FeatureStats {
    /// Statistics of `values`, rows of `width` elements.
    pub fn of(values: impl Iterator<Item = f64>, width: usize) -> Self {
        let mut min = vec![f64::INFINITY; width];
        let mut max = vec![f64::NEG_INFINITY; width];
        let (mut sum, mut squares) = (vec![0.0; width], vec![0.0; width]);
        let (mut total, mut element) = (0, 0);
        for value in values {
            min[element] = value.min(min[element]);
            max[element] = value.max(max[element]);
            sum[element] += value;
            squares[element] += value * value;
            total += 1;
            element = if element + 1 == width { 0 } else { element + 1 };
        }
        let count = (total / width.max(1)).max(1) as f64;
        let mean: Vec<f64> = sum.iter().map(|sum| sum / count).collect();
        let std =
            squares.iter().zip(&mean).map(|(s, mean)| (s / count - mean * mean).max(0.0).sqrt()).collect();
        Self { min, max, mean, std, count: (total / width.max(1)) as i64 }
    }

    /// Takes the samples behind `other` in, after the parallel variance formula (Chan et al.). The result depends on the
    /// order that parts come in, to the last bit; datasets take theirs in by episode.
    pub fn add(&mut self, other: &Self) {
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        let (ours, theirs) = (self.count as f64, other.count as f64);
        let total = (ours + theirs).max(1.0);
        for i in 0..self.mean.len().min(other.mean.len()) {
            self.min[i] = self.min[i].min(other.min[i]);
            self.max[i] = self.max[i].max(other.max[i]);
            let distance = other.mean[i] - self.mean[i];
            let within = (ours * self.std[i].powi(2) + theirs * other.std[i].powi(2)) / total;
            self.mean[i] += distance * theirs / total;
            self.std[i] = (within + distance.powi(2) * ours * theirs / total.powi(2)).sqrt();
        }
        self.count += other.count;
    }

    /// The entry of `stats.json`. An image's numbers are nested as channels × 1 × 1.
    pub fn json(&self, is_image: bool) -> Value {
        let nest = |values: &[f64]| -> Value {
            if is_image { values.iter().map(|value| json!([[value]])).collect() } else { json!(values) }
        };
        let mut entry = Map::new();
        entry.insert("min".to_owned(), nest(&self.min));
        entry.insert("max".to_owned(), nest(&self.max));
        entry.insert("mean".to_owned(), nest(&self.mean));
        entry.insert("std".to_owned(), nest(&self.std));
        entry.insert("count".to_owned(), json!([self.count]));
        Value::Object(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::FeatureStats;

    #[test]
    fn merged_parts_are_the_whole() {
        let values: Vec<f64> = (0..12).map(|i| f64::from(i * i % 7)).collect();
        let whole = FeatureStats::of(values.iter().copied(), 2);
        let mut merged = FeatureStats::default();
        for part in [&values[..8], &values[8..]] {
            merged.add(&FeatureStats::of(part.iter().copied(), 2));
        }
        assert_eq!((merged.count, &merged.min, &merged.max), (6, &whole.min, &whole.max));
        for i in 0..2 {
            assert!((merged.mean[i] - whole.mean[i]).abs() < 1e-12);
            assert!((merged.std[i] - whole.std[i]).abs() < 1e-12);
        }
    }
}
