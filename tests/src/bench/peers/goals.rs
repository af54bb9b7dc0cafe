//! Goals, and whether they are reached.

use std::fmt;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    what: String,
    bound: Bound,
    /// `None`: whoever it is compared with took no part.
    figure: Option<f64>,
}

/// All goals, as a Markdown table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Goals(Vec<Row>);

impl Goals {
    /// Adds one.
    pub fn add(&mut self, what: &str, bound: Bound, figure: Option<f64>) {
        let what = what.into();
        self.0.push(Row {
            what,
            bound,
            figure,
        });
    }
}

impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | goal | measured | |")?;
        writeln!(f, "|---|---:|---:|---|")?;
        for Row {
            what,
            bound,
            figure,
        } in &self.0
        {
            let goal = match bound {
                Bound::AtLeast(bound) => format!("≥ {bound}"),
                Bound::AtMost(bound) => format!("≤ {bound}"),
            };
            match figure {
                Some(figure) => {
                    let reached = match bound.holds(*figure) {
                        true => "reached",
                        false => "**not reached**",
                    };
                    writeln!(f, "| {what} | {goal} | {figure:.2} | {reached} |")?;
                }
                None => writeln!(f, "| {what} | {goal} | | not compared |")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_or_not_or_not_compared() {
        let mut goals = Goals::default();
        goals.add("rate", Bound::AtLeast(3.0), Some(3.5));
        goals.add("time", Bound::AtMost(1.5), Some(1.61));
        goals.add("peer", Bound::AtMost(1.5), None);
        let table = goals.to_string();
        assert!(table.contains("| rate | ≥ 3 | 3.50 | reached |"), "{table}");
        assert!(
            table.contains("| time | ≤ 1.5 | 1.61 | **not reached** |"),
            "{table}"
        );
        assert!(
            table.contains("| peer | ≤ 1.5 | | not compared |"),
            "{table}"
        );
    }
}
