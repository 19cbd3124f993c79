use super::*;
use crate::error::Error;
use crate::limits::{MAX_FILTER, MAX_FILTER_LEVELS};

fn holds(text: &str, metadata: &str) -> bool {
    let row = Row { source_id: "s", chunk_id: "s_0", metadata: Some(metadata.as_bytes()) };
    Filter::parse(text).unwrap().expression().holds(row)
}

#[test]
fn numbers_are_ordered_by_value_however_they_are_written() {
    let ascending = [
        "-1e999",
        "-1e300",
        "-9223372036854775809",
        "-9223372036854775808",
        "-9007199254740993",
        "-2.5",
        "-2",
        "-5e-324",
        "0",
        "5e-324",
        "0.5",
        "1",
        "1.5",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "1e19",
        "1000000000000000019884624838655",
        "1e30",
        "1000000000000000019884624838657",
        "1e999",
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(Number::parse(a).cmp(&Number::parse(b)), i.cmp(&j), "{a} {b}");
        }
    }
    for (a, b) in
        [("0", "-0.0"), ("100", "1e2"), ("1e19", "10000000000000000000"), ("-1.0", "-1"), ("-0", "0")]
    {
        assert_eq!(Number::parse(a), Number::parse(b), "{a} {b}");
        assert_eq!(Number::parse(a).cmp(&Number::parse(b)), std::cmp::Ordering::Equal);
    }
}

#[test]
fn the_order_of_a_text_is_that_of_its_value() {
    let values = [
        Value::Boolean(true),
        Value::Number(Number::Integer(5)),
        Value::Text("".into()),
        Value::Text("b".into()),
        Value::Other,
    ];
    for value in &values {
        for text in ["", "a", "b", "c"] {
            assert_eq!(value.cmp_text(text), value.cmp(&Value::Text(text.into())), "{value:?} {text:?}");
        }
    }
    for test in [
        "== 'b'",
        "!= 'b'",
        "< 'b'",
        "<= 'b'",
        "> 'b'",
        ">= 'b'",
        "!= 5",
        "in ['b', 5]",
        "not in ['b']",
        "not in [5]",
        "not in []",
        "like 'b%'",
    ] {
        let filter = Filter::parse(&format!("source_id {test}")).unwrap();
        let Expression::Test(_, test) = filter.expression() else { panic!() };
        for text in ["", "a", "b", "ba", "c"] {
            assert_eq!(test.holds_of(text), test.holds(Some(&Value::Text(text.into()))), "{test:?} {text:?}");
        }
    }
}

#[test]
fn values_are_found_in_any_json() {
    let text = r#" { "a" : [1, {"b": "x]}\"" , "c\u0064": null}, [] ], "a\\" : 2, "b":-1.5e1,"c":true } "#;
    let at = |path: &[Step]| value_at(text.as_bytes(), path);
    let key = |key: &str| Step::Key(key.into());
    assert_eq!(at(&[key("a"), Step::Index(0)]), Some(Value::Number(Number::Integer(1))));
    assert_eq!(at(&[key("a"), Step::Index(1), key("b")]), Some(Value::Text("x]}\"".into())));
    assert_eq!(at(&[key("a"), Step::Index(1), key("cd")]), Some(Value::Other));
    assert_eq!(at(&[key("a"), Step::Index(2)]), Some(Value::Other));
    assert_eq!(at(&[key("a"), Step::Index(3)]), None);
    assert_eq!(at(&[key("a\\")]), Some(Value::Number(Number::Integer(2))));
    assert_eq!(at(&[key("b")]), Some(Value::Number(Number::Integer(-15))));
    assert_eq!(at(&[key("c")]), Some(Value::Boolean(true)));
    assert_eq!(at(&[key("d")]), None);
    assert_eq!(at(&[key("c"), key("d")]), None);
    // Text that was cut: nothing is found, nothing breaks.
    for end in 0..text.len() {
        let _ = value_at(&text.as_bytes()[..end], &[key("a"), Step::Index(1), key("b")]);
        let _ = value_at(&text.as_bytes()[..end], &[key("c")]);
    }
}

#[test]
fn not_binds_less_than_comparisons_and_more_than_and() {
    assert!(holds("not metadata['a'] == 1 and metadata['b'] == 2", r#"{"b": 2}"#));
    assert!(!holds("not (metadata['a'] == 1 or metadata['b'] == 2)", r#"{"b": 2}"#));
    assert!(holds("metadata['b'] == 2 or metadata['b'] == 1 and metadata['b'] == 3", r#"{"b": 2}"#));
}

#[test]
fn the_bounds_hold_to_the_byte_and_the_level() {
    let offset = |text: &str| match Filter::parse(text) {
        Err(Error::FilterSyntax { offset, .. }) => Some(offset),
        other => other.map(|_| None).unwrap(),
    };
    let nested = |levels: usize| format!("{}metadata['a'] == 1{}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(offset(&nested(MAX_FILTER_LEVELS)), None);
    assert_eq!(offset(&nested(MAX_FILTER_LEVELS + 1)), Some(MAX_FILTER_LEVELS));
    let negated = |levels: usize| format!("{}metadata['a'] == 1", "not ".repeat(levels));
    assert_eq!(offset(&negated(MAX_FILTER_LEVELS)), None);
    assert_eq!(offset(&negated(MAX_FILTER_LEVELS + 1)), Some(4 * MAX_FILTER_LEVELS));
    let long = |bytes: usize| format!("{:bytes$}", "metadata['a'] == 1");
    assert_eq!(offset(&long(MAX_FILTER)), None);
    assert_eq!(offset(&long(MAX_FILTER + 1)), Some(MAX_FILTER));
    let wide = format!("source_id == '{}'", "ä".repeat(MAX_FILTER));
    assert_eq!(offset(&wide), Some("source_id == '".len() + (MAX_FILTER - "source_id == '".len()) / 2));
    // As deep as it gets: 16 KiB of brackets end at the bound, not at the stack's end.
    assert_eq!(offset(&"(".repeat(MAX_FILTER)), Some(MAX_FILTER_LEVELS));
    assert_eq!(offset(&"!".repeat(MAX_FILTER)), Some(MAX_FILTER_LEVELS));
}

#[test]
fn nothing_that_is_sent_breaks_the_parser() {
    let mut random = crate::codes::tests::Random(11);
    let whole = r#"not (metadata["a\u00e4"][0] in [1, -2.5e3, "x\\", true,] or 5 < metadata["b"] <= 9) && source_id like "a\%%" and exists metadata['ü']"#;
    assert!(Filter::parse(whole).is_ok());
    let characters: Vec<char> = whole.chars().collect();
    for _ in 0..20_000 {
        let mut changed = characters.clone();
        for _ in 0..3 {
            let mut pick = |below: usize| (random.row(1)[0].to_bits() as usize) % below;
            let (at, from) = (pick(changed.len()), pick(characters.len()));
            match pick(3) {
                0 => changed[at] = characters[from],
                1 => changed.insert(at, characters[from]),
                _ => drop(changed.remove(at)),
            }
        }
        let text: String = changed.into_iter().collect();
        if let Err(Error::FilterSyntax { offset, reason }) = Filter::parse(&text) {
            assert!(offset <= text.chars().count() && !reason.is_empty(), "{text}");
        }
    }
}
