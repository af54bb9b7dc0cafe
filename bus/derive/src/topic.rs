//! Topics, checked where they are written.

use syn::LitStr;

/// The longest topic, in bytes.
const LONGEST: usize = 255;

/// Checks that one could publish on `topic`.
pub(crate) fn check(topic: &LitStr) -> syn::Result<()> {
    let text = topic.value();
    let error = |message: String| Err(syn::Error::new(topic.span(), message));
    if text.is_empty() {
        return error("a topic has at least one token, as in \"orders.created\"".into());
    }
    if text.len() > LONGEST {
        let len = text.len();
        return error(format!(
            "a topic has at most {LONGEST} bytes, this one {len}"
        ));
    }
    for token in text.split('.') {
        if token.is_empty() {
            return error(format!(
                "an empty token in topic \"{text}\": one dot goes between two tokens"
            ));
        }
        if token == "*" || token == ">" {
            return error(format!(
                "`{token}` belongs into patterns of subscribers; a topic names one place"
            ));
        }
        let odd = token
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'));
        if let Some(odd) = odd {
            return error(format!(
                "{odd:?} in topic \"{text}\": tokens consist of A-Z a-z 0-9 _ -"
            ));
        }
    }
    Ok(())
}
