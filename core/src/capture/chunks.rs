//! A stream in large blocks.

use super::lines::{Take, plainly, read_block, through_flow};
use crate::error::Result;
use crate::io::PipeReader;
use crate::io::transfer::{CHUNK, Flow};
use std::io::Read;

/// A stream as blocks of up to 256 KiB, as they arrive. Reading blocks; a pipe of a child is enlarged to 1 MiB once a read finds it full.
///
/// # Drop
/// Closes the stream; a child that still writes to it gets SIGPIPE.
///
/// ```
/// use procs::{Command, Stdio};
/// let mut child = Command::new("head").args(["-c", "300000", "/dev/zero"]).stdout(Stdio::piped()).spawn()?;
/// let (mut chunks, mut total) = (child.chunks()?, 0);
/// while let Some(chunk) = chunks.next_chunk()? {
///     total += chunk.len();
/// }
/// assert_eq!(total, 300_000);
/// child.wait()?;
/// # Ok::<(), procs::Error>(())
/// ```
pub struct Chunks<R = PipeReader> {
    reader: R,
    block: Box<[u8]>,
    take: Take<R>,
    flow: Flow,
}

impl<R: Read> Chunks<R> {
    /// The blocks of any reader.
    pub fn new(reader: R) -> Chunks<R> {
        Chunks { reader, block: vec![0; CHUNK].into_boxed_slice(), take: plainly, flow: Flow::default() }
    }

    /// The next block, not empty, valid until the next call; `None` at end of file.
    ///
    /// # Errors
    /// The reader's own failure.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>> {
        let count = read_block(self.take, &mut self.reader, &mut self.flow, &mut self.block)?;
        Ok((count > 0).then(|| &self.block[..count]))
    }

    /// The reader.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl Chunks<PipeReader> {
    pub(super) fn of_pipe(pipe: PipeReader) -> Chunks<PipeReader> {
        Chunks { take: through_flow, ..Chunks::new(pipe) }
    }
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        self.next_chunk().map(|chunk| chunk.map(<[u8]>::to_vec)).transpose()
    }
}

impl<R> std::fmt::Debug for Chunks<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks").field("block_bytes", &self.block.len()).finish_non_exhaustive()
    }
}
