//! Matrices that are borrowed: row-major slices with a stride, whose length is checked when they are made.

use crate::element::Element;
use crate::error::{Error, Result, Status};
use halftone_sys as ffi;
use std::slice;

/// A row-major matrix `[rows, cols]` in memory of someone else.
///
/// ```
/// use halftone::MatrixRef;
/// let padded = [1.0f32, 2.0, 0.0, 3.0, 4.0];
/// let matrix = MatrixRef::with_stride(&padded, 2, 2, 3)?;
/// assert_eq!(matrix.row(1), [3.0, 4.0]);
/// assert!(MatrixRef::new(&padded, 2, 2).is_err());
/// # Ok::<(), halftone::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MatrixRef<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// A row-major matrix that the library writes to.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// Elements from the first to the last: (rows - 1) stride + cols. Fails if the stride is below `cols` or the numbers
/// do not fit the C interface.
fn extent(rows: usize, cols: usize, stride: usize) -> Result<usize> {
    let sizes = || format!("a matrix of {} x {} with stride {}", rows, cols, stride);
    if stride < cols {
        return Err(Error::invalid(format!("{}, wanted a stride of at least {}", sizes(), cols)));
    }
    if rows == 0 || cols == 0 {
        return Ok(0);
    }
    let all = (rows - 1).checked_mul(stride).and_then(|elements| elements.checked_add(cols));
    all.filter(|&elements| elements <= isize::MAX as usize)
        .ok_or_else(|| Error::invalid(format!("{} is larger than memory", sizes())))
}

fn check_length(fits: bool, length: usize, wanted: usize, rows: usize, cols: usize) -> Result<()> {
    if fits {
        return Ok(());
    }
    let message = format!("a matrix of {} x {} from {} elements, wanted {}", rows, cols, length, wanted);
    Err(Error::new(Status::ShapeMismatch, message))
}

fn describe<T: Element>(data: *const T, rows: usize, cols: usize, stride: usize) -> ffi::ht_matrix {
    let mut matrix: ffi::ht_matrix = ffi::sized();
    matrix.dtype = T::DTYPE.code();
    matrix.rows = rows as i64;
    matrix.cols = cols as i64;
    matrix.stride = stride as i64;
    matrix.data = data as *mut _;
    matrix.device_kind = ffi::HT_CPU;
    matrix
}

impl<'a, T> MatrixRef<'a, T> {
    /// All of a slice as a matrix. Fails unless it has `rows * cols` elements.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Result<Self> {
        let wanted = extent(rows, cols, cols)?;
        check_length(data.len() == wanted, data.len(), wanted, rows, cols)?;
        Ok(MatrixRef { data, rows, cols, stride: cols })
    }

    /// Rows that begin `stride` elements apart. The slice may be longer, and need not have the last row's padding.
    pub fn with_stride(data: &'a [T], rows: usize, cols: usize, stride: usize) -> Result<Self> {
        let wanted = extent(rows, cols, stride)?;
        check_length(data.len() >= wanted, data.len(), wanted, rows, cols)?;
        Ok(MatrixRef { data, rows, cols, stride })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Row `index`. Panics if there is none.
    pub fn row(&self, index: usize) -> &'a [T] {
        assert!(index < self.rows, "row {} of {}", index, self.rows);
        if self.cols == 0 {
            return &[];
        }
        &self.data[index * self.stride..][..self.cols]
    }

    /// The elements, row by row, without padding.
    pub fn iter(&self) -> impl Iterator<Item = &'a T> + '_ {
        (0..self.rows).flat_map(move |index| self.row(index).iter())
    }

    /// A copy, row by row, without padding.
    pub fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.iter().cloned().collect()
    }
}

impl<'a, T: Element> MatrixRef<'a, T> {
    /// For the library, valid as long as the slice is.
    pub(crate) fn raw(&self) -> ffi::ht_matrix {
        describe(self.data.as_ptr(), self.rows, self.cols, self.stride)
    }

    /// What the library filled in. Fails if the elements are of another type.
    ///
    /// # Safety
    /// The view is of memory that stays and does not change as long as `'a`.
    pub(crate) unsafe fn from_raw(view: &ffi::ht_matrix) -> Result<Self> {
        if view.dtype != T::DTYPE.code() {
            let message = format!("a view of type {}, wanted {}", view.dtype, T::DTYPE.code());
            return Err(Error::new(Status::Unsupported, message));
        }
        let size = |value: i64| usize::try_from(value).map_err(|_| Error::new(Status::Internal, "a negative size"));
        let (rows, cols, stride) = (size(view.rows)?, size(view.cols)?, size(view.stride)?);
        let length = extent(rows, cols, stride)?;
        // SAFETY: the library describes memory of its own, which stays as the caller says.
        let data = if length == 0 { &[][..] } else { unsafe { slice::from_raw_parts(view.data as *const T, length) } };
        Ok(MatrixRef { data, rows, cols, stride })
    }
}

impl<'a, T: Element> MatrixMut<'a, T> {
    /// All of a slice as a matrix. Fails unless it has `rows * cols` elements.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self> {
        let wanted = extent(rows, cols, cols)?;
        check_length(data.len() == wanted, data.len(), wanted, rows, cols)?;
        Ok(MatrixMut { data, rows, cols, stride: cols })
    }

    /// Rows that begin `stride` elements apart; what lies between them is left alone.
    pub fn with_stride(data: &'a mut [T], rows: usize, cols: usize, stride: usize) -> Result<Self> {
        let wanted = extent(rows, cols, stride)?;
        check_length(data.len() >= wanted, data.len(), wanted, rows, cols)?;
        Ok(MatrixMut { data, rows, cols, stride })
    }

    pub(crate) fn raw(&mut self) -> ffi::ht_matrix {
        describe(self.data.as_mut_ptr(), self.rows, self.cols, self.stride)
    }
}
