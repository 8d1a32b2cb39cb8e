//! What the tests of many rows begin with.

use procs::Command;
use procs_tests::helper;

/// The helper child with these arguments.
pub(crate) fn child(args: &[&str]) -> Command {
    let mut command = Command::new(helper());
    command.args(args);
    command
}
