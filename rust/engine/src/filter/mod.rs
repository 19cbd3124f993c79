//! Filters: boolean expressions over ids and metadata, and the JSON values that they compare (`docs/filters.md`).
//! It knows expressions and JSON text; it does not know batches, rows or collections.

mod expression;
mod json;
mod number;
mod parser;
mod pattern;
mod token;
mod value;

pub use expression::{Comparison, Expression, Field, Filter, Path, Row, Step, Test};
pub use json::value_at;
pub use number::Number;
pub use pattern::Pattern;
pub use value::Value;

#[cfg(test)]
mod tests;
