//! Rounds, medians, ratios, the table.

use std::fmt;

/// One of those who are compared.
pub struct Contender<'a> {
    name: String,
    measure: Box<dyn FnMut() -> Result<f64, String> + 'a>,
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A contest: what is measured, in which unit, and who takes part. The first contender is what the others' ratios are to.
#[derive(Debug)]
pub struct Contest<'a> {
    title: String,
    unit: String,
    contenders: Vec<Contender<'a>>,
}

impl<'a> Contest<'a> {
    /// A contest without contenders.
    #[must_use]
    pub fn new(title: &str, unit: &str) -> Self {
        Self {
            title: title.into(),
            unit: unit.into(),
            contenders: Vec::new(),
        }
    }

    /// Adds a contender; `measure` gives one figure a call.
    #[must_use]
    pub fn with(mut self, name: &str, measure: impl FnMut() -> Result<f64, String> + 'a) -> Self {
        self.contenders.push(Contender {
            name: name.into(),
            measure: Box::new(measure),
        });
        self
    }

    /// Runs so many rounds. In each all have their turn, one place further on than in the round before, so that nobody
    /// always follows the same one.
    ///
    /// # Errors
    /// The first failure of a contender, with its name.
    pub fn run(mut self, rounds: usize) -> Result<Results, String> {
        let count = self.contenders.len();
        let mut samples: Vec<Samples> = Vec::new();
        samples.extend(self.contenders.iter().map(|c| Samples::new(&c.name)));
        for round in 0..rounds {
            for turn in 0..count {
                let which = (round + turn) % count;
                let contender = &mut self.contenders[which];
                let figure =
                    (contender.measure)().map_err(|why| format!("{}: {why}", contender.name))?;
                samples[which].figures.push(figure);
            }
        }
        Ok(Results {
            title: self.title,
            unit: self.unit,
            samples,
        })
    }
}

/// The figures of one contender.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Who.
    pub name: String,
    /// In the order measured.
    pub figures: Vec<f64>,
}

impl Samples {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            figures: Vec::new(),
        }
    }

    /// The median; NaN without figures.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.figures.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    fn smallest(&self) -> f64 {
        self.figures.iter().copied().fold(f64::NAN, f64::min)
    }

    fn largest(&self) -> f64 {
        self.figures.iter().copied().fold(f64::NAN, f64::max)
    }
}

/// What a contest found.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    title: String,
    unit: String,
    /// In the order in which the contenders were added.
    pub samples: Vec<Samples>,
}

impl Results {
    /// What was measured beside the contenders' own figures, by whoever did.
    #[must_use]
    pub fn new(title: &str, unit: &str, samples: Vec<Samples>) -> Self {
        Self {
            title: title.into(),
            unit: unit.into(),
            samples,
        }
    }

    /// The median of `name` over the median of `other`; `None` if either took no part.
    #[must_use]
    pub fn ratio(&self, name: &str, other: &str) -> Option<f64> {
        let median = |name| {
            self.samples
                .iter()
                .find(|s| s.name == name)
                .map(Samples::median)
        };
        Some(median(name)? / median(other)?)
    }

    /// The median of the ratios of `name` to `other`, round by round; `None` if either took no part.
    #[must_use]
    pub fn round_ratio(&self, name: &str, other: &str) -> Option<f64> {
        let of = |name| self.samples.iter().find(|s| s.name == name);
        let pairs = of(name)?.figures.iter().zip(&of(other)?.figures);
        let figures: Vec<f64> = pairs.map(|(own, others)| own / others).collect();
        let ratios = Samples {
            name: String::new(),
            figures,
        };
        (!ratios.figures.is_empty()).then(|| ratios.median())
    }
}

/// As a Markdown table.
impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            title,
            unit,
            samples,
        } = self;
        let rounds = samples.first().map_or(0, |s| s.figures.len());
        writeln!(f, "**{title}** ({rounds} rounds in turns)\n")?;
        writeln!(f, "| | median, {unit} | smallest | largest | ratio |")?;
        writeln!(f, "|---|---:|---:|---:|---:|")?;
        for sample in samples {
            let ratio = self
                .ratio(&sample.name, &samples[0].name)
                .unwrap_or(f64::NAN);
            writeln!(
                f,
                "| {} | {} | {} | {} | {ratio:.2} |",
                sample.name,
                figure(sample.median()),
                figure(sample.smallest()),
                figure(sample.largest()),
            )?;
        }
        Ok(())
    }
}

/// Three significant digits or all before the point, whichever is more.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn contenders_take_turns_and_the_first_is_the_measure() {
        let order = RefCell::new(String::new());
        let turn = |name: char, figures: [f64; 3]| {
            let (order, mut figures) = (&order, figures.into_iter());
            move || {
                order.borrow_mut().push(name);
                figures.next().ok_or("too many".to_owned())
            }
        };
        let contest = Contest::new("Start", "ms")
            .with("env", turn('e', [9.0, 1.0, 2.0]))
            .with("ostler", turn('o', [3.0, 300.0, 2.5]));
        let results = contest.run(3).unwrap();
        assert_eq!(*order.borrow(), "eooeeo");
        assert_eq!(results.ratio("ostler", "env"), Some(1.5));
        assert_eq!(results.ratio("nobody", "env"), None);
        // 3/9, 300/1, 2.5/2
        assert_eq!(results.round_ratio("ostler", "env"), Some(1.25));
        assert_eq!(results.round_ratio("ostler", "nobody"), None);
        let table = results.to_string();
        assert!(
            table.contains("| env | 2.00 | 1.00 | 9.00 | 1.00 |"),
            "{table}"
        );
        assert!(
            table.contains("| ostler | 3.00 | 2.50 | 300 | 1.50 |"),
            "{table}"
        );
    }

    #[test]
    fn medians_and_failures() {
        let samples = |figures: &[f64]| Samples {
            name: String::new(),
            figures: figures.to_vec(),
        };
        assert!(samples(&[]).median().is_nan());
        assert!((samples(&[4.0, 1.0]).median() - 2.5).abs() < 1e-9);
        let failed = Contest::new("x", "s")
            .with("a", || Err("broke".into()))
            .run(1);
        assert_eq!(failed, Err("a: broke".into()));
    }
}
