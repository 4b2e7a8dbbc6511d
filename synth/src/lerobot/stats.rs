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
        let mut total = 0;
        for (i, value) in values.enumerate() {
            let element = i % width;
            min[element] = value.min(min[element]);
            max[element] = value.max(max[element]);
            sum[element] += value;
            squares[element] += value * value;
            total = i + 1;
        }
        let count = (total / width).max(1) as f64;
        let mean: Vec<f64> = sum.iter().map(|sum| sum / count).collect();
        let std =
            squares.iter().zip(&mean).map(|(s, mean)| (s / count - mean * mean).max(0.0).sqrt()).collect();
        Self { min, max, mean, std, count: (total / width) as i64 }
    }

    /// Statistics of all samples behind `parts`, after the parallel variance formula.
    pub fn merge<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let width = parts.clone().next().map_or(0, |part| part.mean.len());
        let count: i64 = parts.clone().map(|part| part.count).sum();
        let weighted = |element: usize, value: &dyn Fn(&Self) -> f64| {
            let sum: f64 = parts.clone().map(|part| part.count as f64 * value(part)).sum();
            (element, sum / count.max(1) as f64).1
        };
        let fold = |element: usize, of: fn(&Self) -> &Vec<f64>, pick: fn(f64, f64) -> f64, start: f64| {
            parts.clone().map(|part| of(part)[element]).fold(start, pick)
        };
        let elements = 0..width;
        let mean: Vec<f64> = elements.clone().map(|i| weighted(i, &|part| part.mean[i])).collect();
        let variance = |i: usize| weighted(i, &|part| part.std[i].powi(2) + (part.mean[i] - mean[i]).powi(2));
        Self {
            min: elements.clone().map(|i| fold(i, |part| &part.min, f64::min, f64::INFINITY)).collect(),
            max: elements.clone().map(|i| fold(i, |part| &part.max, f64::max, f64::NEG_INFINITY)).collect(),
            std: elements.map(|i| variance(i).sqrt()).collect(),
            mean,
            count,
        }
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
        let parts = [
            FeatureStats::of(values[..8].iter().copied(), 2),
            FeatureStats::of(values[8..].iter().copied(), 2),
        ];
        let merged = FeatureStats::merge(parts.iter());
        assert_eq!((merged.count, &merged.min, &merged.max), (6, &whole.min, &whole.max));
        for i in 0..2 {
            assert!((merged.mean[i] - whole.mean[i]).abs() < 1e-12);
            assert!((merged.std[i] - whole.std[i]).abs() < 1e-12);
        }
    }
}
