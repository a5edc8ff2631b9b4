//! Vocabulary: which characters of a display name are shown to people.

/// Whether `c` is no part of a name that people read: control characters, line and paragraph
/// separators, characters that change the direction of text (Unicode Standard Annex 9), and
/// characters without width. By those a name can look like another one, or continue in text beside
/// it.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        // C0, DEL and C1.
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        // Soft hyphen, combining grapheme joiner, Arabic letter mark, Mongolian vowel separator.
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}'
        // Zero width space, joiners and direction marks.
        | '\u{200b}'..='\u{200f}'
        // Line and paragraph separators, embeddings and overrides.
        | '\u{2028}'..='\u{202e}'
        // Word joiner, invisible operators, isolates, deprecated format characters.
        | '\u{2060}'..='\u{206f}'
        // Hangul fillers, which are letters without a shape.
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        // Zero width no-break space, interlinear annotations.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        // Tags.
        | '\u{e0000}'..='\u{e007f}')
}

/// `name` without its hidden characters and without white space around it; `None` if nothing is
/// left. A zero width joiner or non-joiner stays between two characters that are not ASCII: Persian
/// and Indic names and joined emoji are written with them (RFC 5892 appendices A.1 and A.2).
pub fn visible(name: &str) -> Option<String> {
    let mut kept = String::with_capacity(name.len());
    let mut joiner = None;
    for c in name.chars() {
        if matches!(c, '\u{200c}' | '\u{200d}') {
            joiner = Some(c);
        } else if !is_hidden(c) {
            let before = kept.chars().next_back();
            if before.is_some_and(|before| !before.is_ascii()) && !c.is_ascii() {
                kept.extend(joiner);
            }
            joiner = None;
            kept.push(c);
        }
    }
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_cut_and_letters_of_all_scripts_stay() {
        for (name, shown) in [
            ("Ada\u{2028}Lovelace", "AdaLovelace"),
            ("Ada\u{2029}", "Ada"),
            ("\u{202e}ecilA\u{202c}", "ecilA"),
            ("\u{2066}Bob\u{2069}\u{2067}\u{2068}", "Bob"),
            ("B\u{200b}o\u{200d}b\u{feff}", "Bob"),
            ("Bob\u{2060}\u{ad}\u{61c}\u{200e}", "Bob"),
            ("Bo\r\nb\0\u{85}", "Bob"),
            ("B\u{3164}ob\u{e0041}", "Bob"),
            (" \u{200b} Bob \u{200f}", "Bob"),
            ("Zoë Ångström", "Zoë Ångström"),
            ("محمد", "محمد"),
            ("田中 太郎", "田中 太郎"),
            ("ไทย 🙂", "ไทย 🙂"),
            ("علی\u{200c}رضا", "علی\u{200c}رضا"),
            ("\u{200d}شريا\u{200c}", "شريا"),
            ("👩\u{200d}🔧 Ada", "👩\u{200d}🔧 Ada"),
        ] {
            assert_eq!(visible(name).as_deref(), Some(shown), "{name:?}");
        }
    }

    #[test]
    fn name_without_visible_characters_is_none() {
        for name in [
            "",
            " ",
            "\u{200b}\u{200b}",
            "\u{200d}\u{200c}",
            "\u{202e}\u{202c}",
            "\r\n\t",
        ] {
            assert_eq!(visible(name), None, "{name:?}");
        }
    }
}
