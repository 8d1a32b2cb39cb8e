//! Memory that processes share, and what lives in it, for `lib/shared-memory.js` and `lib/shared-locks.js`.

pub mod arena;
pub mod locks;
pub mod segment;
pub mod table;
pub mod wait;

use procs::{Error, ErrorKind, Result};

/// A number of JavaScript as an offset or a size; `lib` has checked that it is a whole one.
pub(crate) fn size(value: f64, name: &str) -> Result<usize> {
    if (0.0..=9_007_199_254_740_991.0).contains(&value) && value.fract() == 0.0 {
        return Ok(value as usize);
    }
    Err(Error::new(ErrorKind::InvalidArgument, "memory", format!("not a size ({name} = {value}, expected a whole number from 0)")))
}

/// How something is placed at an offset: 0 whichever is needed, 1 made, 2 opened.
macro_rules! placed {
    ($kind:ident, $how:expr, $memory:expr, $offset:expr $(; $more:expr)?) => {
        match $how {
            1 => procs::$kind::create($memory, $offset $(, $more)?),
            2 => procs::$kind::open($memory, $offset),
            _ => procs::$kind::open_or_create($memory, $offset $(, $more)?),
        }
    };
}
pub(crate) use placed;
