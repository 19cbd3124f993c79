//! NumPy arrays as rows: looked at where they lie, copied once, converted only when they have to be.

use ingot_engine::error::{Error, Result};
use ingot_engine::format::checksum;
use ingot_engine::limits::{MAX_DIMENSION, MAX_QUERIES, MAX_ROWS};
use ingot_engine::validate;
use ingot_engine::vector::{Dimension, Metric, Rows};
use numpy::{PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::exception;

/// What an array is for: decides its shapes and limits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// 2-D, at most 2000 rows.
    Insert,
    /// 1-D or 2-D, at most 1000 rows.
    Search,
}

/// A float32 C-contiguous array, kept alive. Another thread may change its numbers at any time.
pub struct Array {
    numbers: *const f32,
    rows: usize,
    dimension: Dimension,
    _owner: Py<PyUntypedArray>,
}

// SAFETY: the numbers are only read; the owner is only dropped (PyO3 defers that to a thread with the GIL).
unsafe impl Send for Array {}

impl Array {
    /// The array as rows of float32, itself if it is float32 and C-contiguous, converted once otherwise.
    ///
    /// # Errors
    /// `TypeError` when it is no array; the exceptions of `ingot.errors` for a wrong shape or kind of number.
    pub fn of(object: &Bound<'_, PyAny>, purpose: Purpose) -> PyResult<Self> {
        let py = object.py();
        let array = object.cast::<PyUntypedArray>().map_err(|_| {
            PyTypeError::new_err(format!(
                "expected a NumPy array of numbers, got {}; convert it with numpy.asarray(x, dtype=numpy.float32)",
                object.get_type().name().map_or_else(|_| "something else".to_owned(), |name| name.to_string())
            ))
        })?;
        let raise = |error| exception(py, &error);
        let (rows, dimension) = shape(array, purpose).map_err(raise)?;
        let kind: char = array.dtype().kind().into();
        let (float32, converted) = match array.cast::<PyArrayDyn<f32>>() {
            Ok(float32) if float32.is_c_contiguous() && float32.data().is_aligned() => {
                (float32.clone(), false)
            }
            _ if matches!(kind, 'f' | 'i' | 'u') => (convert(array)?, true),
            _ => return Err(raise(wrong_kind(kind))),
        };
        let numbers = float32.data().cast_const();
        let mut found = Self { numbers, rows, dimension, _owner: float32.as_untyped().clone().unbind() };
        if converted {
            let checked;
            (found, checked) = py.detach(move || {
                let checked = found.check(None);
                (found, checked)
            });
            checked.map_err(|refused| as_given(array, refused))?;
        }
        Ok(found)
    }

    /// Numbers in a row.
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    fn numbers(&self) -> &[f32] {
        // SAFETY: the owner keeps rows x dimension aligned float32 alive. A thread that writes to them meanwhile
        // changes what is read, never how much: any four bytes are a float32, and what is decided about these
        // numbers is decided again about the copy.
        unsafe { std::slice::from_raw_parts(self.numbers, self.rows * self.dimension.get()) }
    }

    /// Looks at every number where the array lies: a refusal allocates nothing.
    ///
    /// # Errors
    /// [`Error::NonFinite`]; [`Error::ZeroVector`] when `metric` is cosine.
    pub fn check(&self, metric: Option<Metric>) -> Result<()> {
        validate::rows(self.numbers(), self.dimension, 0, metric)
    }

    /// The one copy. It is validated again by whoever takes it: the caller's memory is never read after that.
    pub fn copy(&self) -> Rows {
        let mut rows = Rows::new(self.dimension);
        rows.extend(self.numbers());
        rows
    }
}

fn shape(array: &Bound<'_, PyUntypedArray>, purpose: Purpose) -> Result<(usize, Dimension)> {
    let field = if purpose == Purpose::Insert { "embeddings" } else { "query_embedding" };
    let (rows, columns) = match (array.shape(), purpose) {
        (&[rows, columns], _) => (rows, columns),
        (&[columns], Purpose::Search) => (1, columns),
        (other, _) => {
            return Err(Error::WrongType {
                field: field.to_owned(),
                row: None,
                column: None,
                expected: if purpose == Purpose::Insert { "a 2-D array" } else { "a 1-D or 2-D array" },
                got: match other.len() {
                    0 => "a single number",
                    1 => "a 1-D array",
                    2 => "a 2-D array",
                    3 => "a 3-D array",
                    _ => "an array of more dimensions",
                },
            });
        }
    };
    let limit = if purpose == Purpose::Insert { MAX_ROWS } else { MAX_QUERIES };
    if rows == 0 || columns == 0 {
        return Err(Error::EmptyEmbeddings { field });
    }
    if rows > limit {
        return Err(Error::TooManyRows { limit });
    }
    let dimension =
        Dimension::new(columns).ok_or(Error::TooManyColumns { row: None, limit: MAX_DIMENSION })?;
    Ok((rows, dimension))
}

fn wrong_kind(kind: char) -> Error {
    Error::WrongType {
        field: "embeddings".to_owned(),
        row: None,
        column: None,
        expected: "an array of floats or integers",
        got: match kind {
            'b' => "an array of booleans",
            'c' => "an array of complex numbers",
            'O' => "an array of Python objects",
            'U' | 'S' => "an array of strings",
            _ => "an array of another kind",
        },
    }
}

/// A number that was refused after its conversion, with the value it had before.
fn as_given(array: &Bound<'_, PyUntypedArray>, refused: Error) -> PyErr {
    let shown = match refused {
        Error::NonFinite { row: Some(row), column, value } => {
            let item = if array.ndim() == 1 { array.get_item(column) } else { array.get_item((row, column)) };
            let given = item.and_then(|item| item.extract::<f64>());
            let row = (array.ndim() != 1).then_some(row);
            Error::NonFinite { row, column, value: given.map_or(value, validate::text) }
        }
        other => other,
    };
    exception(array.py(), &shown)
}

/// Rounds once to float32, in C order. What overflows becomes infinite and is refused by name afterwards.
fn convert<'py>(array: &Bound<'py, PyUntypedArray>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let py = array.py();
    let numpy = py.import("numpy")?;
    let ignore = PyDict::new(py);
    ignore.set_item("over", "ignore")?;
    let silent = numpy.call_method("errstate", (), Some(&ignore))?;
    silent.call_method0("__enter__")?;
    let wanted = (array, numpy.getattr("float32")?, ["C_CONTIGUOUS", "ALIGNED", "ENSUREARRAY"]);
    let converted = numpy.call_method1("require", wanted);
    silent.call_method1("__exit__", (py.None(), py.None(), py.None()))?;
    Ok(converted?.cast_into::<PyArrayDyn<f32>>()?)
}

/// CRC-32C (RFC 3720, Castagnoli) over the float32 little-endian rows in order.
#[pyfunction]
pub fn crc32c(array: &Bound<'_, PyAny>) -> PyResult<u32> {
    let array = Array::of(array, Purpose::Insert)?;
    let rows = array.copy();
    Ok(rows.chunks().fold(0, |sum, chunk| {
        let bytes = bytemuck::cast_slice::<f32, u8>(chunk);
        checksum::combine(sum, checksum::crc32c(bytes), bytes.len() as u64)
    }))
}
