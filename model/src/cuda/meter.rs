//! Times kernels while an engine steps.

use std::collections::BTreeMap;
use std::time::Instant;

use super::profile::KernelTime;

/// What one launch does by its formula: its additions and multiplications, and what it reads and writes if each number
/// comes from memory once.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Rows, length and columns, of a product.
    pub product: Option<[usize; 3]>,
    /// Additions and multiplications.
    pub flops: usize,
    /// Bytes to and from memory.
    pub bytes: usize,
}

impl Cost {
    /// Of a kernel that is no product.
    pub fn new(kernel: &'static str, flops: usize, bytes: usize) -> Self {
        Self { kernel, product: None, flops, bytes }
    }
}

/// Times launches, each from when the one before it was done.
pub struct Meter {
    /// Seconds that waiting takes by itself.
    wait: f64,
    last: Instant,
    now: BTreeMap<Key, KernelTime>,
    steps: Vec<BTreeMap<Key, KernelTime>>,
}

type Key = (&'static str, Option<[usize; 3]>);

impl Meter {
    /// Starts; `wait` is how many seconds waiting for nothing takes.
    pub fn new(wait: f64) -> Self {
        Self { wait, last: Instant::now(), now: BTreeMap::new(), steps: Vec::new() }
    }

    /// What comes next is a launch.
    pub fn begin(&mut self) {
        self.last = Instant::now();
    }

    /// A launch is done.
    pub fn end(&mut self, cost: Cost) {
        let seconds = (self.last.elapsed().as_secs_f64() - self.wait).max(f64::MIN_POSITIVE);
        let of_this = self.now.entry((cost.kernel, cost.product)).or_insert_with(|| KernelTime {
            kernel: match cost.product {
                Some([m, k, n]) => format!("{} {m}x{k}x{n}", cost.kernel),
                None => cost.kernel.to_owned(),
            },
            launches: 0,
            seconds: 0.0,
            flops: 0.0,
            bytes: 0.0,
        });
        of_this.launches += 1;
        of_this.seconds += seconds;
        of_this.flops += cost.flops as f64;
        of_this.bytes += cost.bytes as f64;
        self.begin();
    }

    /// A step is done.
    pub fn end_step(&mut self) {
        self.steps.push(std::mem::take(&mut self.now));
    }

    /// The median of each kernel's steps, longest first.
    pub fn kernels(self) -> Vec<KernelTime> {
        let Some(last) = self.steps.last() else { return Vec::new() };
        let median = |key: &Key| {
            let mut seconds: Vec<f64> =
                self.steps.iter().filter_map(|step| Some(step.get(key)?.seconds)).collect();
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2]
        };
        let of = |(key, time): (&Key, &KernelTime)| KernelTime { seconds: median(key), ..time.clone() };
        let mut kernels: Vec<KernelTime> = last.iter().map(of).collect();
        kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        kernels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_of_a_step_are_summed_and_steps_have_a_median() {
        let mut meter = Meter::new(0.0);
        for pause in [0, 40, 0] {
            for size in [[2, 3, 4], [2, 3, 4], [5, 6, 7]] {
                std::thread::sleep(std::time::Duration::from_millis(pause));
                meter.end(Cost { kernel: "product", product: Some(size), flops: 48, bytes: 10 });
            }
            meter.end_step();
        }
        let kernels = meter.kernels();
        let twice = kernels.iter().find(|time| time.kernel == "product 2x3x4");
        assert!(twice.is_some_and(|time| (time.launches, time.flops, time.bytes) == (2, 96.0, 20.0)));
        assert!(twice.is_some_and(|time| time.seconds < 0.04), "the median step had no pause");
        assert_eq!(kernels.len(), 2);
        assert!(kernels[0].seconds >= kernels[1].seconds);
    }
}
