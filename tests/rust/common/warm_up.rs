//! What the tests that use up descriptors or processes begin with.

use crate::common::child;
use procs::Stdio;
use procs_tests::Test;

/// Starts everything that lives as long as the process, and takes that as the state to come back to.
pub(crate) fn warm_up(t: &Test) {
    let command = &mut child(&["exit", "0"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (sender, ended) = std::sync::mpsc::channel();
    command.spawn().expect("a plain start").on_exit(move |_| sender.send(()).expect("a listener")).expect("a call-back");
    ended.recv().expect("the end of the child");
    child(&["exit", "0"]).output().expect("a plain run");
    // The waiting thread lets go of the child after the call.
    t.wait_until("nothing of the first child is left", || t.leaks().is_empty());
    t.baseline();
}
