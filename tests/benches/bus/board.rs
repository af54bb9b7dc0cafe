//! Rounds in which contenders take turns, where each turn gives several figures.

use ostler_tests::bench::{Results, Samples};

type Measure<'a> = Box<dyn FnMut() -> Result<Vec<f64>, String> + 'a>;

/// Who takes part, and what is measured of each.
pub(crate) struct Board<'a> {
    /// What a turn gives: in which unit.
    figures: Vec<(String, &'static str)>,
    contenders: Vec<(String, Measure<'a>)>,
}

impl<'a> Board<'a> {
    /// Without contenders.
    pub(crate) fn new(figures: &[(&str, &'static str)]) -> Self {
        let owned = |(title, unit): &(&str, &'static str)| ((*title).to_owned(), *unit);
        Self {
            figures: figures.iter().map(owned).collect(),
            contenders: Vec::new(),
        }
    }

    /// Adds a contender; the first is what the others' ratios are to.
    pub(crate) fn add(
        &mut self,
        name: &str,
        measure: impl FnMut() -> Result<Vec<f64>, String> + 'a,
    ) {
        if is_asked(name) {
            self.contenders.push((name.into(), Box::new(measure)));
        }
    }

    /// Runs so many rounds, prints what was found, and gives it: for each figure. Who fails is left out from then on, and so said.
    pub(crate) fn run(mut self, rounds: usize) -> Vec<Results> {
        let mut rows: Vec<(String, Vec<Vec<f64>>)> = Vec::new();
        rows.extend(
            self.contenders
                .iter()
                .map(|(name, _)| (name.clone(), vec![])),
        );
        let count = self.contenders.len();
        let mut failed = vec![false; count];
        for round in 0..rounds {
            for turn in 0..count {
                let which = (round + turn) % count;
                if failed[which] {
                    continue;
                }
                let (name, measure) = &mut self.contenders[which];
                match measure() {
                    Ok(figures) => rows[which].1.push(figures),
                    Err(why) => {
                        eprintln!("left out: {name}: {why}");
                        failed[which] = true;
                    }
                }
            }
        }
        let mut failed = failed.into_iter();
        rows.retain(|_| failed.next() != Some(true));
        let results = |(at, (title, unit)): (usize, &(String, &'static str))| {
            let samples = rows.iter().map(|(name, turns)| Samples {
                name: name.clone(),
                figures: turns.iter().map(|figures| figures[at]).collect(),
            });
            Results::new(title, unit, samples.collect())
        };
        let all: Vec<Results> = self.figures.iter().enumerate().map(results).collect();
        for results in &all {
            if !is_of_no_interest(results) {
                println!("{results}");
            }
        }
        all
    }
}

/// Whether `--only WORD,WORD` leaves this contender in: its name begins with one of the words.
fn is_asked(name: &str) -> bool {
    let words: Vec<String> = std::env::args().collect();
    let only = words.iter().position(|word| word == "--only");
    only.and_then(|at| words.get(at + 1))
        .is_none_or(|only| only.split(',').any(|word| name.starts_with(word)))
}

/// Losses, where there were none.
fn is_of_no_interest(results: &Results) -> bool {
    let figures = results.samples.iter().flat_map(|sample| &sample.figures);
    figures.into_iter().all(|figure| *figure == 0.0)
}

/// The larger of the medians of two, by name: what "the better of both" means for rates.
pub(crate) fn better<'n>(results: &Results, names: [&'n str; 2]) -> Option<&'n str> {
    let median = |name: &str| {
        let found = results.samples.iter().find(|s| s.name == name);
        found.map(Samples::median)
    };
    let there = names.into_iter().filter(|name| median(name).is_some());
    there.max_by(|a, b| {
        median(a)
            .unwrap_or(0.0)
            .total_cmp(&median(b).unwrap_or(0.0))
    })
}
