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
    /// What others have: "PM2 13.2, supervisord 1012". Empty where that says nothing.
    others: String,
}

/// All goals, as a Markdown table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Goals(Vec<Row>);

impl Goals {
    /// Adds one.
    pub fn add(&mut self, what: &str, bound: Bound, figure: Option<f64>) {
        self.add_beside(what, bound, figure, &[]);
    }

    /// Adds one, and what others have who were measured beside it.
    pub fn add_beside(
        &mut self,
        what: &str,
        bound: Bound,
        figure: Option<f64>,
        others: &[(&str, f64)],
    ) {
        let others = others.iter();
        let others = others.map(|(name, theirs)| format!("{name} {}", shown(*theirs)));
        self.0.push(Row {
            what: what.into(),
            bound,
            figure,
            others: others.collect::<Vec<_>>().join(", "),
        });
    }
}

/// With a column for the others if there are any.
impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beside = self.0.iter().any(|row| !row.others.is_empty());
        let cell = |text: &str| match beside {
            true => format!(" {text} |"),
            false => String::new(),
        };
        writeln!(f, "| | goal | measured |{} |", cell("others"))?;
        writeln!(f, "|---|---:|---:|---|{}", if beside { "---|" } else { "" })?;
        for Row {
            what,
            bound,
            figure,
            others,
        } in &self.0
        {
            let goal = match bound {
                Bound::AtLeast(bound) => format!("≥ {bound}"),
                Bound::AtMost(bound) => format!("≤ {bound}"),
            };
            let (measured, reached) = match figure {
                Some(figure) if bound.holds(*figure) => (shown(*figure), "reached"),
                Some(figure) => (shown(*figure), "**not reached**"),
                None => (String::new(), "not compared"),
            };
            let others = cell(others);
            writeln!(f, "| {what} | {goal} | {measured} |{others} {reached} |")?;
        }
        Ok(())
    }
}

/// What is counted as it is, what is measured with two digits after the point.
fn shown(figure: f64) -> String {
    match figure.fract() == 0.0 {
        true => format!("{figure}"),
        false => format!("{figure:.2}"),
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
            table.contains("| peer | ≤ 1.5 |  | not compared |"),
            "{table}"
        );
    }

    #[test]
    fn others_have_a_column_if_there_are_any() {
        let mut goals = Goals::default();
        goals.add("rate", Bound::AtLeast(3.0), Some(4.0));
        let others = [("PM2", 17.125), ("Gunicorn", 0.0)];
        goals.add_beside("lost", Bound::AtMost(0.0), Some(0.0), &others);
        let table = goals.to_string();
        assert!(table.contains("| rate | ≥ 3 | 4 |  | reached |"), "{table}");
        assert!(
            table.contains("| lost | ≤ 0 | 0 | PM2 17.12, Gunicorn 0 | reached |"),
            "{table}"
        );
    }
}
