//! Guessing which word was meant.

/// Help for a word that is not among `known`: "did you mean `latency`?", if one of them is near.
///
/// Near is made of the same words, in another order (`wait_decision`), written in another way
/// (`decisionWait`), with some left out (`wait`) or added; or else a few letters off.
#[must_use]
pub fn did_you_mean(word: &str, known: &[&str]) -> Option<String> {
    by_words(word, known).or_else(|| by_letters(word, known)).map(|near| format!("did you mean `{near}`?"))
}

/// The known word that has all words of this one, or has no others; the one with the fewest words between
/// them.
fn by_words<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let wanted = words(word);
    let within = |inner: &[String], outer: &[String]| {
        !inner.is_empty() && inner.iter().all(|word| outer.contains(word))
    };
    let candidates = known.iter().map(|known| (words(known), *known));
    candidates
        .filter(|(words, _)| within(words, &wanted) || within(&wanted, words))
        .min_by_key(|(words, _)| words.len().abs_diff(wanted.len()))
        .map(|(_, near)| near)
}

/// The known word with the fewest different letters, up to a third of them.
fn by_letters<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let wanted = words(word).join("_");
    let tolerated = (wanted.chars().count() / 3).clamp(1, 4);
    let distances =
        known.iter().map(|known| (strsim::osa_distance(&wanted, &words(known).join("_")), *known));
    distances.filter(|(distance, _)| *distance <= tolerated).min().map(|(_, near)| near)
}

/// A key's words in lower case: `sendBatch-maxSize` is send, batch, max, size.
fn words(key: &str) -> Vec<String> {
    let mut separated = String::new();
    let mut after_lower = false;
    for letter in key.chars() {
        if letter.is_uppercase() && after_lower {
            separated.push(' ');
        }
        after_lower = letter.is_lowercase();
        separated.extend(letter.to_lowercase());
    }
    let words = separated.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 7] = [
        "decision_wait",
        "num_traces",
        "policies",
        "latency",
        "send_batch_size",
        "send_batch_max_size",
        "tls",
    ];

    fn near(word: &str) -> Option<String> {
        did_you_mean(word, &KNOWN)
    }

    #[test]
    fn slips_of_the_keyboard_are_recognised() {
        for (word, meant) in
            [("latncy", "latency"), ("policeis", "policies"), ("latencies", "latency"), ("tsl", "tls")]
        {
            assert_eq!(near(word), Some(format!("did you mean `{meant}`?")), "{word}");
        }
    }

    #[test]
    fn the_same_words_written_otherwise_are_recognised() {
        for (word, meant) in [
            ("decisionWait", "decision_wait"),
            ("Decision-Wait", "decision_wait"),
            ("wait_decision", "decision_wait"),
            ("traces", "num_traces"),
            ("batch_size", "send_batch_size"),
            ("max_batch_size", "send_batch_max_size"),
            ("tls_settings", "tls"),
        ] {
            assert_eq!(near(word), Some(format!("did you mean `{meant}`?")), "{word}");
        }
    }

    #[test]
    fn a_word_like_none_of_them_gets_no_guess() {
        for word in ["compression", "x", "", "日本"] {
            assert_eq!(near(word), None, "{word}");
        }
        assert_eq!(did_you_mean("a", &[]), None);
    }
}
