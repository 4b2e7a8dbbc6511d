use burn::tensor::Tensor;

/// Name of the total among the values of a [`Reading`].
pub const TOTAL: &str = "loss";

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
}

impl Reading {
    /// The total, then the parts.
    pub fn of(loss: &Loss) -> Self {
        let (mut names, mut values) = (vec![TOTAL], vec![loss.total.clone().inner()]);
        for (name, part) in &loss.parts {
            names.push(name);
            values.push(part.clone().inner());
        }
        Self { names, values: Tensor::cat(values, 0) }
    }

    /// With one more value.
    pub fn and(mut self, name: &'static str, value: Tensor<1>) -> Self {
        self.names.push(name);
        self.values = Tensor::cat(vec![self.values, value], 0);
        self
    }

    /// Waits for the device.
    pub fn read(self) -> Vec<(&'static str, f32)> {
        self.names.into_iter().zip(crate::codec::plain(self.values)).collect()
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
    fn terms_are_weighed_and_shown_unweighed() {
        let loss = Loss::of("codes", 1.0, value(3.0)).and("reward", 0.5, value(4.0));
        let read = Reading::of(&loss).and("norm", value(7.0)).read();
        assert_eq!(read, [(TOTAL, 5.0), ("codes", 3.0), ("reward", 4.0), ("norm", 7.0)]);
    }
}
