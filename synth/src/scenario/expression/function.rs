/// A function of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scenario) enum Function {
    If,
    Sin,
    Cos,
    Tan,
    Atan2,
    Sqrt,
    Exp,
    Abs,
    Floor,
    Sign,
    Degrees,
    Min,
    Max,
    Clamp,
    Mod,
}

/// Name, function, fewest and most arguments.
const TABLE: [(&str, Function, usize, usize); 15] = [
    ("if", Function::If, 3, 3),
    ("sin", Function::Sin, 1, 1),
    ("cos", Function::Cos, 1, 1),
    ("tan", Function::Tan, 1, 1),
    ("atan2", Function::Atan2, 2, 2),
    ("sqrt", Function::Sqrt, 1, 1),
    ("exp", Function::Exp, 1, 1),
    ("abs", Function::Abs, 1, 1),
    ("floor", Function::Floor, 1, 1),
    ("sign", Function::Sign, 1, 1),
    ("deg", Function::Degrees, 1, 1),
    ("min", Function::Min, 2, usize::MAX),
    ("max", Function::Max, 2, usize::MAX),
    ("clamp", Function::Clamp, 3, 3),
    ("mod", Function::Mod, 2, 2),
];

impl Function {
    /// The function of this name.
    pub fn find(name: &str) -> Result<Self, String> {
        let row = TABLE.iter().find(|row| row.0 == name);
        row.map(|row| row.1).ok_or_else(|| {
            let known: Vec<_> = TABLE.iter().map(|row| row.0).collect();
            let over = "ever, always, highest, lowest, any, all, count";
            format!("there is no function {name:?}, there are {}, {over}", known.join(", "))
        })
    }

    /// Checks how many arguments are given.
    pub fn check(self, given: usize) -> Result<(), String> {
        let Some((name, _, low, high)) = TABLE.iter().find(|row| row.1 == self) else { return Ok(()) };
        if (*low..=*high).contains(&given) {
            return Ok(());
        }
        let more = if *high == usize::MAX { " or more" } else { "" };
        Err(format!("{name} takes {low} arguments{more}, not {given}"))
    }

    /// The value for arguments that were [checked](Self::check).
    pub fn apply(self, x: &[f64]) -> f64 {
        match self {
            Self::If => {
                if x[0] != 0.0 {
                    x[1]
                } else {
                    x[2]
                }
            }
            Self::Sin => libm::sin(x[0]),
            Self::Cos => libm::cos(x[0]),
            Self::Tan => libm::tan(x[0]),
            Self::Atan2 => libm::atan2(x[0], x[1]),
            Self::Sqrt => libm::sqrt(x[0]),
            Self::Exp => libm::exp(x[0]),
            Self::Abs => x[0].abs(),
            Self::Floor => libm::floor(x[0]),
            Self::Sign => {
                if x[0] == 0.0 {
                    0.0
                } else {
                    x[0].signum()
                }
            }
            Self::Degrees => x[0] * (std::f64::consts::PI / 180.0),
            Self::Min => x.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Max => x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Clamp => x[0].max(x[1]).min(x[2]),
            Self::Mod => x[0] - x[1] * libm::floor(x[0] / x[1]),
        }
    }
}
