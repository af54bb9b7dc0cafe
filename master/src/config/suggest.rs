//! "Did you mean": the nearest of some known words.

/// The closest of `known`, if one is close enough to be meant.
pub(crate) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The few of `known` that are nearest, however far that is; nearest first.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str], few: usize) -> Vec<&'k str> {
    let mut ranked = known.to_vec();
    let likeness = |candidate: &str| strsim::jaro_winkler(word, candidate);
    ranked.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    ranked.truncate(few);
    ranked
}
