use burn::tensor::Tensor;

/// Name of the total among the values of a [`Reading`].
pub const TOTAL: &str = "loss";

/// Beyond this a logit is as good as certain; the bound keeps `exp` finite without a maximum to subtract.
pub const LOGIT_MAX: f32 = 30.0;

/// Binary cross-entropy of each logit against a truth from 0 to 1: `log(1 + exp(logit)) − logit · truth`.
pub fn binary_cross_entropy<const D: usize>(logits: Tensor<D>, truth: Tensor<D>) -> Tensor<D> {
    let logits = logits.clamp(-LOGIT_MAX, LOGIT_MAX);
    logits.clone().exp().log1p() - logits * truth
}

/// A loss, and the named terms that it is made of.
pub struct Loss {
    /// What is minimised, a single value.
    pub total: Tensor<1>,
    /// Terms by name, before their weights; off the graph.
    pub parts: Vec<(&'static str, Tensor<1>)>,
}

impl Loss {
    /// `term`, a single value, times `weight`.
    pub fn of(name: &'static str, weight: f32, term: Tensor<1>) -> Self {
        Self { parts: vec![(name, term.clone().detach())], total: term * weight }
    }

    /// With another term.
    pub fn and(mut self, name: &'static str, weight: f32, term: Tensor<1>) -> Self {
        self.parts.push((name, term.clone().detach()));
        self.total = self.total + term * weight;
        self
    }
}

/// Named values of one step that are still on the device: reading them makes the host wait for it.
pub struct Reading {
    names: Vec<&'static str>,
    /// One value for each name.
    values: Tensor<1>,
    /// What they count beside the other readings of the step.
    pub weight: f32,
}

impl Reading {
    /// The total, then the parts.
    pub fn of(loss: &Loss) -> Self {
        let (mut names, mut values) = (vec![TOTAL], vec![loss.total.clone().inner()]);
        for (name, part) in &loss.parts {
            names.push(name);
            values.push(part.clone().inner());
        }
        Self { names, values: Tensor::cat(values, 0), weight: 1.0 }
    }

    /// With one more value.
    pub fn and(mut self, name: &'static str, value: Tensor<1>) -> Self {
        self.names.push(name);
        self.values = Tensor::cat(vec![self.values, value], 0);
        self
    }

    /// The same values, that count `weight`.
    pub fn weighing(self, weight: f32) -> Self {
        Self { weight, ..self }
    }

    /// Waits for the device.
    pub fn read(self) -> Vec<(&'static str, f32)> {
        self.names.into_iter().zip(crate::codec::plain(self.values)).collect()
    }
}

/// Means by name, in the order in which the names appear; not every batch has every term.
#[derive(Default)]
pub struct Means {
    /// Name, sum of what each value weighs times it, sum of the weights.
    sums: Vec<(&'static str, f64, f64)>,
}

impl Means {
    /// Adds a value.
    pub fn add(&mut self, name: &'static str, value: f32, weight: f32) {
        let (value, weight) = (f64::from(value) * f64::from(weight), f64::from(weight));
        match self.sums.iter_mut().find(|(other, ..)| *other == name) {
            Some((_, sum, weights)) => (*sum, *weights) = (*sum + value, *weights + weight),
            None => self.sums.push((name, value, weight)),
        }
    }

    /// The means of what was added; the next ones begin anew.
    pub fn take(&mut self) -> Vec<(&'static str, f32)> {
        let sums = std::mem::take(&mut self.sums);
        sums.into_iter().map(|(name, sum, weights)| (name, (sum / weights) as f32)).collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn value(value: f32) -> Tensor<1> {
        Tensor::from_floats([value], &Device::flex())
    }

    #[test]
    fn a_wrong_certainty_costs_its_logit_and_no_more_than_the_bound() {
        let logits = Tensor::<1>::from_floats([0.0, 5.0, 5.0, -900.0], &Device::flex());
        let truth = Tensor::<1>::from_floats([1.0, 1.0, 0.0, 1.0], &Device::flex());
        let found = crate::codec::plain(binary_cross_entropy(logits, truth));
        for (found, expected) in found.iter().zip([2f32.ln(), 0.006_715, 5.006_715, LOGIT_MAX]) {
            assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
        }
    }

    #[test]
    fn terms_are_weighed_and_shown_unweighed() {
        let loss = Loss::of("codes", 1.0, value(3.0)).and("reward", 0.5, value(4.0));
        let read = Reading::of(&loss).and("norm", value(7.0)).read();
        assert_eq!(read, [(TOTAL, 5.0), ("codes", 3.0), ("reward", 4.0), ("norm", 7.0)]);
    }
}
