use super::*;

fn read(purpose: Purpose, text: &[u8]) -> Result<Body> {
    let mut reader = JsonReader::new(purpose);
    reader.push(text)?;
    reader.finish()
}

/// Cut everywhere, the verdict must be that of the whole.
fn verdict(purpose: Purpose, text: impl AsRef<[u8]>) -> Result<(String, Vec<Vec<f32>>)> {
    let text = text.as_ref();
    let whole = read(purpose, text).map(parts);
    let mut bytewise = JsonReader::new(purpose);
    let pushed = text.chunks(1).try_for_each(|byte| bytewise.push(byte));
    assert_eq!(pushed.and_then(|()| bytewise.finish()).map(parts), whole);
    whole
}

fn parts(body: Body) -> (String, Vec<Vec<f32>>) {
    let rows = body.rows.map(|rows| (0..rows.len()).map(|index| rows.row(index).to_vec()).collect());
    (String::from_utf8(body.envelope).unwrap(), rows.unwrap_or_default())
}

fn insert(text: impl AsRef<[u8]>) -> Result<(String, Vec<Vec<f32>>)> {
    verdict(Purpose::Insert, text)
}

fn search(text: impl AsRef<[u8]>) -> Result<(String, Vec<Vec<f32>>)> {
    verdict(Purpose::Search, text)
}

fn wrong(
    field: &str,
    row: Option<usize>,
    column: Option<usize>,
    expected: &'static str,
    got: &'static str,
) -> Error {
    Error::WrongType { field: field.to_owned(), row, column, expected, got }
}

#[test]
fn arrays_at_known_paths_become_rows_and_the_rest_stays() {
    let (envelope, rows) =
        insert(r#" {"tenant_id": "t", "embeddings" : [ [1, 2.5 ],[-0.0,1e-3]] , "x":[1,[2]]} "#).unwrap();
    assert_eq!(envelope, r#" {"tenant_id": "t", "embeddings" : [ 0,1] , "x":[1,[2]]} "#);
    assert_eq!(rows, [[1.0, 2.5], [-0.0, 0.001]]);
    assert!(rows[1][0].is_sign_negative());

    let text = r#"{"embeddings":[{"source_id":"a","metadata":{"embedding":[1]},"embeddings":[{"chunk_id":"c","embedding":[1,2]},{"embedding":[3,4]}]},{"embeddings":[{"embedding":[5,6],"x":[7]}]}]}"#;
    let (envelope, rows) = insert(text).unwrap();
    assert_eq!(
        envelope,
        r#"{"embeddings":[{"source_id":"a","metadata":{"embedding":[1]},"embeddings":[{"chunk_id":"c","embedding":0},{"embedding":1}]},{"embeddings":[{"embedding":2,"x":[7]}]}]}"#
    );
    assert_eq!(rows, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);

    let (envelope, rows) = insert(r#"{"embe\u0064dings":{"a":[1],"b\n":[2]}}"#).unwrap();
    assert_eq!((envelope.as_str(), rows.len()), (r#"{"embe\u0064dings":{"a":0,"b\n":1}}"#, 2));

    let (envelope, rows) =
        search(r#"{"query_embedding":[1,2],"query_embeddings":null,"embeddings":null}"#).unwrap();
    assert_eq!(
        (envelope.as_str(), rows.len()),
        (r#"{"query_embedding":0,"query_embeddings":null,"embeddings":null}"#, 1)
    );
    let (envelope, rows) = search(r#"{"query_embeddings":[[1,2],[3,4]]}"#).unwrap();
    assert_eq!((envelope.as_str(), rows.len()), (r#"{"query_embeddings":[0,1]}"#, 2));
    let (envelope, rows) = search(r#"{"embeddings":[1,2]}"#).unwrap();
    assert_eq!((envelope.as_str(), rows.len()), (r#"{"embeddings":0}"#, 1));
}

#[test]
fn what_holds_no_numbers_at_known_paths_passes_unchanged() {
    for text in [
        r#"{}"#,
        r#"{"embeddings":null}"#,
        r#"{"embeddings":[{"source_id":"a","chunk_ids":["b"],"embeddings":null}]}"#,
        r#"{"metadata":{"data":"AAAA","dtype":"float32","shape":[1,1]}}"#,
        r#"{"metadata":{"embeddings":[[1,2],[true]],"query_embedding":"x"},"query_embedding":[1,"x"]}"#,
        r#"{"a":[true,false,null,0,-0,1.5e+7,1E-9,"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00 é 😀 \u007f"],"b":{"c":{}},"d":[]}"#,
    ] {
        assert_eq!(insert(text).unwrap(), (text.to_owned(), vec![]));
    }
    for text in [
        r#"{"query_embedding":null,"query_embeddings":null,"embeddings":null}"#,
        r#"{"filter":{"data":[1],"dtype":{"a":[2]},"shape":3}}"#,
    ] {
        assert_eq!(search(text).unwrap(), (text.to_owned(), vec![]));
    }
}

#[test]
fn text_that_is_not_strict_json_is_refused_at_its_byte() {
    let deep = format!("{{\"a\":{}", "[".repeat(64));
    let key = format!("{{\"{}\":1}}", "k".repeat(4097));
    let cases: &[(&[u8], u64)] = &[
        (b"", 0),
        (b"  ", 2),
        (b"{", 1),
        (b"\xef\xbb\xbf{}", 0),
        (b"{}x", 2),
        (b"{} {}", 3),
        (b"{,}", 1),
        (b"{\"a\"}", 4),
        (b"{\"a\":}", 5),
        (b"{\"a\":1,}", 7),
        (b"{\"a\":1 \"b\":2}", 7),
        (b"{\"a\":[1,]}", 8),
        (b"{\"a\":[1 2]}", 8),
        (b"{\"a\":[1}", 7),
        (b"{\"a\":1]", 6),
        (b"{a:1}", 1),
        (b"{'a':1}", 1),
        (b"{\"a\":01}", 6),
        (b"{\"a\":-}", 6),
        (b"{\"a\":1.}", 7),
        (b"{\"a\":.5}", 5),
        (b"{\"a\":+1}", 5),
        (b"{\"a\":1e}", 7),
        (b"{\"a\":NaN}", 5),
        (b"{\"a\":-Infinity}", 6),
        (b"{\"a\":nul}", 8),
        (b"{\"a\":truE}", 8),
        (b"{\"a\":\"\x1f\"}", 6),
        (b"{\"a\":\"\\x\"}", 7),
        (b"{\"a\":\"\\u12g4\"}", 10),
        (b"{\"a\":\"\\ud800\"}", 12),
        (b"{\"a\":\"\\ud800\\n\"}", 13),
        (b"{\"a\":\"\\ud800\\u0041\"}", 14),
        (b"{\"a\":\"\\ud800\\ud800\"}", 15),
        (b"{\"a\":\"\\udc00\"}", 9),
        (b"{\"a\":\"\x80\"}", 6),
        (b"{\"a\":\"\xc0\x80\"}", 6),
        (b"{\"a\":\"\xe0\x80\x80\"}", 7),
        (b"{\"a\":\"\xed\xa0\x80\"}", 7),
        (b"{\"a\":\"\xf4\x90\x80\x80\"}", 7),
        (b"{\"a\":\"\xf5\"}", 6),
        (b"{\"a\":\"\xe2\x82\"}", 8),
        (b"{\"a\":1\x0c}", 6),
        (b"{\"embeddings\":[[1,2", 19),
        (b"{\"embeddings\":[[1,]]}", 18),
        (b"{\"embeddings\":[[1 2]]}", 18),
        (b"{\"embeddings\":[[1,nan]]}", 19),
        (b"{\"embeddings\":[[1,NaN]]}", 18),
        (b"{\"embeddings\":[[01]]}", 17),
        (b"{\"embeddings\":[[1],]}", 19),
        (b"{\"embeddings\":[[1}]}", 17),
        (deep.as_bytes(), 68),
        (key.as_bytes(), 4099),
    ];
    for (text, expected) in cases {
        match insert(text) {
            Err(Error::MalformedJson { offset, .. }) => {
                assert_eq!(offset, *expected, "{}", text.escape_ascii())
            }
            other => panic!("{}: {other:?}", text.escape_ascii()),
        }
    }
}

#[test]
fn what_is_no_array_of_numbers_is_named_with_its_place() {
    let numbers = "an array of numbers";
    for (text, error) in [
        ("[]", wrong("body", None, None, "an object", "an array")),
        ("null", wrong("body", None, None, "an object", "null")),
        (r#"{"embeddings":5}"#, wrong("embeddings", None, None, "an array of rows", "a number")),
        (r#"{"embeddings":[5]}"#, wrong("embeddings", Some(0), None, numbers, "a number")),
        (r#"{"embeddings":[[1],null]}"#, wrong("embeddings", Some(1), None, numbers, "null")),
        (r#"{"embeddings":[[1],{}]}"#, wrong("embeddings", Some(1), None, numbers, "an object")),
        (r#"{"embeddings":[[1,true]]}"#, wrong("embeddings", Some(0), Some(1), "a number", "a boolean")),
        (r#"{"embeddings":[[1],["2"]]}"#, wrong("embeddings", Some(1), Some(0), "a number", "a string")),
        (r#"{"embeddings":[[1,[2]]]}"#, wrong("embeddings", Some(0), Some(1), "a number", "an array")),
        (r#"{"embeddings":{"a":7}}"#, wrong("embeddings.a", Some(0), None, numbers, "a number")),
        (r#"{"embeddings":[{},[1]]}"#, wrong("embeddings[1]", None, None, "an object", "an array")),
        (
            r#"{"embeddings":[{},{"embeddings":7}]}"#,
            wrong("embeddings[1].embeddings", None, None, "an array of objects", "a number"),
        ),
        (
            r#"{"embeddings":[{"embeddings":[{},[1]]}]}"#,
            wrong("embeddings[0].embeddings[1]", None, None, "an object", "an array"),
        ),
        (
            r#"{"embeddings":[{"embeddings":[{"embedding":0}]}]}"#,
            wrong("embeddings[0].embeddings[0].embedding", Some(0), None, numbers, "a number"),
        ),
        (
            r#"{"embeddings":[{"embeddings":[{"embedding":[1,null]}]}]}"#,
            wrong("embeddings[0].embeddings[0].embedding", Some(0), Some(1), "a number", "null"),
        ),
    ] {
        assert_eq!(insert(text), Err(error), "{text}");
    }
    for (text, error) in [
        (r#"{"query_embedding":3}"#, wrong("query_embedding", None, None, numbers, "a number")),
        (r#"{"query_embedding":[[1]]}"#, wrong("query_embedding", None, Some(0), "a number", "an array")),
        (r#"{"query_embeddings":[[1],2]}"#, wrong("query_embeddings", Some(1), None, numbers, "a number")),
        (r#"{"embeddings":"x"}"#, wrong("embeddings", None, None, numbers, "a string")),
    ] {
        assert_eq!(search(text), Err(error), "{text}");
    }
}

#[test]
fn a_name_that_appears_twice_is_refused() {
    for (text, field) in [
        (r#"{"a":1,"a":2}"#, "a"),
        (r#"{"embeddings":[[1]],"embe\u0064dings":[[2]]}"#, "embeddings"),
        (r#"{"embeddings":{"x":[1],"\u0078":[2]}}"#, "embeddings.x"),
        (r#"{"embeddings":[{},{"embeddings":null,"embeddings":null}]}"#, "embeddings[1].embeddings"),
        (
            r#"{"embeddings":[{"embeddings":[{"embedding":[1],"embedding":[1]}]}]}"#,
            "embeddings[0].embeddings[0].embedding",
        ),
    ] {
        assert_eq!(insert(text), Err(Error::DuplicateField { field: field.to_owned() }));
    }
    assert!(insert(r#"{"a":{"b":1,"b":2}}"#).is_ok());
}

#[test]
fn numbers_must_be_finite_as_float32() {
    let error = |row, column, value: &str| Err(Error::NonFinite { row, column, value: value.to_owned() });
    assert_eq!(insert(r#"{"embeddings":[[1,2],[3,1e39]]}"#), error(Some(1), 1, "1e39"));
    assert_eq!(
        insert(r#"{"embeddings":[[3.4028235677973367e38]]}"#),
        error(Some(0), 0, "3.4028235677973367e38")
    );
    assert_eq!(search(r#"{"query_embedding":[1,-1e999]}"#), error(None, 1, "-1e999"));
    assert!(insert(r#"{"embeddings":[[3.4028235677973366e38,-1e-999]]}"#).is_ok());
    assert!(insert(r#"{"x":1e999}"#).is_ok());
}

#[test]
fn shapes_and_limits_are_those_of_the_contract() {
    let matrix = |rows: usize, columns: usize| {
        let row = format!("[{}]", vec!["1"; columns].join(","));
        format!("{{\"embeddings\":[{}]}}", vec![row; rows].join(","))
    };
    let ragged = |row, expected, got| Err(Error::RaggedRows { row, expected, got });
    assert_eq!(insert(matrix(2000, 1)).unwrap().1.len(), 2000);
    assert_eq!(insert(matrix(2001, 1)), Err(Error::TooManyRows { limit: 2000 }));
    assert_eq!(insert(matrix(2, 3024)).unwrap().1[1].len(), 3024);
    assert_eq!(insert(matrix(1, 3025)), Err(Error::TooManyColumns { row: Some(0), limit: 3024 }));
    let queries = matrix(1001, 1).replace("embeddings", "query_embeddings");
    assert_eq!(search(queries), Err(Error::TooManyRows { limit: 1000 }));
    assert_eq!(insert(r#"{"embeddings":[[1,2],[3]]}"#), ragged(1, 2, 1));
    assert_eq!(insert(r#"{"embeddings":[[1,2],[]]}"#), ragged(1, 2, 0));
    assert_eq!(insert(r#"{"embeddings":[[1,2],[3,4,1e99,6,7]]}"#), ragged(1, 2, 5));
    let long = format!("{{\"embeddings\":[[1],[{}]]}}", vec!["1"; 3025].join(","));
    assert_eq!(insert(long), Err(Error::TooManyColumns { row: Some(1), limit: 3024 }));
    for text in [r#"[]"#, r#"[[]]"#, r#"{}"#, r#"{"a":[]}"#, r#"[{"embeddings":[]}]"#] {
        let text = format!("{{\"embeddings\":{text}}}");
        assert_eq!(insert(text), Err(Error::EmptyEmbeddings { field: "embeddings" }));
    }
    assert_eq!(search(r#"{"query_embedding":[]}"#), Err(Error::EmptyEmbeddings { field: "query_embedding" }));
    assert_eq!(
        search(r#"{"query_embeddings":[]}"#),
        Err(Error::EmptyEmbeddings { field: "query_embeddings" })
    );
    assert_eq!(
        search(r#"{"query_embeddings":[[]]}"#),
        Err(Error::EmptyEmbeddings { field: "query_embeddings" })
    );
    let many: Vec<_> = (0..1001).map(|index| format!("\"{index}\":1")).collect();
    assert!(insert(format!("{{{}}}", many[1..].join(","))).is_ok());
    assert!(matches!(insert(format!("{{{}}}", many.join(","))), Err(Error::MalformedJson { .. })));
}

#[test]
fn an_error_stays_and_ends_the_reading() {
    let mut reader = JsonReader::new(Purpose::Insert);
    let error = reader.push(b"{]").unwrap_err();
    assert_eq!(reader.push(b"}"), Err(error.clone()));
    assert_eq!(reader.finish().unwrap_err(), error);
}

mod binary {
    use super::*;
    use crate::body::base64;

    fn text(numbers: &[f32]) -> String {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut text = Vec::new();
        base64::encode(&bytes, &mut text);
        String::from_utf8(text).unwrap()
    }

    /// The keys in every order.
    fn orders(data: &str, dtype: &str, shape: &str) -> Vec<String> {
        let pairs =
            [format!(r#""data":"{data}""#), format!(r#""dtype":"{dtype}""#), format!(r#""shape":{shape}"#)];
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
            .map(|order| format!("{{{}}}", order.map(|index| pairs[index].clone()).join(" , ")))
            .to_vec()
    }

    #[test]
    fn it_leaves_what_the_rows_as_lists_would_leave() {
        let numbers = [1.0, -2.5, 3e38, 0.0, -0.0, 1e-45];
        for form in orders(&text(&numbers), "float32", "[2,3]") {
            let (envelope, rows) = insert(format!(r#"{{"a":1, "embeddings" : {form} ,"b":2}}"#)).unwrap();
            assert_eq!(envelope, r#"{"a":1, "embeddings" : [0,1] ,"b":2}"#);
            let rows: Vec<_> = rows.concat().iter().map(|number| number.to_bits()).collect();
            assert_eq!(rows, numbers.map(f32::to_bits));
            let (envelope, _) = search(format!(r#"{{"query_embeddings":{form},"b":2}}"#)).unwrap();
            assert_eq!(envelope, r#"{"query_embeddings":[0,1],"b":2}"#);
            let documents = format!(
                r#"{{"embeddings":[{{"embeddings":[{{"embedding":[1,2,3]}}]}},{{"chunk_ids":["a","b"],"embeddings":{form}}},{{"embeddings":{form}}}]}}"#
            );
            let (envelope, rows) = insert(documents).unwrap();
            assert_eq!(
                envelope,
                r#"{"embeddings":[{"embeddings":[{"embedding":0}]},{"chunk_ids":["a","b"],"embeddings":[1,2]},{"embeddings":[3,4]}]}"#
            );
            assert_eq!((rows.len(), rows[4][1]), (5, -0.0));
        }
        for form in orders(&text(&numbers), "float32", "[6]") {
            let (envelope, rows) = search(format!(r#"{{"query_embedding":{form}}}"#)).unwrap();
            assert_eq!((envelope.as_str(), rows.len()), (r#"{"query_embedding":0}"#, 1));
        }
        // 1.5, a subnormal, the largest; then bytes with a sign.
        let (_, rows) =
            insert(r#"{"embeddings":{"data":"AD4BAP97","dtype":"float16","shape":[1,3.0]}}"#).unwrap();
        assert_eq!(rows, [[1.5, 5.960_464_5e-8, 65504.0]]);
        let (_, rows) =
            insert(r#"{"embeddings":{"data":"gP9\u002f","dtype":"int8","shape":[3,1]}}"#).unwrap();
        assert_eq!(rows.concat(), [-128.0, -1.0, 127.0]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let field = |name: &str| format!("embeddings.{name}");
        for form in orders("AAAAAAAAgH8=", "float32", "[2,1]") {
            let error = insert(format!(r#"{{"embeddings":{form}}}"#)).unwrap_err();
            assert_eq!(error, Error::NonFinite { row: Some(1), column: 0, value: "inf".to_owned() });
        }
        for form in orders("AAAAAAAAAAA=", "float32", "[3,1]") {
            let error = insert(format!(r#"{{"embeddings":{form}}}"#)).unwrap_err();
            assert_eq!(error, Error::DataLength { field: field("data"), expected: 12, got: 8 });
        }
        for (form, error) in [
            (r#"{"data":"AAAA","shape":[1,1]}"#, Error::MissingField { field: field("dtype") }),
            (r#"{"dtype":"int8"}"#, Error::MissingField { field: field("data") }),
            (r#"{"dtype":"int8","type":1}"#, Error::UnknownField { field: field("type") }),
            (r#"{"a":[1],"data":[2]}"#, Error::UnknownField { field: field("data") }),
            (r#"{"shape":[1,1],"shape":[1,1]}"#, Error::DuplicateField { field: field("shape") }),
            (
                r#"{"data":"AB==","dtype":"int8","shape":[1,1]}"#,
                Error::MalformedBase64 {
                    field: field("data"),
                    offset: 25,
                    reason: "the last character before the padding has bits that belong to no byte",
                },
            ),
            (r#"{"shape":[1,0]}"#, Error::EmptyEmbeddings { field: "embeddings" }),
            (r#"{"shape":[2001,1]}"#, Error::TooManyRows { limit: 2000 }),
            (r#"{"shape":[1,3025]}"#, Error::TooManyColumns { row: Some(0), limit: 3024 }),
            (r#"{"shape":[1e300,1e300]}"#, Error::TooManyRows { limit: 2000 }),
            (
                r#"{"dtype":"float64"}"#,
                wrong("embeddings.dtype", None, None, "float32, float16 or int8", "another string"),
            ),
            (r#"{"data":7}"#, wrong("embeddings.data", None, None, "base64 text", "a number")),
            (
                r#"{"shape":[1.5,1]}"#,
                wrong("embeddings.shape", None, None, "an integer from 0", "another number"),
            ),
            (
                r#"{"shape":[1,1,1]}"#,
                wrong("embeddings.shape", None, None, "an array of two integers", "another array"),
            ),
            (r#"{"shape":null}"#, wrong("embeddings.shape", None, None, "an array of integers", "null")),
        ] {
            assert_eq!(insert(format!(r#"{{"embeddings":{form}}}"#)), Err(error), "{form}");
        }
        let documents = r#"{"embeddings":[{"embeddings":{"data":"AA==","dtype":"int8","shape":[1,1]}},{"embeddings":{"shape":[1,2]}}]}"#;
        assert_eq!(insert(documents), Err(Error::RaggedRows { row: 1, expected: 1, got: 2 }));
    }

    #[test]
    fn no_text_is_kept_that_no_shape_could_ask_for() {
        let mut reader = JsonReader::new(Purpose::Search);
        reader.push(br#"{"query_embeddings":{"data":""#).unwrap();
        let most = 1000 * 3024 * 4;
        let chunk = vec![b'A'; 1 << 18];
        let mut pushed = 0;
        let error = loop {
            match reader.push(&chunk) {
                Ok(()) => pushed += chunk.len() / 4 * 3,
                Err(error) => break error,
            }
        };
        assert!(pushed <= most && pushed + (1 << 18) > most);
        let field = "query_embeddings.data".to_owned();
        assert_eq!(error, Error::DataLength { field, expected: most, got: most + 1 });
    }
}

#[test]
fn what_is_left_without_rows_is_bounded() {
    let mut reader = JsonReader::new(Purpose::Insert);
    reader.push(b"{\"a\":\"").unwrap();
    let chunk = vec![b'a'; 1 << 20];
    for _ in 0..15 {
        reader.push(&chunk).unwrap();
    }
    assert_eq!(reader.push(&chunk), Err(Error::EnvelopeTooLarge { limit: 16 << 20 }));
}
