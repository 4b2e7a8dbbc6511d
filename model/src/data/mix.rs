use std::str::FromStr;

/// How often something is drawn, relative to the rest: a task by its id, or a dataset by its folder.
#[derive(Clone, Debug, PartialEq)]
pub struct MixWeight {
    /// Task id, or the folder of a dataset as it was named or its last part.
    pub name: String,
    /// Finite, at least 0. What is not named weighs 1; what weighs 0 is measured on, but not learned from.
    pub weight: f64,
}

impl FromStr for MixWeight {
    type Err = String;

    /// `name=weight`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no NAME=WEIGHT with a weight of at least 0, for instance drop=0.5");
        let (name, weight) = text.rsplit_once('=').ok_or_else(wrong)?;
        let weight: f64 = weight.parse().map_err(|_| wrong())?;
        if name.is_empty() || !weight.is_finite() || weight < 0.0 {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), weight })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_numbers_of_at_least_0() {
        let mix: MixWeight = "out/a=b=0.5".parse().unwrap();
        assert_eq!((mix.name.as_str(), mix.weight), ("out/a=b", 0.5));
        for wrong in ["drop", "drop=", "=1", "drop=-1", "drop=inf", "drop=NaN", "drop=half"] {
            let message = wrong.parse::<MixWeight>().unwrap_err();
            assert!(message.contains(wrong) && message.contains("NAME=WEIGHT"), "{message}");
        }
    }
}
