//! `\d`, `\w` and `\s` in the patterns of numbers mean ASCII (docs/operations.md): by Unicode's
//! meaning `\d` matches the digits of all scripts, which no PBX dials.
//!
//! The `regex` crate has no setting for these alone: without Unicode `.` and `[^0-9]` match single
//! octets, which it refuses for text. So they are replaced where its own parser finds them.

use regex_syntax::ast::{
    self, Ast, ClassPerl, ClassPerlKind, ClassSetItem, Span, Visitor, parse::Parser,
};

/// `pattern` with POSIX classes, which are ASCII only, in place of the Perl classes. A pattern that
/// cannot be parsed comes back as it is: whoever compiles it says what is wrong.
pub(super) fn with_ascii_classes(pattern: &str) -> String {
    let Ok(parsed) = Parser::new().parse(pattern) else {
        return pattern.to_owned();
    };
    let Ok(found) = ast::visit(&parsed, Found::default());
    let mut written = String::with_capacity(pattern.len());
    let mut at = 0;
    for (span, class) in found {
        written.push_str(&pattern[at..span.start.offset]);
        written.push_str(&class);
        at = span.end.offset;
    }
    written.push_str(&pattern[at..]);
    written
}

/// The Perl classes of a pattern in their order, and what stands for each.
#[derive(Default)]
struct Found(Vec<(Span, String)>);

impl Visitor for Found {
    type Output = Vec<(Span, String)>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        if let Ast::ClassPerl(class) = ast {
            self.0.push((class.span, format!("[{}]", posix(class))));
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        if let ClassSetItem::Perl(class) = item {
            self.0.push((class.span, posix(class)));
        }
        Ok(())
    }
}

/// The POSIX class, for within brackets.
fn posix(class: &ClassPerl) -> String {
    let name = match class.kind {
        ClassPerlKind::Digit => "digit",
        ClassPerlKind::Space => "space",
        ClassPerlKind::Word => "word",
    };
    let negation = if class.negated { "^" } else { "" };
    format!("[:{negation}{name}:]")
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = with_ascii_classes(&format!("^(?:{pattern})$"));
        Regex::new(&pattern).expect(&pattern).is_match(text)
    }

    #[test]
    fn perl_classes_match_ascii_only() {
        for (pattern, yes, no) in [
            (r"\d+", "0123", "\u{661}\u{662}\u{663}"),
            (r"\d+", "9", "\u{ff11}"),
            (r"[\d*#]+", "1*2#", "\u{966}#"),
            (r"[^\D]+", "12", "\u{7c1}"),
            (r"\w+", "web_1", "stra\u{df}e"),
            (r"[\w.-]+", "a.b-c", "\u{e9}"),
            (r"(?x) \d +", "42", "\u{9e8}"),
            (r"(?i)EXT\d", "ext7", "ext\u{667}"),
            (r"a\sb", "a b", "a\u{2003}b"),
            (r"\W+", "\u{661}", "1"),
            (r"[\S&&[^x]]", "\u{2003}", "x"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(!matches(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn other_parts_of_a_pattern_keep_their_meaning() {
        for (pattern, text) in [
            ("büro", "büro"),
            ("b.ro", "büro"),
            ("[^0-9]+", "büro"),
            (r"\p{L}+", "büro"),
            (r"\\d", r"\d"),
            (r"\pN", "\u{661}"),
            ("(?i)BÜRO", "büro"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for unparsed in ["(", "[", r"\"] {
            assert_eq!(with_ascii_classes(unparsed), unparsed);
        }
    }
}
