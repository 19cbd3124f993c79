//! From text to an expression: one function for each rule of the grammar in `docs/filters.md`.

use std::collections::HashSet;

use super::expression::{Comparison, Expression, Field, Path, Step, Test};
use super::token::{Kind, Literal, Token, Tokens, short, wrong};
use super::{Number, Pattern, Value};
use crate::error::Result;
use crate::limits::{MAX_FILTER, MAX_FILTER_KEYS, MAX_FILTER_LEVELS};

/// Reads a filter.
pub(super) fn parse(text: &str) -> Result<Expression> {
    if text.len() > MAX_FILTER {
        let within = (0..=MAX_FILTER).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        let reason = format!("the filter is {} bytes long, at most {MAX_FILTER} are allowed", text.len());
        return wrong(text[..within].chars().count(), reason);
    }
    let mut tokens = Tokens::new(text);
    let token = tokens.next()?;
    if token.kind == Kind::End {
        return wrong(token.offset, "the filter is empty: leave it out to have no filter");
    }
    let mut parser = Parser { tokens, token, levels: 0, keys: HashSet::new() };
    let expression = parser.any()?;
    match parser.token.kind {
        Kind::End => Ok(expression),
        _ => parser.unexpected("`and`, `or` or the end"),
    }
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    token: Token,
    levels: usize,
    /// Those named so far.
    keys: HashSet<Path>,
}

/// A side of a comparison.
enum Side {
    Field(Field),
    Value(Value),
    List,
}

#[derive(Clone, Copy)]
enum Relation {
    Equal,
    NotEqual,
    Ordered(Comparison),
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token> {
        let next = self.tokens.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(&self.token.kind, Kind::Sign(found) if *found == sign)
    }

    /// Keywords may be written in capitals.
    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token.kind, Kind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn accept(&mut self, sign: &str, word: &str) -> Result<bool> {
        let found = self.is_sign(sign) || self.is_word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T> {
        let found = match &self.token.kind {
            Kind::Word(word) => format!("`{}`", short(word)),
            Kind::Text(literal) => format!("the string \"{}\"", short(&literal.text).escape_debug()),
            Kind::Number(number) => format!("`{}`", short(number)),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::End => "the end".to_owned(),
        };
        wrong(self.token.offset, format!("expected {expected}, got {found}"))
    }

    fn any(&mut self) -> Result<Expression> {
        let first = self.all()?;
        let mut parts = vec![first];
        while self.accept("||", "or")? {
            parts.push(self.all()?);
        }
        Ok(single(parts, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression> {
        let first = self.term()?;
        let mut parts = vec![first];
        while self.accept("&&", "and")? {
            parts.push(self.term()?);
        }
        Ok(single(parts, Expression::All))
    }

    fn term(&mut self) -> Result<Expression> {
        let offset = self.token.offset;
        if self.accept("!", "not")? {
            self.deeper(offset)?;
            let part = self.term()?;
            self.levels -= 1;
            return Ok(Expression::Not(Box::new(part)));
        }
        if self.accept("(", "")? {
            self.deeper(offset)?;
            let inside = self.any()?;
            self.levels -= 1;
            if !self.accept(")", "")? {
                return self.unexpected("`and`, `or` or `)`");
            }
            return Ok(inside);
        }
        if self.accept("", "exists")? {
            let offset = self.token.offset;
            return match self.side()? {
                Side::Field(field @ Field::Metadata(_)) => Ok(Expression::Test(field, Test::Exists)),
                _ => wrong(offset, "`exists` asks for metadata: write exists metadata[\"key\"]"),
            };
        }
        self.comparison()
    }

    fn deeper(&mut self, offset: usize) -> Result<()> {
        self.levels += 1;
        if self.levels > MAX_FILTER_LEVELS {
            return wrong(offset, format!("nested more than {MAX_FILTER_LEVELS} levels deep"));
        }
        Ok(())
    }

    fn comparison(&mut self) -> Result<Expression> {
        let offset = self.token.offset;
        match self.side()? {
            Side::Field(field) => self.after_field(field, offset),
            Side::Value(value) => self.after_value(value, offset),
            Side::List => wrong(offset, "a list stands behind `in`: write metadata[\"key\"] in [..]"),
        }
    }

    fn after_field(&mut self, field: Field, offset: usize) -> Result<Expression> {
        if self.accept("", "in")? {
            return Ok(Expression::Test(field, Test::In(self.list()?)));
        }
        if self.accept("", "like")? {
            return Ok(Expression::Test(field, Test::Like(self.pattern()?)));
        }
        if self.accept("", "not")? {
            if self.is_word("like") {
                return wrong(self.token.offset, "`not like` is written not (.. like ..)");
            }
            if !self.accept("", "in")? {
                return self.unexpected("`in`");
            }
            return Ok(Expression::Test(field, Test::NotIn(self.list()?)));
        }
        if self.is_word("is") {
            return wrong(
                self.token.offset,
                "`is` is no operator: whether a key is there says exists metadata[\"key\"]",
            );
        }
        let Some(relation) = self.relation()? else {
            let ends = matches!(self.token.kind, Kind::End | Kind::Sign(")" | "&&" | "||"));
            if ends || self.is_word("and") || self.is_word("or") {
                return wrong(
                    offset,
                    "a field alone says nothing: compare it, as in metadata[\"key\"] == true",
                );
            }
            return self.unexpected("`==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in` or `like`");
        };
        let place = self.token.offset;
        let value = self.other_side(place)?;
        let test = ordered(relation, value, place)?;
        self.no_third()?;
        Ok(Expression::Test(field, test))
    }

    /// `5 < field`, or `5 < field <= 9`.
    fn after_value(&mut self, value: Value, offset: usize) -> Result<Expression> {
        if self.is_word("in") || self.is_word("like") || self.is_word("not") {
            return wrong(
                offset,
                "a field stands on the left of `in` and `like`: write metadata[\"key\"] in [..]",
            );
        }
        let Some(first) = self.relation()? else {
            return self.unexpected("`==`, `!=`, `<`, `<=`, `>` or `>=`");
        };
        let place = self.token.offset;
        let field = match self.side()? {
            Side::Field(field) => field,
            _ => return wrong(place, "a comparison needs a field: metadata[\"key\"], source_id or chunk_id"),
        };
        let test = ordered(mirrored(first), value, offset)?;
        let place = self.token.offset;
        let Some(second) = self.relation()? else { return Ok(Expression::Test(field, test)) };
        let (Relation::Ordered(a), Relation::Ordered(b)) = (first, second) else {
            return wrong(
                place,
                "only `<`, `<=` or `>`, `>=` can stand on both sides: join two comparisons with `and`",
            );
        };
        if is_less(a) != is_less(b) {
            return wrong(
                place,
                "both signs of a range must point the same way, as in 1 < metadata[\"key\"] <= 5",
            );
        }
        let place = self.token.offset;
        let value = self.other_side(place)?;
        let other = ordered(second, value, place)?;
        self.no_third()?;
        Ok(Expression::All(vec![Expression::Test(field.clone(), test), Expression::Test(field, other)]))
    }

    fn no_third(&mut self) -> Result<()> {
        let place = self.token.offset;
        match self.relation()? {
            None => Ok(()),
            Some(_) => wrong(place, "comparisons cannot be chained here: join them with `and`"),
        }
    }

    fn relation(&mut self) -> Result<Option<Relation>> {
        let Kind::Sign(sign) = self.token.kind else { return Ok(None) };
        let relation = match sign {
            "==" => Relation::Equal,
            "!=" => Relation::NotEqual,
            "<" => Relation::Ordered(Comparison::Less),
            "<=" => Relation::Ordered(Comparison::LessOrEqual),
            ">" => Relation::Ordered(Comparison::Greater),
            ">=" => Relation::Ordered(Comparison::GreaterOrEqual),
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(relation))
    }

    /// The side of a comparison whose other side is a field.
    fn other_side(&mut self, place: usize) -> Result<Value> {
        match self.side()? {
            Side::Value(value) => Ok(value),
            Side::Field(_) => wrong(
                place,
                "two fields cannot be compared with each other: one side must be a string, a number or a boolean",
            ),
            Side::List => wrong(place, "a list is not compared as a whole: write metadata[\"key\"] in [..]"),
        }
    }

    fn side(&mut self) -> Result<Side> {
        let place = self.token.offset;
        match &self.token.kind {
            Kind::Sign("[") => Ok(Side::List),
            Kind::Text(_) | Kind::Number(_) => self.literal().map(Side::Value),
            Kind::Word(word) => {
                let word = word.clone();
                if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
                    return self.literal().map(Side::Value);
                }
                if ["and", "or", "not", "in", "like", "exists", "is"]
                    .iter()
                    .any(|known| word.eq_ignore_ascii_case(known))
                {
                    return self.unexpected("a field or a value");
                }
                self.advance()?;
                match &*word {
                    "source_id" => Ok(Side::Field(Field::SourceId)),
                    "chunk_id" => Ok(Side::Field(Field::ChunkId)),
                    "metadata" => {
                        let path = self.path()?;
                        self.keys.insert(path.clone());
                        if self.keys.len() > MAX_FILTER_KEYS {
                            return wrong(
                                place,
                                format!("a filter names at most {MAX_FILTER_KEYS} different keys"),
                            );
                        }
                        Ok(Side::Field(Field::Metadata(path)))
                    }
                    _ if self.is_sign("(") => {
                        wrong(place, format!("there are no functions: `{}`", short(&word)))
                    }
                    _ if ["null", "nil", "none"].iter().any(|known| word.eq_ignore_ascii_case(known)) => {
                        wrong(
                            place,
                            "nothing equals null: whether a key is there says exists metadata[\"key\"]",
                        )
                    }
                    _ => wrong(
                        place,
                        format!(
                            "unknown field `{0}`: known are source_id, chunk_id and metadata[\"{0}\"]; strings stand in quotes",
                            short(&word)
                        ),
                    ),
                }
            }
            _ => self.unexpected("a field or a value"),
        }
    }

    fn path(&mut self) -> Result<Path> {
        let mut path = Path::new();
        while self.accept("[", "")? {
            let place = self.token.offset;
            path.push(match self.advance()?.kind {
                Kind::Text(literal) => Step::Key(plain(literal)?),
                Kind::Number(number) => match number.parse() {
                    Ok(index) if !number.starts_with('+') => Step::Index(index),
                    _ => return wrong(place, "an element of a list is named by its number, from 0"),
                },
                _ => {
                    return wrong(place, "expected the name of a key in quotes, or the number of an element");
                }
            });
            if !self.accept("]", "")? {
                return self.unexpected("`]`");
            }
        }
        if path.is_empty() {
            return self.unexpected("`[` and the name of a key, as in metadata[\"key\"]");
        }
        Ok(path)
    }

    fn literal(&mut self) -> Result<Value> {
        let token = self.advance()?;
        Ok(match token.kind {
            Kind::Text(literal) => Value::Text(plain(literal)?.into()),
            // The tokens are such that it is one.
            Kind::Number(number) => Number::parse(&number).map_or(Value::Other, Value::Number),
            Kind::Word(word) => Value::Boolean(word.eq_ignore_ascii_case("true")),
            _ => return wrong(token.offset, "expected a string, a number or a boolean"),
        })
    }

    fn list(&mut self) -> Result<Vec<Value>> {
        if !self.accept("[", "")? {
            return self.unexpected("a list, as in [\"a\", \"b\"]");
        }
        let mut values = Vec::new();
        while !self.is_sign("]") {
            match &self.token.kind {
                Kind::Text(_) | Kind::Number(_) => {}
                Kind::Word(word)
                    if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") => {}
                _ => return self.unexpected("a string, a number, a boolean or `]`"),
            }
            values.push(self.literal()?);
            if !self.accept(",", "")? && !self.is_sign("]") {
                return self.unexpected("`,` or `]`");
            }
        }
        self.advance()?;
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn pattern(&mut self) -> Result<Pattern> {
        if !matches!(self.token.kind, Kind::Text(_)) {
            return self.unexpected("a pattern in quotes, as in \"abc%\"");
        }
        let token = self.advance()?;
        let Kind::Text(literal) = token.kind else {
            return wrong(token.offset, "expected a pattern in quotes");
        };
        match Pattern::parse(&literal.text) {
            Some(pattern) => Ok(pattern),
            None => wrong(
                token.offset,
                "the pattern ends with the backslash of an escape: in a pattern a backslash is \\\\, written \"\\\\\\\\\"",
            ),
        }
    }
}

fn single(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

fn ordered(relation: Relation, value: Value, place: usize) -> Result<Test> {
    match relation {
        Relation::Equal => Ok(Test::Equal(value)),
        Relation::NotEqual => Ok(Test::NotEqual(value)),
        Relation::Ordered(_) if matches!(value, Value::Boolean(_)) => {
            wrong(place, "booleans have no order: compare them with `==` or `!=`")
        }
        Relation::Ordered(comparison) => Ok(Test::Ordered(comparison, value)),
    }
}

const fn mirrored(relation: Relation) -> Relation {
    match relation {
        Relation::Ordered(comparison) => Relation::Ordered(comparison.mirrored()),
        same => same,
    }
}

const fn is_less(comparison: Comparison) -> bool {
    matches!(comparison, Comparison::Less | Comparison::LessOrEqual)
}

/// The text of a string that is no pattern.
fn plain(literal: Literal) -> Result<String> {
    match literal.wildcard {
        None => Ok(literal.text),
        Some(place) => wrong(place, "only patterns, behind `like`, escape `%` and `_`; a backslash is \\\\"),
    }
}
