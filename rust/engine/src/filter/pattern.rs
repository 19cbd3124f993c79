//! Patterns of `like`: `%` stands for any text, `\` takes the next character as it is.

/// A pattern, cut at its `%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// One more than there are `%`.
    parts: Vec<String>,
}

impl Pattern {
    /// Reads a pattern; `None` when it ends within an escape.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                // Several behind each other are one.
                '%' if parts.len() > 1 && parts.last().is_some_and(String::is_empty) => {}
                '%' => parts.push(String::new()),
                '\\' => parts.last_mut()?.push(characters.next()?),
                _ => parts.last_mut()?.push(character),
            }
        }
        Some(Self { parts })
    }

    /// What every text that matches begins with.
    pub fn prefix(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    /// Whether `text` matches, in time that grows with the text and not with the ways to match it.
    pub fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &*self.parts else { return text == self.prefix() };
        let Some(mut rest) = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        // The first place where a part is found leaves the most for those behind it.
        for part in middle {
            let Some(at) = rest.find(&**part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}
